#pragma once
// SimGroupCluster: the coordinators of one partition of __consumer_offsets on simulated brokers,
// and the network between them and clients. Real code: all of broker/group but the few lines that
// find the partition of a group. Simulated: the log (model_log.h), the key-value store's disk, the
// loops, and what the API handlers do with topic names.
//
// A connection carries requests and answers in their order, each late, or none any more. A request
// that a broker has received is handled there, however late, even if its client has gone.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/group/group_loop.h"
#include "broker/group/testing/group_invariants.h"
#include "broker/group/testing/model_log.h"
#include "broker/group/testing/topic_table.h"
#include "storage/testing/sim_kv.h"

namespace sluice::broker::testing {

class SimMember;

struct SimGroupOptions {
  GroupConfig config;
  GroupCoordinatorLimits limits;
  size_t batch_bytes_max = 1048588;
  int64_t write_timeout_ms = 5000;
  // Of the clients' network.
  int64_t network_ms_max = 5;
  uint64_t loss = 0;        // in thousands, of requests and of answers: with all that follow
  uint64_t duplicates = 0;  // in thousands, of requests
  // Of the log; `key` and `nodes` are set here.
  ModelLogOptions log;
  uint64_t view_flushes = 10;  // in thousands, of writes
};

// A client's way to one broker.
struct SimConnection {
  NodeId to = kNoNode;
  bool open = true;
  bool requests_lost = false;
  bool answers_lost = false;
  int64_t last_request_ms = 0;
  int64_t last_answer_ms = 0;
  ParkedRequests parked;
  std::function<void()> on_broken;  // by the broker's death
};
using SimConnectionPtr = std::shared_ptr<SimConnection>;

class SimGroupCluster {
 public:
  using Done = std::function<void(const GroupResponse& response)>;

  SimGroupCluster(SimGroupOptions options, uint64_t seed);
  ~SimGroupCluster();

  // --- Brokers: ids from 1 ---
  static constexpr int kNodes = 3;
  std::vector<NodeId> ids() const;
  bool alive(NodeId id) const { return nodes_.at(id)->groups != nullptr; }
  void Start(NodeId id);
  void Kill(NodeId id);
  // The process; or only the thread of its groups.
  void Pause(NodeId id);
  void PauseGroups(NodeId id);
  void Resume(NodeId id);
  void FlushView(NodeId id);
  // Its view is read with this outcome from now on.
  void FailReads(NodeId id, const Status& outcome) { nodes_.at(id)->disk.FailReads(outcome); }
  ModelLog& log() { return *log_; }
  // The network is in order from now on, or as the options say.
  void set_faults(bool on);
  // Compares it with a replay.
  void CheckView(NodeId id);
  // Null when it does not coordinate.
  const CoordinatorPartition* CoordinatorOf(NodeId id) const;

  // --- Topics ---
  TopicTable& topics() { return topics_; }
  void SpreadTopics() { log_->SpreadMetadata(); }

  // --- Clients ---
  SimConnectionPtr Connect(NodeId to);
  void Close(const SimConnectionPtr& connection);
  // `done` gets the answer, if it comes, once.
  void Send(const SimConnectionPtr& connection, GroupCaller caller, GroupRequest request,
            Done done);
  // Requests that live brokers have received and not answered, in words; also those of clients that
  // are gone.
  std::vector<std::string> Unanswered() const;
  // `then` gets what some broker believes; kNoNode: it does not know, or there is none.
  void FindCoordinator(std::function<void(NodeId)> then);
  std::set<SimMember*>& members() { return members_; }
  // The member owns `added` from now on.
  void CheckTaken(const SimMember& taker, const PartitionSet& added);

  // --- All of it ---
  ::sluice::testing::SimScheduler& scheduler() { return scheduler_; }
  int64_t now_ms() { return scheduler_.clock().SteadyMs(); }
  Random& random() { return random_; }
  GroupInvariants& invariants() { return invariants_; }
  void RunFor(int64_t ms);
  // Of all that happened, with its time.
  uint64_t trace_hash() const { return trace_hash_; }
  void Trace(std::string_view what);
  void set_trace(std::vector<std::string>* trace) { trace_ = trace; }

 private:
  struct Node {
    storage::testing::SimKvDisk disk;
    std::unique_ptr<storage::Kv> kv;
    std::unique_ptr<BrokerState> state;
    std::unique_ptr<MetadataCache> cache;
    std::unique_ptr<::sluice::testing::PausableLoop> loop;
    std::shared_ptr<GroupLoop> groups;  // null: dead
    // Of the image in `cache`.
    metadata::ImagePtr known_topics;
    LeaderEpoch known_epoch = kNoEpoch;
    bool paused = false;
    int boots = 0;
    std::vector<std::weak_ptr<SimConnection>> connections;
  };
  struct Request;

  int64_t Delay() { return random_.Between(0, options_.network_ms_max); }
  void Deliver(const std::shared_ptr<Request>& request);
  void Answer(const std::shared_ptr<Request>& request, GroupResponse response);
  void OnMetadata(NodeId id);

  const SimGroupOptions options_;
  ::sluice::testing::SimScheduler scheduler_;
  Random random_;
  ::sluice::testing::SimEventLoop world_;
  const PartitionKey key_;
  TopicTable topics_;
  GroupInvariants invariants_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::unique_ptr<ModelLog> log_;
  std::set<SimMember*> members_;
  std::vector<std::weak_ptr<Request>> arrived_;
  bool faults_ = true;
  uint64_t trace_hash_ = 14695981039346656037ULL;
  std::vector<std::string>* trace_ = nullptr;
};

}  // namespace sluice::broker::testing
