#pragma once
// JsonTrace: what the cores of a simulation do, as lines of JSON with the names of events and
// fields that the trace validation of etcd-io/raft reads, so that a run can be held against its
// TLA+ specification. What differs:
//
// - there logs begin at index 1 and 0 stands for none, here at 0 with -1 for none: one is added;
// - heartbeats go under the names of AppendEntries there, and pre-votes are not told: so here;
// - a snapshot travels in chunks here; the last one stands for all of it;
// - a change of members holds from its entry on here: ApplyConfChange comes with it, not with the
//   commit.
//
// Thread rule: one thread.

#include <map>
#include <ostream>
#include <string>
#include <string_view>

#include "raft/core.h"

namespace sluice::raft::testing {

class JsonTrace {
 public:
  // `out` outlives it.
  explicit JsonTrace(std::ostream& out) : out_(out) {}

  void Started(NodeId node, const Core& core);
  // The core has not seen it yet.
  void Received(NodeId node, const Core& core, const Message& message);
  // After each input: tells what has changed since the one before.
  void Moved(NodeId node, const Core& core);
  void TookReady(NodeId node, const Core& core);
  void Sent(NodeId node, const Core& core, const Message& message);

 private:
  struct Seen {
    Role role = Role::kFollower;
    Term term;
    LogIndex last = kNoIndex;
    LogIndex commit = kNoIndex;
    Membership members;
  };
  // One line; `more` is what follows the fields that all lines have.
  void Line(std::string_view name, NodeId node, const Core& core, const std::string& more = "");
  void TellRole(NodeId node, const Core& core, const Seen& before);
  void TellAppended(NodeId node, const Core& core, const Seen& before);

  std::ostream& out_;
  std::map<NodeId, Seen> seen_;
};

}  // namespace sluice::raft::testing
