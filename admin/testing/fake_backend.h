#pragma once
// FakeBackend: a Backend for tests, with an image that the test sets and controller answers that it
// chooses. Thread rule: set up first, then use from any thread.

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "admin/backend.h"
#include "base/testing/sim_clock.h"
#include "metadata/replay.h"
#include "metadata/server_config.h"

namespace sluice::admin::testing {

// An image of a cluster with three brokers (3 is fenced unless `all_up`) and the topic "orders"
// with two partitions on all of them.
inline metadata::ImagePtr ThreeBrokers(bool all_up) {
  metadata::MetadataBatch batch;
  batch.add_records()->mutable_cluster()->set_cluster_id("cluster");
  for (int32_t id = 1; id <= 3; ++id) {
    auto* broker = batch.add_records()->mutable_register_broker();
    broker->set_broker_id(id);
    broker->set_incarnation_id(std::string(16, static_cast<char>(id)));
    broker->set_directory_id(std::string(16, static_cast<char>(id)));
    broker->set_fenced(id == 3 && !all_up);
    broker->set_is_controller(id == 1);
    broker->set_grpc_address("host" + std::to_string(id) + ":9190");
    auto* endpoint = broker->add_endpoints();
    endpoint->set_listener("PLAINTEXT");
    endpoint->set_host("host" + std::to_string(id));
    endpoint->set_port(9092);
  }
  const std::string topic_id(16, 'T');
  batch.add_records()->mutable_topic()->set_name("orders");
  batch.mutable_records()->rbegin()->mutable_topic()->set_topic_id(topic_id);
  for (int32_t i = 0; i < 2; ++i) {
    auto* partition = batch.add_records()->mutable_partition();
    partition->set_topic_id(topic_id);
    partition->set_partition(i);
    partition->set_leader(i + 1);
    for (int32_t id = 1; id <= 3; ++id) {
      partition->add_replicas(id);
      if (id < 3 || all_up) partition->add_isr(id);
    }
  }
  auto* config = batch.add_records()->mutable_config();
  config->set_type(metadata::CONFIG_RESOURCE_TYPE_TOPIC);
  config->set_name("orders");
  config->set_key("min.insync.replicas");
  config->set_value("2");
  metadata::ImageBuilder builder(metadata::EmptyImage());
  const Status applied = builder.ApplyBatch(batch, LogIndex(5));
  CHECK(applied.ok()) << applied.ToString();
  return builder.Build(LogIndex(5), Term(1));
}

class FakeBackend final : public Backend {
 public:
  NodeId node_id() const override { return NodeId(1); }
  NodeIdentity Identity() const override { return identity; }
  const Clock& clock() const override { return sim_clock; }
  // Time passes at once.
  void RunAfter(int64_t delay_ms, std::function<void()> task) override {
    sim_clock.AdvanceMs(delay_ms);
    task();
  }
  const ConfigValues& config() const override { return values; }
  metadata::ImagePtr Image() const override { return image; }
  bool KnowsCluster() const override { return knows_cluster; }
  void WhenApplied(LogIndex index, int64_t, std::function<void(bool)> done) override {
    waited_for = index;
    done(applies);
  }
  Readiness Ready() const override { return readiness; }
  std::vector<LocalPartition> Partitions() const override { return partitions; }
  std::vector<LocalDirectory> Directories() const override { return directories; }
  std::optional<LocalController> Controller() const override { return controller; }
  std::optional<int64_t> ControllerHeardMsAgo() const override { return heard_ms_ago; }

  void CreateTopics(controller::CreateTopicsRequest request, int64_t,
                    Done<controller::CreateTopicsResponse> done) override {
    create_request = std::move(request);
    if (silent) {
      held.push_back([done] { done(Status::Unavailable("late")); });
      ++held_count;
      return;
    }
    done(topic_answer<controller::CreateTopicsResponse>());
  }
  void DeleteTopics(controller::DeleteTopicsRequest request, int64_t,
                    Done<controller::DeleteTopicsResponse> done) override {
    delete_request = std::move(request);
    done(topic_answer<controller::DeleteTopicsResponse>());
  }
  void CreatePartitions(controller::CreatePartitionsRequest request, int64_t,
                        Done<controller::CreatePartitionsResponse> done) override {
    partitions_request = std::move(request);
    done(topic_answer<controller::CreatePartitionsResponse>());
  }
  void AlterConfigs(controller::AlterConfigsRequest request, int64_t,
                    Done<controller::AlterConfigsResponse> done) override {
    configs_request = std::move(request);
    if (!unreachable.ok()) return done(unreachable);
    controller::AlterConfigsResponse response;
    response.set_applied_index(applied_index);
    response.add_resources()->set_error_code(error_code);
    response.mutable_resources(0)->set_message(error_message);
    done(response);
  }
  void AlterPartitionReassignments(
      controller::AlterPartitionReassignmentsRequest request, int64_t,
      Done<controller::AlterPartitionReassignmentsResponse> done) override {
    reassignments_request = std::move(request);
    done(partitions_answer<controller::AlterPartitionReassignmentsResponse>(
        reassignments_request.partitions()));
  }
  void ElectLeaders(controller::ElectLeadersRequest request, int64_t,
                    Done<controller::ElectLeadersResponse> done) override {
    elections_request = std::move(request);
    done(partitions_answer<controller::ElectLeadersResponse>(elections_request.partitions()));
  }
  void ChangeBroker(controller::ChangeBrokerRequest request, int64_t,
                    Done<controller::ChangeBrokerResponse> done) override {
    if (!unreachable.ok()) return done(unreachable);
    broker_change = std::move(request);
    controller::ChangeBrokerResponse response;
    response.mutable_refusal()->set_error_code(error_code);
    response.mutable_refusal()->set_message(error_message);
    response.set_applied_index(applied_index);
    response.set_changed(error_code == 0);
    done(response);
  }
  void DeleteRecords(NodeId leader, DeleteRecordsRequest request, int64_t,
                     Done<DeleteRecordsResponse> done) override {
    asked_leader = leader;
    delete_records_request = std::move(request);
    DeleteRecordsResponse response;
    response.set_low_watermark(delete_records_request.before_offset());
    done(response);
  }
  void DescribeQuorum(controller::DescribeQuorumRequest, int64_t,
                      Done<controller::DescribeQuorumResponse> done) override {
    if (!unreachable.ok()) return done(unreachable);
    done(quorum);
  }
  void ChangeQuorum(controller::ChangeQuorumRequest request, int64_t,
                    Done<controller::ChangeQuorumResponse> done) override {
    if (!unreachable.ok()) return done(unreachable);
    quorum_change = std::move(request);
    controller::ChangeQuorumResponse response;
    response.mutable_outcome()->set_error_code(error_code);
    response.mutable_outcome()->set_message(error_message);
    response.set_applied_index(applied_index);
    response.set_unchanged(unchanged);
    done(response);
  }
  void TransferController(controller::TransferControllerRequest request, int64_t,
                          Done<controller::TransferControllerResponse> done) override {
    transfer_request = std::move(request);
    controller::TransferControllerResponse response;
    response.mutable_outcome()->set_error_code(error_code);
    response.mutable_outcome()->set_message(error_message);
    done(response);
  }

