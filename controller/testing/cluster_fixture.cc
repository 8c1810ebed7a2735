#include "controller/testing/cluster_fixture.h"

#include "metadata/invariants.h"

namespace sluice::controller::testing {

namespace {

std::string TestUuid(int kind, int n) {
  std::string bytes(16, '\0');
  bytes[0] = static_cast<char>(kind);
  bytes[14] = static_cast<char>(n >> 8);
  bytes[15] = static_cast<char>(n);
  return bytes;
}

std::string Join(const std::vector<NodeId>& nodes) {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ",") + std::to_string(node.value());
  return text;
}

Sender SenderOf(const TestBroker& broker) {
  Sender sender;
  sender.set_cluster_id("cluster");
  sender.set_node_id(broker.id);
  sender.set_directory_id(TestUuid(2, broker.directory));
  sender.set_broker_epoch(broker.epoch);
  return sender;
}

}  // namespace

ClusterFixture::ClusterFixture(uint64_t seed, BrokerManagerOptions brokers)
    : random_(seed), checked_(metadata::EmptyImage()) {
  controller_ = std::make_unique<MetadataController>(
      ControllerOptions{.self = NodeId(1),
                        .cluster_id = "cluster",
                        .server = server_,
                        .addresses = {{NodeId(1), "host1:1"}, {NodeId(2), "host2:1"}},
                        .brokers = brokers,
                        .random = random_.Fork()},
      loop_, dialer_, feed_);
  controller_->Start(&quorum_);
  quorum_.Attach(controller_.get());
}

ClusterFixture::~ClusterFixture() { controller_->Stop(); }

TestBroker& ClusterFixture::Broker(int id) {
  TestBroker& broker = brokers_[id];
  if (broker.id == 0) broker = {.id = id, .incarnation = id * 100, .directory = id};
  return broker;
}

Sender ClusterFixture::SenderFor(int id) { return SenderOf(Broker(id)); }

RegisterBrokerRequest ClusterFixture::RegisterRequest(int id) {
  const TestBroker& broker = Broker(id);
  RegisterBrokerRequest request;
  *request.mutable_sender() = SenderOf(broker);
  metadata::RegisterBrokerRecord& record = *request.mutable_broker();
  record.set_broker_id(id);
  record.set_incarnation_id(TestUuid(1, broker.incarnation));
  record.set_directory_id(TestUuid(2, broker.directory));
  record.set_boot_id(broker.boot);
  record.set_rack(broker.rack);
  record.set_grpc_address("broker" + std::to_string(id));
  metadata::Endpoint& endpoint = *record.add_endpoints();
  endpoint.set_listener("PLAINTEXT");
  endpoint.set_host("127.0.0.1");
  endpoint.set_port(9000 + id);
  record.set_is_controller(id == 1);
  for (const auto& [topic, partition] : broker.damaged) {
    request.add_damaged()->set_topic(topic);
    request.mutable_damaged()->rbegin()->set_partition(partition);
  }
  record.set_keeps_epoch(broker.keeps_epoch);
  request.set_previous_broker_epoch(broker.previous_epoch);
  if (const auto kept = broker.kept_epochs.find(broker.directory); kept != broker.kept_epochs.end())
    request.set_kept_broker_epoch(kept->second);
  for (const int directory : broker.log_directories) {
    record.add_log_dirs(TestUuid(2, directory));
    auto& told = *request.add_directories();
    told.set_id(TestUuid(2, directory));
    const auto epoch = broker.previous_epochs.find(directory);
    told.set_previous_broker_epoch(epoch == broker.previous_epochs.end() ? -1 : epoch->second);
    if (const auto kept = broker.kept_epochs.find(directory); kept != broker.kept_epochs.end())
      told.set_kept_broker_epoch(kept->second);
  }
  return request;
}

RegisterBrokerResponse ClusterFixture::Register(int id) {
  const RegisterBrokerResponse response =
      Call(&MetadataController::RegisterBroker, RegisterRequest(id));
  if (response.outcome().error_code() == 0) Broker(id).epoch = response.broker_epoch();
  return response;
}

