#pragma once
// StateMachine: what the committed entries are for. The driver calls it on its loop thread, in log
// order, exactly once per index after the last LoadSnapshot.
//
// Thread rule: all calls on the driver's loop thread; what FreezeSnapshot gives, on any.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/types.h"

namespace sluice::raft {

class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // Consecutive committed entries of every type. Only the data of kNormal ones, and the payload of
  // the bootstrap entry, are for the state machine.
  virtual void Apply(const std::vector<Entry>& committed) = 0;
  // The whole state after the last applied entry.
  virtual std::string TakeSnapshot() = 0;
  // What gives the same bytes later, once and from any thread, whatever is applied meanwhile: for a
  // state so large that others should not wait while it is written down.
  virtual std::function<std::string()> FreezeSnapshot() {
    return [state = TakeSnapshot()] { return state; };
  }
  // Replaces the whole state. Entries after `meta.index` follow.
  virtual void LoadSnapshot(const SnapshotMeta& meta, std::string_view data) = 0;
  // This node's role, the term or the known leader changed. `leader` is kNoNode when there is none
  // known.
  virtual void OnRoleChange(Role role, Term term, NodeId leader) = 0;
  // This node leads `term` and has applied all entries of earlier terms: from here its state is the
  // cluster's.
  virtual void OnLeaderReady(Term term) = 0;
};

}  // namespace sluice::raft
