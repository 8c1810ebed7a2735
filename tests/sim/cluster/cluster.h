#pragma once
// Cluster: simulated hosts with their processes and clients, and what can be done to them. After
// every instant of virtual time in which something ran, the checks look at it.
//
//   Cluster cluster({.nodes = 3}, seed);
//   cluster.StartAll();
//   cluster.RunUntil([&] { return cluster.ControllerIsActive(); }, 5000);
//
// Thread rule: one thread.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/cluster/admin.h"
#include "tests/sim/cluster/checks/check.h"
#include "tests/sim/cluster/client.h"
#include "tests/sim/cluster/consumer.h"
#include "tests/sim/cluster/host.h"
#include "tests/sim/cluster/process.h"
#include "tests/sim/cluster/producer.h"
#include "tests/sim/cluster/world.h"

namespace sluice::sim {

struct TopicOptions {
  std::string name;
  int partitions = 1;
  int replication_factor = 3;
  std::map<std::string, std::string> configs;
  std::vector<NodeId> replicas;  // of its one partition, in that order; empty: the cluster chooses
};

inline constexpr int32_t kFirstClientHost = 101;

class Cluster {
 public:
  Cluster(const HostOptions& options, uint64_t seed);
  ~Cluster();

  // ---- Faults
  void Start(NodeId id);
  void StartAll();
  void Kill(NodeId id);      // the process; what it had written stays
  void PowerCut(NodeId id);  // the host: what was not synced may be gone
  // The disk of the records is replaced by an empty one; the node is down.
  void ReplaceDisk(NodeId id);
  void StopCleanly(NodeId id);
  void Pause(NodeId id) { world_.process(id)->Pause(); }
  void Resume(NodeId id) { world_.process(id)->Resume(); }
  // From all other nodes; clients reach it.
  void Isolate(NodeId id);
  void Heal() { world_.network().HealAll(); }
  bool running(NodeId id) const { return world_.process(id) != nullptr; }
  // A clean stop is under way.
  bool stopping(NodeId id) const { return stopping_.contains(id); }
  bool paused(NodeId id) const { return running(id) && world_.process(id)->paused(); }

  // ---- Clients
  void CreateTopic(const TopicOptions& options, std::function<void(bool created)> done);
  // Runs until it is there.
  bool CreateTopicNow(const TopicOptions& options, int64_t limit_ms);
  Producer& AddProducer(ProducerOptions options);
  // Whose topic comes and goes.
  void AddScratchProducer(ProducerOptions options);
  Admin& AddAdmin(AdminOptions options);
  Admin* admin() { return admin_.get(); }
  Consumer& AddConsumer(history::Place place);
  Log& log() { return log_; }
  // Of clients of topics that come and go; nobody judges it.
  Log& scratch() { return scratch_; }

  // ---- Time. Each ends early at a breach.
  void RunForMs(int64_t ms);
  bool RunUntil(const std::function<bool()>& done, int64_t limit_ms);
  uint64_t steps() const { return steps_; }
  int64_t now_ms() { return world_.clock().SteadyMs(); }

  // ---- What is known
  const std::vector<NodeId>& ids() const { return ids_; }
  World& world() { return world_; }
  Host& host(NodeId id) { return *hosts_.at(id); }
  std::shared_ptr<Process> process(NodeId id) const { return world_.process(id); }
  // Of the node's replicas at this instant.
  const std::vector<broker::PartitionStatus>& StatusesOf(NodeId id);
  // The active controller's of the highest term, or null.
  metadata::ImagePtr ActiveImage() const;
  // The newest that any controller has ever had committed. A former one may call itself active.
  const metadata::ImagePtr& NewestImage() const { return newest_image_; }
  const std::vector<std::unique_ptr<Producer>>& producers() const { return producers_; }
  const std::vector<std::unique_ptr<Consumer>>& consumers() const { return consumers_; }
  // An operator is about to have a leader elected who may lack records. Once that is no breach, and
  // what other replicas hold besides is void.
  void ExpectUncleanElection() { unclean_expected_ = true; }
  bool unclean_expected() const { return unclean_expected_; }
  // It is the one that is expected.
  bool TakeUncleanElection(const broker::PartitionKey& key);
  // So far.
  int unclean_elections(const broker::PartitionKey& key) const;
  // After one, until the replica is in the ISR.
  bool MayHoldVoid(NodeId id, const broker::PartitionKey& key) const;
  // Empty, or what must not be.
  const std::string& breach() const { return breach_; }
  void Breach(const std::string& what);
  std::string Describe() const;

 private:
  void End(NodeId id, bool host_lost);
  bool Step();
  void CheckInstant();

  const HostOptions options_;
  World world_;
  std::vector<NodeId> ids_;
  std::map<NodeId, std::unique_ptr<Host>> hosts_;
  std::vector<std::unique_ptr<Check>> checks_;
  Log log_;
  Log scratch_;
  std::set<NodeId> stopping_;
  int32_t next_client_host_ = kFirstClientHost;
  std::vector<std::unique_ptr<Producer>> producers_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  std::vector<std::unique_ptr<Producer>> scratch_producers_;
  std::unique_ptr<Admin> admin_;
  std::vector<std::unique_ptr<KafkaConnection>> admin_connections_;
  std::map<NodeId, std::optional<std::vector<broker::PartitionStatus>>> statuses_;
  metadata::ImagePtr newest_image_ = metadata::EmptyImage();
  bool unclean_expected_ = false;
  std::map<broker::PartitionKey, int> unclean_elections_;
  uint64_t steps_ = 0;
  std::string breach_;
};

}  // namespace sluice::sim