HeartbeatRequest ClusterFixture::NextHeartbeat(int id) {
  const TestBroker& broker = Broker(id);
  HeartbeatRequest request;
  *request.mutable_sender() = SenderOf(broker);
  request.set_applied_index(controller_->committed()->last_index.value());
  request.set_ready(broker.ready);
  request.set_want_shutdown(broker.want_shutdown);
  request.set_synced_index(broker.synced_index);
  for (const int directory : broker.offline_log_directories)
    request.add_offline_log_dirs(TestUuid(2, directory));
  for (const int directory : broker.full_log_directories)
    request.add_full_log_dirs(TestUuid(2, directory));
  for (const auto& [topic, partition] : broker.found_damaged) {
    auto& told = *request.add_damaged();
    told.set_topic_id(std::string(controller_->committed()->FindTopic(topic)->id.view()));
    told.set_partition(partition);
  }
  for (const auto& [place, end] : broker.log_ends) {
    const auto topic = controller_->committed()->FindTopic(place.first);
    if (topic == nullptr || Partition(place.first, place.second).leader != kNoNode) continue;
    auto& told = *request.add_log_ends();
    told.set_topic_id(std::string(topic->id.view()));
    told.set_partition(place.second);
    told.set_leader_epoch(Partition(place.first, place.second).leader_epoch.value());
    told.set_last_epoch(end.first);
    told.set_end_offset(end.second);
  }
  return request;
}

HeartbeatResponse ClusterFixture::Heartbeat(int id) {
  return Call(&MetadataController::Heartbeat, NextHeartbeat(id));
}

void ClusterFixture::StartBrokers(int count) {
  for (int id = 1; id <= count; ++id) {
    EXPECT_EQ(Register(id).outcome().error_code(), 0);
    Heartbeat(id);
  }
}

void ClusterFixture::BeatFor(int64_t ms, std::vector<int> ids) {
  for (int64_t passed_ms = 0; passed_ms < ms; passed_ms += 100) {
    for (const int id : ids) Heartbeat(id);
    RunForMs(100);
  }
}

ChangeBrokerResponse::Refusal ClusterFixture::Change(ChangeBrokerRequest::Operation operation,
                                                     int id, bool force) {
  ChangeBrokerRequest request;
  request.set_operation(operation);
  request.set_broker_id(id);
  request.set_force(force);
  return Call(&MetadataController::ChangeBroker, request).refusal();
}

TopicOutcome ClusterFixture::CreateTopic(const std::string& name, int32_t partitions,
                                         int32_t factor,
                                         std::map<std::string, std::string> configs) {
  CreateTopicsRequest request;
  CreatableTopic& topic = *request.add_topics();
  topic.set_name(name);
  topic.set_partition_count(partitions);
  topic.set_replication_factor(factor);
  topic.mutable_configs()->insert(configs.begin(), configs.end());
  const CreateTopicsResponse response = Call(&MetadataController::CreateTopics, request);
  return response.topics_size() == 1 ? response.topics(0) : TopicOutcome();
}

TopicOutcome ClusterFixture::CreateAssigned(const std::string& name,
                                            std::vector<std::vector<int>> replicas) {
  CreateTopicsRequest request;
  CreatableTopic& topic = *request.add_topics();
  topic.set_name(name);
  topic.set_partition_count(-1);
  topic.set_replication_factor(-1);
  for (size_t i = 0; i < replicas.size(); ++i) {
    auto& assignment = *topic.add_assignments();
    assignment.set_partition(static_cast<int32_t>(i));
    assignment.mutable_replicas()->Add(replicas[i].begin(), replicas[i].end());
  }
  return Call(&MetadataController::CreateTopics, request).topics(0);
}

AlterPartitionRequest ClusterFixture::AlterIsrRequest(int sender, const std::string& topic,
                                                      std::vector<int> isr) {
  AlterPartitionRequest request;
  *request.mutable_sender() = SenderOf(Broker(sender));
  auto& partition = *request.add_partitions();
  partition.set_topic_id(std::string(controller_->committed()->FindTopic(topic)->id.view()));
  partition.set_leader_epoch(Partition(topic).leader_epoch.value());
  partition.set_partition_epoch(Partition(topic).partition_epoch.value());
  for (const int id : isr) {
    auto& replica = *partition.add_isr();
    replica.set_id(id);
    replica.set_broker_epoch(Broker(id).epoch);
  }
  return request;
}

