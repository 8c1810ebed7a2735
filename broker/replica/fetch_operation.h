#pragma once
// FetchOperation: one fetch from its first read to its answer. While there is too little to send it
// is parked at its partitions, which wake it when something changed; a timer, or the client's
// going, ends the long poll. What its look-ups lack in memory workers read first: that outlasts the
// timer, or a client in a hurry would never get anything, but not the client. Kept alive by the
// partitions and whoever evaluates it.
//
// Thread rule: thread-safe; whoever wakes it evaluates it, one thread at a time. The answer is
// given with no lock held.

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "base/event_loop.h"
#include "broker/replica/partition.h"

namespace sluice::broker {

class FetchOperation final : public FetchWaiter,
                             public ParkedRequest,
                             public std::enable_shared_from_this<FetchOperation> {
 public:
  using Done = std::function<void(std::vector<FetchEntryResult>)>;
  struct Environment {
    std::shared_ptr<const PartitionContext> context;
    EventLoop* loop = nullptr;        // for timers
    ColdReads* cold_reads = nullptr;  // null: it waits for the disk itself
  };
  // An entry that cannot be read at all has no partition, and its result from the start.
  struct Target {
    std::shared_ptr<Partition> partition;
    FetchEntryResult failure;
  };

  FetchOperation(Environment environment, FetchRequestParams params, std::vector<Target> targets,
                 Done done)
      : environment_(std::move(environment)),
        params_(std::move(params)),
        targets_(std::move(targets)),
        done_(std::move(done)) {}

  void Start();
  void Wake() override { Evaluate(false); }
  void WakeSoon() override;
  void Abandon() override;
  bool finished() const override { return finished_.load(std::memory_order_acquire); }

 private:
  void Evaluate(bool time_is_up);
  void EvaluateUntilSettled();
  // What is not in memory is brought there by workers, the last of which evaluates on. False when
  // nothing is lacking.
  bool ReadElsewhere(std::vector<FetchEntryResult>& results);
  void BroughtIn(size_t target, const Status& read, int rounds);
  std::vector<FetchEntryResult> ReadAll();
  bool Satisfied(const std::vector<FetchEntryResult>& results) const;
  void RefuseWithoutLease(std::vector<FetchEntryResult>& results) const;
  bool ParkAll();
  void Answer(std::vector<FetchEntryResult> results);

  const Environment environment_;
  // Read and written by the evaluating thread only.
  FetchRequestParams params_;
  std::vector<Target> targets_;
  std::vector<Partition::ReadMark> marks_;
  Done done_;
  // Of one target, for as long as any is lacking something.
  struct LookUp {
    int rounds = 0;         // for how often it was lacking something
    bool may_wait = false;  // for the disk: it did not help to have it read elsewhere
  };
  // One for each target; empty while nothing is lacking. Under mutex_ while pieces are out.
  std::vector<LookUp> look_ups_;

  std::mutex mutex_;  // guards what follows
  bool evaluating_ = false;
  bool again_ = false;  // woken while being evaluated
  bool time_is_up_ = false;
  bool abandoned_ = false;  // nothing is brought in for it any more
  size_t pieces_out_ = 0;   // that workers have not brought in yet
  EventLoop::TimerId timer_ = 0;
  EventLoop::TimerId nudge_timer_ = 0;
  std::atomic<bool> finished_{false};
};

}  // namespace sluice::broker
