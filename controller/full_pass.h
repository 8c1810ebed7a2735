#pragma once
// FullPass: what the active controller does for partitions with replicas whose disks are full
// (docs/decisions/0002-full-disks.md).
//
// Rules, where some member of the ISR has room:
//   1. One of those leads. Who leads from a full disk refuses every record.
//   2. They alone are the ISR if they are at least min.insync.replicas: whoever can copy nothing
//   would only hold up acks=all until it lags for long enough. Where they are fewer nothing is won,
//   and nobody leaves.
// Where none has room all stays as it is. Nobody is asked to come back: AlterPartition refuses
// replicas while they are full, and their leaders ask again.
//
// A walk begins when brokers tell otherwise than before, and every interval while one is full: what
// came about meanwhile, or was not taken, is found again. It goes in steps. News during a walk does
// not begin it anew, but begins another one when it has come round: directories that fill up and
// get room all the time would keep it from the last partitions for ever.
//
// Thread rule: one owner (the controller's loop).

#include "controller/decision.h"
#include "controller/full_directories.h"
#include "controller/partition_walk.h"

namespace sluice::controller {

class FullPass {
 public:
  static constexpr int64_t kIntervalMs = 5000;  // between the beginnings of two walks

  // `changes_max`: of partitions in a step, which is one entry.
  explicit FullPass(size_t changes_max) : changes_max_(changes_max) {}

  // A new active controller, to which nobody has told anything.
  void Activate(const FullDirectories& full);
  // To be called with each tick.
  Records Next(const metadata::Image& image, const FullDirectories& full, int64_t now_ms);

 private:
  const size_t changes_max_;
  PartitionWalk walk_;
  uint64_t seen_ = 0;  // FullDirectories::news when the last walk began
  int64_t next_walk_ms_ = 0;
};

}  // namespace sluice::controller