AlterPartitionResponse ClusterFixture::AlterIsr(int sender, const std::string& topic,
                                                std::vector<int> isr) {
  return Call(&MetadataController::AlterPartition, AlterIsrRequest(sender, topic, std::move(isr)));
}

PartitionOutcome ClusterFixture::Reassign(const std::string& topic,
                                          std::optional<std::vector<int>> replicas,
                                          bool factor_may_change,
                                          std::optional<uint32_t> kib_per_second) {
  AlterPartitionReassignmentsRequest request;
  auto& partition = *request.add_partitions();
  partition.set_topic(topic);
  if (replicas)
    partition.mutable_replicas()->mutable_ids()->Add(replicas->begin(), replicas->end());
  if (kib_per_second) partition.set_kib_per_second(*kib_per_second);
  request.set_allow_replication_factor_change(factor_may_change);
  return Call(&MetadataController::AlterPartitionReassignments, request).partitions(0);
}

PartitionOutcome ClusterFixture::ElectLeader(const std::string& topic, bool unclean) {
  ElectLeadersRequest request;
  request.add_partitions()->set_topic(topic);
  request.set_unclean(unclean);
  return Call(&MetadataController::ElectLeaders, request).partitions(0);
}

int32_t ClusterFixture::Assign(int sender, const std::string& topic, int directory, bool moved) {
  AssignReplicasToDirsRequest request;
  *request.mutable_sender() = SenderOf(Broker(sender));
  auto& replica = *request.add_replicas();
  replica.set_topic_id(std::string(controller_->committed()->FindTopic(topic)->id.view()));
  replica.set_directory(TestUuid(2, directory));
  replica.set_moved(moved);
  const auto response = Call(&MetadataController::AssignReplicasToDirs, request);
  return response.outcome().error_code() != 0 ? response.outcome().error_code()
                                              : response.replicas(0).error_code();
}

AlterConfigsResponse::Resource ClusterFixture::AlterConfig(
    metadata::ConfigResourceType type, const std::string& name, const std::string& key,
    std::optional<std::string> value, AlterConfigsRequest::Operation operation) {
  AlterConfigsRequest request;
  auto& resource = *request.add_resources();
  resource.set_type(type);
  resource.set_name(name);
  auto& entry = *resource.add_entries();
  entry.set_key(key);
  entry.set_operation(operation);
  if (value) entry.set_value(*value);
  return Call(&MetadataController::AlterConfigs, request).resources(0);
}

void ClusterFixture::CommitAll() {
  while (quorum_.pending() > 0) {
    quorum_.Commit(1);
    Check();
  }
}

void ClusterFixture::RunForMs(int64_t ms) {
  for (; ms > 0; ms -= 5) {
    scheduler_.RunForMs(std::min<int64_t>(ms, 5));
    CommitAll();
  }
}

void ClusterFixture::Check() {
  const metadata::ImagePtr image = controller_->committed();
  const Status sound = metadata::CheckImage(*image);
  EXPECT_TRUE(sound.ok()) << sound.ToString();
  const Status step = metadata::CheckTransition(*checked_, *image);
  EXPECT_TRUE(step.ok()) << step.ToString();
  checked_ = image;
}

const metadata::PartitionImage& ClusterFixture::Partition(const std::string& topic,
                                                          int partition) const {
  return controller_->committed()->FindTopic(topic)->partitions.at(static_cast<size_t>(partition));
}

std::string ClusterFixture::ShowMove(const std::string& topic) const {
  const metadata::PartitionImage& p = Partition(topic);
  return "replicas=" + Join(p.replicas) + " adding=" + Join(p.adding) +
         " removing=" + Join(p.removing) +
         (p.move_kib_per_second == 0 ? "" : " rate=" + std::to_string(p.move_kib_per_second));
}

std::string ClusterFixture::Show(const std::string& topic, int partition) const {
  const metadata::PartitionImage& p = Partition(topic, partition);
  return "leader=" + std::to_string(p.leader.value()) + " isr=" + Join(p.isr) +
         " elr=" + Join(p.elr) + " known=" + Join(p.last_known_elr);
}

}  // namespace sluice::controller::testing
