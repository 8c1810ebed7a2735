#pragma once
// SimController: a controller quorum that never fails, for the brokers' tests: it holds the image,
// elects with metadata/election.h and answers AlterPartition with the fences of the real one. The
// network between it and the brokers is SimCluster's.
//
// Thread rule: one thread.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "broker/leaderless_logs.h"
#include "kafka/error_code.h"
#include "metadata/election.h"
#include "metadata/image.h"
#include "metadata/replay.h"
#include "proto/controller.pb.h"

namespace sluice::broker::testing {

// Each simulated broker stands in a rack of its own.
inline std::string SimRack(NodeId id) { return "rack-" + std::to_string(id.value()); }

class SimController {
 public:
  // `on_change` runs after each change of the image.
  SimController(uint64_t seed, std::function<void()> on_change);

  const metadata::ImagePtr& image() const { return image_; }

  // The broker is fenced until SetFenced; its endpoint is its id as port. `online`: its log
  // directories when it has several.
  BrokerEpoch Register(NodeId id, const Uuid& directory, bool unclean,
                       const std::vector<Uuid>& online = {});
  // Of a broker with several log directories.
  void SetOnline(NodeId id, const std::vector<Uuid>& online);
  void SetFenced(NodeId id, bool fenced);
  // As of a broker whose disks are full: its replicas leave the ISRs, and are not taken back until
  // LetIn.
  void KeepOut(NodeId id);
  void LetIn(NodeId id) { kept_out_.erase(id); }
  // What heartbeats tell of damaged logs: the replica leaves the ISR where others are in it.
  void SetDamaged(NodeId id, const TopicId& topic_id, PartitionIndex index);
  // What a heartbeat tells of replicas that nobody leads: those that waited for it get their
  // leader.
  void SetLogEnds(NodeId id, const std::vector<LeaderlessLogs::End>& ends);
  TopicId CreateTopic(const std::string& name, const std::vector<std::vector<NodeId>>& assignments,
                      const metadata::ConfigMap& configs);
  void DeleteTopic(const std::string& name);
  // With the elections that it leads to.
  void SetTopicConfig(const std::string& name, const std::string& key, const std::string& value);
  void SetBrokerConfig(NodeId id, const std::string& key, const std::string& value);
  // Makes `leader` the leader whatever the rules say, alone in the ISR: an unclean election.
  void ForceLeader(const std::string& name, PartitionIndex index, NodeId leader);
  // A clean move of leadership within the ISR.
  void MoveLeader(const std::string& name, PartitionIndex index, NodeId leader);

  // To other replicas, or (nullopt) gives up the move under way. False: not now, and nothing
  // changed.
  bool Reassign(const std::string& name, PartitionIndex index,
                const std::optional<std::vector<NodeId>>& target, uint32_t kib_per_second = 0);

  controller::AlterPartitionResponse Alter(const controller::AlterPartitionRequest& request);
  controller::AssignReplicasToDirsResponse Assign(
      const controller::AssignReplicasToDirsRequest& request);

 private:
  using Records = std::vector<metadata::MetadataRecord>;

  using ReplicaActive = std::function<bool(const metadata::PartitionImage&, NodeId)>;

  bool IsActive(NodeId id) const;
  void AddConfig(const std::string& topic, const std::string& key, const std::string& value,
                 Records& records);
  void AddElections(const ReplicaActive& is_active, NodeId lost_data, Records& records);
  void AddElection(const metadata::TopicImage& topic, size_t index, metadata::ElectionInput input,
                   Records& records);
  kafka::ErrorCode CheckAlter(const controller::AlterPartitionRequest::Partition& asked,
                              NodeId sender) const;
  void Commit(const Records& records);

  Random random_;
  const std::function<void()> on_change_;
  metadata::ImagePtr image_;
  std::set<NodeId> kept_out_;
  std::map<std::pair<LeaderlessLogs::Replica, NodeId>, LeaderlessLogs::End> log_ends_;
};

}  // namespace sluice::broker::testing