  Result<NodeId> CoordinatorOf(const std::string& group) const override {
    return group_coordinator(group);
  }
#define SLUICE_FAKE_GROUP_CALL(name, hook)                                                     \
  void name(NodeId node, name##Request request, int64_t, Done<name##Response> done) override { \
    done(hook(node, request));                                                                 \
  }                                                                                            \
  std::function<Result<name##Response>(NodeId, const name##Request&)> hook =                   \
      [](NodeId, const name##Request&) { return name##Response(); };
  SLUICE_FAKE_GROUP_CALL(ListOffsets, list_offsets)
  SLUICE_FAKE_GROUP_CALL(ListGroups, list_groups)
  SLUICE_FAKE_GROUP_CALL(ListReplicas, list_replicas)
  SLUICE_FAKE_GROUP_CALL(DescribeGroup, describe_group)
  SLUICE_FAKE_GROUP_CALL(DeleteGroup, delete_group)
  SLUICE_FAKE_GROUP_CALL(GetGroupOffsets, get_group_offsets)
  SLUICE_FAKE_GROUP_CALL(ResetGroupOffsets, reset_group_offsets)
#undef SLUICE_FAKE_GROUP_CALL
  std::function<Result<NodeId>(const std::string&)> group_coordinator = [](const std::string&) {
    return NodeId(2);
  };
  sluice::testing::SimClock sim_clock;

  ConfigValues values{metadata::ServerConfigKeys()};
  metadata::ImagePtr image = ThreeBrokers(true);
  bool knows_cluster = true;
  bool applies = true;
  Readiness readiness{.ready = true};
  std::vector<LocalDirectory> directories;
  std::vector<LocalPartition> partitions;
  std::optional<LocalController> controller;
  std::optional<int64_t> heard_ms_ago;
  controller::DescribeQuorumResponse quorum;
  NodeIdentity identity = {"cluster", NodeId(1), Uuid::FromBytes(std::string(16, 'd')), "host1:1"};
  bool unchanged = false;
  // What the controller answers.
  Status unreachable;
  int error_code = 0;
  std::string error_message;
  int64_t applied_index = 9;
  bool silent = false;
  // What was asked.
  LogIndex waited_for{-100};
  controller::CreateTopicsRequest create_request;
  controller::DeleteTopicsRequest delete_request;
  controller::CreatePartitionsRequest partitions_request;
  controller::AlterConfigsRequest configs_request;
  controller::AlterPartitionReassignmentsRequest reassignments_request;
  controller::ElectLeadersRequest elections_request;
  controller::ChangeQuorumRequest quorum_change;
  controller::ChangeBrokerRequest broker_change;
  controller::TransferControllerRequest transfer_request;
  NodeId asked_leader = kNoNode;
  DeleteRecordsRequest delete_records_request;
  std::vector<std::function<void()>> held;
  std::atomic<int> held_count = 0;

 private:
  template <typename Response>
  Result<Response> topic_answer() {
    if (!unreachable.ok()) return unreachable;
    Response response;
    response.set_applied_index(applied_index);
    controller::TopicOutcome* topic = response.add_topics();
    topic->set_topic_id(std::string(16, 'T'));
    topic->set_error_code(error_code);
    topic->set_message(error_message);
    return response;
  }
  // The last of the partitions has the error, if there is one.
  template <typename Response, typename Partitions>
  Result<Response> partitions_answer(const Partitions& asked) {
    if (!unreachable.ok()) return unreachable;
    Response response;
    response.set_applied_index(applied_index);
    controller::PartitionOutcome* outcome = nullptr;
    for (const auto& partition : asked) {
      outcome = response.add_partitions();
      outcome->set_topic(partition.topic());
      outcome->set_partition(partition.partition());
    }
    if (outcome == nullptr) return response;
    outcome->set_error_code(error_code);
    outcome->set_message(error_message);
    return response;
  }
};

}  // namespace sluice::admin::testing
