#pragma once
// Script: runs a story about a few cores, told in commands, and answers with everything they do.
// The stories are raft/testdata/*.txt: a block is comments and one command, a line of dashes, and
// the output. Nothing happens by itself: messages wait until they are delivered, writes until they
// are persisted, time until it is advanced.
//
//   set KEY N                 for the next cluster: window-messages, append-bytes or chunk-bytes
//   cluster N                 N voters with an empty log (but for the bootstrap entry), all started
//   elect N                   campaign and stabilize, without the details
//   campaign N                time goes on until N's election timer fires
//   advance N MS              N's clock moves
//   propose N DATA            read N              transfer N M         peer-lost N M
//   snapshot N
//   deliver N [M]             what waits for N (from M) arrives
//   drop N [M]                what waits for N (from M) is lost
//   keep N [M]                what waits for N (from M) will arrive once more
//   late N [M]                what was kept for N (from M) arrives
//   persist N [COUNT]         what N has handed to its disk, or the oldest so many, is durable
//   fetch N                   what N wants of its disk is read: the oldest part of a snapshot, or
//   the
//                             whole that it has received
//   spare N                   node N starts with an empty log: it knows nobody
//   add N M                   promote N M         remove N M: N is asked to change the members
//   members N                 who takes part, as far as N's log tells
//   progress N                what N, which leads, knows of the others' logs
//   rot N INDEX               N, which is stopped, has lost its log from INDEX on
//   crash N                   N stops; what was not persisted is gone, what it was sent too
//   wipe N                    as crash, and its disk is lost: the next start is with an empty one,
//                             of another id
//   format N                  the same, but it is formatted again under the former id
//   start N
//   stabilize [N...]          persists, fetches and delivers among these (all) until nothing moves
//   status                    a line for each node
//   log N                     its entries
//
// Thread rule: one thread, as all of the simulator.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/testing/sim_event_loop.h"
#include "raft/core.h"
#include "raft/testing/sim_log_store.h"

namespace sluice::raft::testing {

class Script {
 public:
  // The whole story again, with the outputs as they are.
  static std::string Rerun(std::string_view text);

  // The output of one command; "error: ..." for one that makes no sense.
  std::string Run(const std::string& command);

 private:
  struct Node {
    VoterId voter;
    SimDisk disk;
    std::unique_ptr<SimLogStore> store;
    std::unique_ptr<Core> core;
    int64_t now_ms = 0;
    uint64_t issued_persist = 0;
    std::deque<std::pair<uint64_t, PersistRequest>> writes;
    std::deque<std::pair<uint64_t, Message>> held;  // by the persist they wait for
    std::deque<SnapshotRead> reads;
    uint64_t load_received = 0;
    LogIndex told_commit = kNoIndex;
  };

  void MakeCluster(int voters);
  void AddSpare(int id);
  void ChangeMember(Node& node, const std::string& verb, const Node& other);
  void Start(Node& node);
  void Stop(Node& node);
  bool Command(const std::vector<std::string>& words);
  bool NodeCommand(const std::string& verb, Node& node, const std::vector<std::string>& words);
  bool CoreInput(const std::string& verb, Node& node, const std::vector<std::string>& words);
  bool Set(const std::string& key, size_t value);
  void Work(Node& node);
  void Tell(Node& node, Ready ready);
  void Persist(Node& node, size_t count = SIZE_MAX);
  void Fetch(Node& node);
  void Deliver(std::deque<Message>& waiting, Node& node, NodeId from);
  void Keep(Node& node, NodeId from);
  void Drop(Node& node, NodeId from);
  void Stabilize(const std::vector<std::string>& words);
  void Elect(Node& node);
  void PrintStatus();
  void PrintLog(const Node& node);
  void PrintProgress(const Node& node);
  void Say(const Node& node, const std::string& line);
  Node* Find(const std::string& word);

  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimEventLoop loop_{scheduler_};
  std::map<NodeId, Node> nodes_;
  RaftConfig config_{.inquire = false};
  std::deque<Message> network_;
  std::deque<Message> kept_;  // arrive once more
  std::string output_;
};

}  // namespace sluice::raft::testing
