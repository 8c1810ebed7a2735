#include "admin/describe.h"

#include <map>
#include <utility>

namespace sluice::admin {
namespace {

std::string_view SourceName(metadata::ConfigSource source) {
  switch (source) {
    case metadata::ConfigSource::kTopic: return "topic";
    case metadata::ConfigSource::kDynamicBroker: return "broker";
    case metadata::ConfigSource::kDynamicDefaultBroker: return "cluster";
    case metadata::ConfigSource::kStaticBroker: return "static";
    case metadata::ConfigSource::kGroup: return "group";
    case metadata::ConfigSource::kDefault: return "default";
  }
  return "default";
}

std::string_view StateName(const metadata::BrokerImage& broker) {
  // Fenced only once its session is over, or its process gone.
  if (broker.in_controlled_shutdown) return broker.fenced ? "stopped" : "shutting-down";
  return broker.fenced ? "fenced" : "active";
}

std::string_view GoalName(metadata::BrokerGoal goal) {
  switch (goal) {
    case metadata::BrokerGoal::kServe: return "serve";
    case metadata::BrokerGoal::kDrain: return "drain";
    case metadata::BrokerGoal::kDecommission: return "decommission";
  }
  return "serve";
}

std::string KafkaAddress(const metadata::BrokerImage& broker) {
  if (broker.endpoints.empty()) return "";
  const metadata::EndpointImage& endpoint = broker.endpoints.front();
  const bool is_ipv6 = endpoint.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" +
         std::to_string(endpoint.port);
}

struct Load {
  int32_t leaders = 0;
  int32_t replicas = 0;
  int32_t moving_away = 0;
};

std::map<NodeId, Load> CountLoad(const metadata::Image& image) {
  std::map<NodeId, Load> loads;
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (const metadata::PartitionImage& partition : topic->partitions) {
      ++loads[partition.leader].leaders;
      for (const NodeId replica : partition.replicas) ++loads[replica].replicas;
      for (const NodeId replica : partition.removing) ++loads[replica].moving_away;
    }
  }
  return loads;
}

void DescribeNode(const metadata::BrokerImage& broker, const Load& load, Node* out) {
  out->set_id(broker.id.value());
  out->add_roles("broker");
  if (broker.is_controller) out->add_roles("controller");
  out->set_state(std::string(StateName(broker)));
  out->set_goal(std::string(GoalName(broker.goal)));
  out->set_kafka_address(KafkaAddress(broker));
  out->set_grpc_address(broker.grpc_address);
  out->set_http_address(broker.http_address);
  out->set_rack(broker.rack);
  out->set_version(broker.version);
  out->set_leaders(load.leaders);
  out->set_replicas(load.replicas);
}

void AddIds(const std::vector<NodeId>& nodes, google::protobuf::RepeatedField<int32_t>* out) {
  for (const NodeId node : nodes) out->Add(node.value());
}

void DescribeVoter(const QuorumAnswer& answer, const QuorumAnswer::Voter& voter, Voter* out) {
  out->set_id(voter.id());
  out->set_address(voter.address());
  out->set_match_index(voter.match_index());
  out->set_lag(std::max<int64_t>(0, answer.commit_index() - voter.match_index()));
  out->set_last_contact_age_ms(voter.last_contact_age_ms());
  out->set_recovering(voter.recovering());
  if (voter.directory_id().size() == 16)
    out->set_disk_id(Uuid::FromBytes(voter.directory_id()).ToString());
}

}  // namespace

void DescribeQuorum(const QuorumAnswer& answer, Quorum* out) {
  out->set_leader_id(answer.leader_id());
  out->set_term(answer.term());
  out->set_commit_index(answer.commit_index());
  for (const auto& voter : answer.voters()) DescribeVoter(answer, voter, out->add_voters());
  for (const auto& learner : answer.learners()) DescribeVoter(answer, learner, out->add_learners());
}

bool IsOffline(const metadata::PartitionImage& partition) { return partition.leader == kNoNode; }

bool IsUnderReplicated(const metadata::PartitionImage& partition) {
  return partition.isr.size() < partition.replication_factor();
}

bool IsUnderMinIsr(const metadata::Image& image, const std::string& topic,
                   const metadata::PartitionImage& partition) {
  return static_cast<int32_t>(partition.isr.size()) <
         metadata::EffectiveMinIsr(image, topic, partition);
}

bool IsAtMinIsr(const metadata::Image& image, const std::string& topic,
                const metadata::PartitionImage& partition) {
  return static_cast<int32_t>(partition.isr.size()) ==
         metadata::EffectiveMinIsr(image, topic, partition);
}

void DescribePartition(const metadata::TopicImage& topic, size_t index, Partition* out) {
  const metadata::PartitionImage& partition = topic.partitions[index];
  out->set_topic(topic.name);
  out->set_partition(static_cast<int32_t>(index));
  out->set_leader(partition.leader.value());
  out->set_leader_epoch(partition.leader_epoch.value());
  out->set_partition_epoch(partition.partition_epoch.value());
  AddIds(partition.replicas, out->mutable_replicas());
  AddIds(partition.isr, out->mutable_isr());
  AddIds(partition.elr, out->mutable_elr());
  AddIds(partition.adding, out->mutable_adding());
  AddIds(partition.removing, out->mutable_removing());
  out->set_move_bytes_per_second(int64_t{partition.move_kib_per_second} * 1024);
}

