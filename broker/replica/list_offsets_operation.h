#pragma once
// ListOffsetsOperation: the look-ups of one ListOffsets request, one after another. As long as what
// they read is in memory they are done at once; for the rest a worker brings it there, without the
// partition's lock, and goes on.
//
// Thread rule: one thread at a time; Done is called with no lock held.

#include <functional>
#include <memory>
#include <vector>

#include "broker/cold_reads.h"
#include "broker/replica/partition.h"

namespace sluice::broker {

class ListOffsetsOperation : public std::enable_shared_from_this<ListOffsetsOperation> {
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

  void Run();

 private:
  void ReadElsewhere(FileSlice lacking);

  const std::shared_ptr<const PartitionContext> context_;
  ColdReads* const cold_reads_;
  const std::vector<Target> targets_;
  const Done done_;
  std::vector<ListOffsetsResult> results_;
  int cold_rounds_ = 0;    // of the present target
  bool may_wait_ = false;  // for the disk, for the present target
};

}  // namespace sluice::broker
