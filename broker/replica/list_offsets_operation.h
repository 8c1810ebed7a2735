#pragma once
// ListOffsetsOperation: the look-ups of one ListOffsets request, one after another. As long as what
// they read is in memory they are done at once; for the rest a worker brings it there, without the
// partition's lock, and goes on, unless the client has gone.
//
// Thread rule: one thread at a time, but for Abandon, which is called from any; Done is called with
// no lock held.

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "broker/cold_reads.h"
#include "broker/parked_requests.h"
#include "broker/replica/partition.h"

namespace sluice::broker {

class ListOffsetsOperation final : public ParkedRequest,
                                   public std::enable_shared_from_this<ListOffsetsOperation> {
 public:
  using Done = std::function<void(std::vector<ListOffsetsResult>)>;
  struct Target {
    ListOffsetsEntry entry;
    std::shared_ptr<Partition> partition;  // null: `failure` is the result
    kafka::ErrorCode failure = kafka::ErrorCode::kNone;
  };

  // `cold_reads`: null when it waits for the disk itself.
  ListOffsetsOperation(std::shared_ptr<const PartitionContext> context, ColdReads* cold_reads,
                       std::vector<Target> targets, Done done)
      : context_(std::move(context)),
        cold_reads_(cold_reads),
        targets_(std::move(targets)),
        done_(std::move(done)) {}

  void Start(ParkedRequests* client);
  void Abandon() override;
  bool finished() const override { return finished_.load(std::memory_order_acquire); }

 private:
  void Run();
  void ReadElsewhere(storage::Lacking lacking);
  void BroughtIn(const Status& read, int rounds);
  // What was not looked up has failed.
  void Finish();

  const std::shared_ptr<const PartitionContext> context_;
  ColdReads* const cold_reads_;
  const std::vector<Target> targets_;
  const Done done_;
  std::vector<ListOffsetsResult> results_;
  int cold_rounds_ = 0;    // of the present target
  bool may_wait_ = false;  // for the disk, for the present target

  std::mutex mutex_;        // guards what follows; a leaf
  bool reading_ = false;    // a worker, or it is to
  bool abandoned_ = false;  // nothing is brought in for it any more
  std::atomic<bool> finished_{false};
};

}  // namespace sluice::broker