void DescribeTopic(const metadata::Image& image, const metadata::TopicImage& topic, Topic* out) {
  out->set_name(topic.name);
  out->set_topic_id(topic.id.ToString());
  for (size_t i = 0; i < topic.partitions.size(); ++i)
    DescribePartition(topic, i, out->add_partitions());
  for (const auto& [key, value] : image.TopicConfigs(topic.name))
    (*out->mutable_configs())[key] = value;
}

ListTopicsResponse DescribeTopics(const metadata::Image& image, const std::string& name_prefix) {
  ListTopicsResponse response;
  for (auto it = image.topics_by_name->lower_bound(name_prefix); it != image.topics_by_name->end();
       ++it) {
    const metadata::TopicImage& topic = *it->second;
    if (!topic.name.starts_with(name_prefix)) break;
    TopicSummary* summary = response.add_topics();
    summary->set_name(topic.name);
    summary->set_topic_id(topic.id.ToString());
    summary->set_partitions(static_cast<int32_t>(topic.partitions.size()));
    if (!topic.partitions.empty()) {
      summary->set_replication_factor(
          static_cast<int32_t>(topic.partitions.front().replication_factor()));
    }
    int32_t offline = 0;
    int32_t under_replicated = 0;
    for (const metadata::PartitionImage& partition : topic.partitions) {
      offline += IsOffline(partition) ? 1 : 0;
      under_replicated += IsUnderReplicated(partition) ? 1 : 0;
    }
    summary->set_partitions_without_leader(offline);
    summary->set_partitions_under_replicated(under_replicated);
  }
  return response;
}

ListPartitionsResponse DescribePartitions(const metadata::Image& image,
                                          const ListPartitionsRequest& request) {
  ListPartitionsResponse response;
  for (const auto& [name, topic] : *image.topics_by_name) {
    if (!request.topic().empty() && request.topic() != name) continue;
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const metadata::PartitionImage& partition = topic->partitions[i];
      const bool unhealthy = IsOffline(partition) || IsUnderReplicated(partition) ||
                             IsUnderMinIsr(image, name, partition);
      if ((unhealthy || !request.unhealthy_only()) &&
          (partition.moving() || !request.moving_only()))
        DescribePartition(*topic, i, response.add_partitions());
    }
  }
  return response;
}

DescribeTopicConfigResponse DescribeConfigs(const metadata::TopicConfigScope& scope,
                                            const std::string& topic) {
  DescribeTopicConfigResponse response;
  for (const ConfigKey& key : metadata::TopicConfigKeys()) {
    const metadata::EffectiveConfig effective =
        metadata::EffectiveTopicConfig(scope, topic, key.name);
    ConfigEntry* entry = response.add_configs();
    entry->set_key(std::string(key.name));
    entry->set_value(effective.value);
    entry->set_source(std::string(SourceName(effective.source)));
    entry->set_doc(std::string(key.doc));
  }
  return response;
}

std::vector<Broker> DescribeBrokers(const metadata::Image& image, std::optional<NodeId> only) {
  std::vector<Broker> brokers;
  std::map<NodeId, Load> loads = CountLoad(image);
  for (const auto& [id, broker] : image.brokers) {
    if (only && *only != id) continue;
    Broker& out = brokers.emplace_back();
    out.set_id(id.value());
    out.set_address(KafkaAddress(*broker));
    out.set_rack(broker->rack);
    out.set_state(std::string(StateName(*broker)));
    out.set_goal(std::string(GoalName(broker->goal)));
    out.set_leaders(loads[id].leaders);
    out.set_replicas(loads[id].replicas);
    out.set_moving_away(loads[id].moving_away);
    out.set_version(broker->version);
  }
  return brokers;
}

DescribeClusterResponse DescribeCluster(const metadata::Image& image, const QuorumAnswer* quorum) {
  DescribeClusterResponse response;
  response.set_cluster_id(image.cluster_id);
  response.set_controller_id(quorum == nullptr ? -1 : quorum->leader_id());
  response.set_metadata_index(image.last_index.value());
  std::map<NodeId, Load> loads = CountLoad(image);
  for (const auto& [id, broker] : image.brokers)
    DescribeNode(*broker, loads[id], response.add_nodes());
  response.mutable_quorum()->set_leader_id(-1);
  if (quorum == nullptr) return response;
  DescribeQuorum(*quorum, response.mutable_quorum());
  for (const auto& voter : quorum->voters()) {
    if (image.FindBroker(NodeId(voter.id())) != nullptr) continue;
    Node* node = response.add_nodes();
    node->set_id(voter.id());
    node->add_roles("controller");
    node->set_grpc_address(voter.address());
  }
  return response;
}

}  // namespace sluice::admin
