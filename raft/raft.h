#pragma once
// Raft as a library: nodes that agree on one log of commands, and go on while a majority of the
// voters among them runs. What it brings: elections with pre-vote, replication in batches,
// linearizable reads, leadership transfer, learners and members that change one at a time, and
// snapshots. What you bring: a state machine, a disk, a network and an event loop.
//
//   raft/driver.h         Driver: one node; propose, read, change members, hand over, status
//   raft/state_machine.h  StateMachine: what the commands do
//   raft/log_store.h      LogStore: the disk
//   raft/transport.h      Transport: the network
//   raft/config.h         every number, with a default that suits a local network
//   raft/core.h           Core: the algorithm alone, as a function without clock, thread or IO. Its
//                         head numbers the duties of who drives it; Driver is one that does
//
// When not to use it
//   - For bulk data. All goes through one leader and is in memory until it is committed.
//   - For many groups in one process. Each wants an event loop and a log of its own, and its
//     heartbeats would not be shared.
//   - For state that does not fit in memory twice: a snapshot is one string.
//   - With two voters: the loss of either stops both. Take one, three or five.
//   - Among nodes that lie. Messages that no node of the cluster sends are refused, but who sends
//     them is taken at its word: your transport has to know its peers.
//
// The contract: what Raft takes for granted of you.
//   1. A voter is a node with its disk: {node id, disk id}. Draw the disk id when you make the disk
//      ready, and keep it there. A disk that was lost or restored from a copy gets a new one, and
//      its node has to be removed and added again: it has forgotten its votes. Only a first voter's
//      may be made ready once more as on the first day, with its former id: it asks all the others
//      what it has lost before it takes part (RaftConfig::inquire).
//   2. First voters begin with the same entry at index 0, BootstrapEntry({cluster id, voters}). A
//      node that joins later begins with an empty log, and gets in by Driver::ChangeMember: as a
//      learner, then, once it has caught up, as a voter.
//   3. LogStore::Persist is carried out in the order of the calls, each as a whole in the order of
//      its fields, and reports OK only when all of it would survive a power cut. After a power cut
//      the log opens with everything that was reported and at most what was asked for beyond; an
//      entry is never there without the vote of its term. A failure is for ever: what a later sync
//      reports proves nothing. Damage below what was reported is not cut off: such a log does not
//      open, or, once that is durable beside the vote, opens with what is whole and tells in
//      HardState::lost up to which index there was more. The others give that back.
//      LogStore::ReadSnapshot reads parts of a snapshot for a follower without keeping the loop
//      waiting; one that nothing reads any more goes when two newer ones are there. What a follower
//      receives is written as it comes, and read back by LogStore::LoadReceived.
//   4. Transport::Send may lose, delay, repeat and reorder messages, but neither change them nor
//      block. All that comes in goes to Driver::Step. Driver::PeerLost is optional, and makes an
//      election quick when it is known that a process is gone.
//   5. StateMachine::Apply depends on nothing but the entries and what was applied before, so that
//      all nodes come to the same state. A snapshot is all of that state.
//   6. Everything but Driver::Step, PeerLost and status runs on the one event loop, callbacks too.
//      A loop that stands still for the election timeout loses its lead.
//   7. An outcome of Propose that is OK is committed, and applied here. kNotLeader and
//      kResourceExhausted: nothing was appended; try there, or later. kUnavailable: nobody knows
//      yet. A command that must not count twice has to carry an id that Apply remembers.
//   8. A read that must not miss what was acknowledged waits for Driver::ReadIndex, and then looks
//      at the state machine. Without it any node may tell of the past.
//   9. set_on_failure's call means that the disk has failed: this node is silent from then on. End
//      the process, and see 3.
//  10. To stop, hand over first (TransferLeadership), so that nobody waits for a timeout. The
//      driver goes before what it works with, on its loop or after that has stopped.
//
// The example below is part of tests/raft_counter/counter.cc, which adds a disk and a network in
// memory and three nodes, kills two leaders one after the other and brings the first one back.
//
// Thread rule: that of each header.

#include "base/event_loop.h"
#include "raft/config.h"
#include "raft/driver.h"
#include "raft/log_store.h"
#include "raft/state_machine.h"
#include "raft/transport.h"
#include "raft/types.h"

#ifdef SLUICE_RAFT_EXAMPLE
namespace sluice::raft::example {

// A number that all nodes agree on. A command is what to add to it.
class Counter final : public StateMachine {
 public:
  void Apply(const std::vector<Entry>& committed) override {
    for (const Entry& entry : committed) {
      if (entry.type == EntryType::kNormal) value_ += std::stoll(entry.data);
    }
  }
  std::string TakeSnapshot() override { return std::to_string(value_); }
  void LoadSnapshot(const SnapshotMeta&, std::string_view data) override {
    value_ = std::stoll(std::string(data));
  }
  void OnRoleChange(Role, Term, NodeId) override {}
  void OnLeaderReady(Term) override {}
  int64_t value() const { return value_; }

 private:
  int64_t value_ = 0;
};

// One of the nodes. `done` is called on the loop.
class CounterNode {
 public:
  CounterNode(VoterId self, EventLoop& loop, LogStore& log, Transport& transport)
      : loop_(loop),
        driver_({.config = {}, .cluster_id = "count", .self = self, .random = Random::FromSystem()},
                {.loop = loop, .log = log, .transport = transport, .state_machine = counter_}) {
    loop_.Post([this] { driver_.Start(); });
  }
  void Add(int64_t amount, std::function<void(Result<LogIndex>)> done) {
    loop_.Post([this, amount, done] { driver_.Propose(std::to_string(amount), done); });
  }
  // With everything that was acknowledged before the call.
  void Get(std::function<void(Result<int64_t>)> done) {
    loop_.Post([this, done] {
      driver_.ReadIndex([this, done](const Result<LogIndex>& index) {
        done(index.ok() ? Result<int64_t>(counter_.value()) : Result<int64_t>(index.status()));
      });
    });
  }
  void TakeSnapshot() {
    loop_.Post([this] { driver_.TakeSnapshot(); });
  }
  Driver& driver() { return driver_; }

 private:
  EventLoop& loop_;
  Counter counter_;
  Driver driver_;
};

}  // namespace sluice::raft::example
#endif  // SLUICE_RAFT_EXAMPLE
