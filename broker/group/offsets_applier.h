#pragma once
// OffsetsApplier: keeps the view of one partition of __consumer_offsets up to its high watermark on
// this broker, whatever the replica's role: a step at a time, from memory what this broker appended
// itself, from the log everything else. Begins anew where what it has applied may be gone from the
// log.
//
// Thread rule: one owner, on a loop that may wait for the disk.

#include "base/repeated_line.h"
#include "broker/group/offsets_view.h"
#include "broker/replica/replica_manager.h"

namespace sluice::broker {

class OffsetsApplier {
 public:
  enum class Outcome {
    kUpToDate,  // until the replica's next change
    kMore,      // look again, soon
    kLater,     // something failed: look again after a while
  };

  // Neither is owned.
  OffsetsApplier(OffsetsView& view, ReplicaManager& replicas, PartitionKey key)
      : view_(view), replicas_(replicas), key_(key) {}

  // Looks at the replica, which arms the next call of its observer; false when there is none. Who
  // appended to the view in an epoch that is over must drop that before Apply.
  bool Look();
  const LocalState& state() const { return state_; }
  // Applies some of what there is.
  Outcome Apply(int64_t now_ms);

 private:
  // What the replica has done in between makes the view void.
  bool MustRestart() const;
  Status ApplySome();

  OffsetsView& view_;
  ReplicaManager& replicas_;
  const PartitionKey key_;
  bool opened_ = false;
  LocalState state_;
  RepeatedLine not_applied_;
};

}  // namespace sluice::broker
