#pragma once
// KafkaClient: what simulated clients have in common: a host of their own on the network,
// connections to nodes, and where the leaders are as the nodes tell.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/uuid.h"
#include "kafka/error_code.h"
#include "tests/sim/cluster/kafka_wire.h"
#include "tests/sim/cluster/world.h"
#include "tests/support/history/history.h"

namespace sluice::sim {

inline constexpr int64_t kRequestTimeoutMs = 3000;

// A produce request that a leader has said yes to, as it stood when the answer left.
struct Acknowledgement {
  history::Place place;
  TopicId topic_id;
  NodeId leader = kNoNode;
  int16_t acks = -1;
  int64_t first_offset = 0;
  int64_t last_offset = 0;
  bool fsync = true;    // by what the leader knew of the topic
  int32_t min_isr = 1;  // the same
};

// What happened to all clients of a run.
struct Log {
  history::History history;
  std::vector<Acknowledgement> acknowledgements;  // since the last look
  std::vector<std::string> breaches;              // what a client saw that no cluster may do
  history::Value next_value = 1;
  int32_t next_client = 1;
  uint64_t acknowledged = 0;
  uint64_t given_up = 0;
  uint64_t records_read = 0;
  bool losses_known = false;    // an operator had a leader elected who lacks records
  bool records_expire = false;  // a log may begin above a reader's position

  // What was promised until now need not hold any more. Nobody sends meanwhile.
  void ForgetPromises();
};

struct KnownPartition {
  NodeId leader = kNoNode;
  int32_t leader_epoch = -1;
};
struct KnownTopic {
  Uuid id;
  std::vector<KnownPartition> partitions;
};

class KafkaClient {
 public:
  KafkaClient(World& world, NodeId self, std::vector<NodeId> nodes, Log& log)
      : world_(world),
        random_(world.random().Fork()),
        log_(log),
        self_(self),
        nodes_(std::move(nodes)) {}
  virtual ~KafkaClient() { *alive_ = false; }

 protected:
  // Asks some node for everything; `done` runs when the answer is there or will not come.
  void Refresh(std::function<void()> done);
  const KnownPartition* Find(const history::Place& place) const;
  KafkaConnection& To(NodeId node);
  NodeId AnyNode() { return nodes_[random_.Below(nodes_.size())]; }
  // Unless this is gone by then.
  void Later(int64_t delay_ms, std::function<void()> task);
  int64_t now_us() { return world_.clock().SteadyMicros(); }

  World& world_;
  Random random_;
  Log& log_;
  const NodeId self_;
  const std::vector<NodeId> nodes_;
  std::map<std::string, KnownTopic> topics_;

 private:
  std::map<NodeId, std::unique_ptr<KafkaConnection>> connections_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sluice::sim
