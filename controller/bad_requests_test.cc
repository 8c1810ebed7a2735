// Requests that no broker of ours sends: fields of wrong lengths, senders with another disk, epochs
// that say nothing, and damage at random. Each is refused with a code and a text that names the
// cause, nothing changes, and the controller goes on.

#include <gtest/gtest.h>

#include "controller/testing/cluster_fixture.h"
#include "controller/testing/mutate.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

using kafka::ErrorCode;

class BadRequestsTest : public testing::ClusterFixture {
 protected:
  void SetUp() override {
    quorum_.Lead();
    CommitAll();
    StartBrokers(3);
    CreateAssigned("t", {{1, 2, 3}});
  }
  uint64_t Hash() const { return metadata::StateHash(*controller_->committed()); }

  // The answer to a registration of broker 1 in a new life, with `damage` done to it.
  Outcome RegisterWith(const std::function<void(RegisterBrokerRequest&)>& damage) {
    ++Broker(1).incarnation;
    RegisterBrokerRequest request = RegisterRequest(1);
    damage(request);
    const uint64_t before = Hash();
    const Outcome outcome = Call(&MetadataController::RegisterBroker, request).outcome();
    EXPECT_EQ(outcome.error_code() != 0, Hash() == before) << outcome.message();
    return outcome;
  }
  void ExpectRefused(const std::string& cause,
                     const std::function<void(RegisterBrokerRequest&)>& damage) {
    const Outcome outcome = RegisterWith(damage);
    EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kInvalidRegistration)) << cause;
    EXPECT_NE(outcome.message().find(cause), std::string::npos) << outcome.message();
  }
};

TEST_F(BadRequestsTest, ALogDirectoryWithoutAnIdIsNoReasonToStop) {
  ExpectRefused("log directory id of 1 bytes",
                [](auto& request) { request.mutable_broker()->add_log_dirs("x"); });
  ExpectRefused("log directory id of 0 bytes",
                [](auto& request) { request.mutable_broker()->add_log_dirs(""); });
  ExpectRefused("all zero", [](auto& request) {
    request.mutable_broker()->add_log_dirs(std::string(16, '\0'));
  });
  ExpectRefused("comes twice", [](auto& request) {
    for (int i = 0; i < 2; ++i) request.mutable_broker()->add_log_dirs(std::string(16, 'a'));
  });
  ExpectRefused("log directory id of 3 bytes",
                [](auto& request) { request.add_directories()->set_id("abc"); });
  ExpectRefused("comes twice", [](auto& request) {
    for (int i = 0; i < 2; ++i) request.add_directories()->set_id(std::string(16, 'a'));
  });
  ExpectRefused("log directory id of 2 bytes",
                [](auto& request) { request.mutable_broker()->set_directory_id("ab"); });
  EXPECT_EQ(RegisterWith([](auto&) {}).error_code(), 0);
}

TEST_F(BadRequestsTest, EveryFieldOfARegistrationIsChecked) {
  using Request = RegisterBrokerRequest;
  const auto endpoint = [](Request& request) -> metadata::Endpoint& {
    return *request.mutable_broker()->mutable_endpoints(0);
  };
  ExpectRefused("id of 0 or more",
                [](Request& request) { request.mutable_broker()->set_broker_id(-1); });
  ExpectRefused("incarnation",
                [](Request& request) { request.mutable_broker()->set_incarnation_id("i"); });
  ExpectRefused("no listener",
                [](Request& request) { request.mutable_broker()->clear_endpoints(); });
  ExpectRefused("port 0", [&](Request& request) { endpoint(request).set_port(0); });
  ExpectRefused("port 65536", [&](Request& request) { endpoint(request).set_port(65536); });
  ExpectRefused("listener without a name",
                [&](Request& request) { endpoint(request).clear_listener(); });
  ExpectRefused("listener PLAINTEXT twice", [&](Request& request) {
    const metadata::Endpoint copy = endpoint(request);
    *request.mutable_broker()->add_endpoints() = copy;
  });
  // A longer text would make every answer that names the broker impossible to send.
  ExpectRefused("40000 bytes", [](Request& request) {
    request.mutable_broker()->set_rack(std::string(40'000, 'r'));
  });
  ExpectRefused("40000 bytes",
                [&](Request& request) { endpoint(request).set_host(std::string(40'000, 'h')); });
  ExpectRefused("epoch -2", [](Request& request) { request.set_previous_broker_epoch(-2); });
  ExpectRefused("epoch -3", [](Request& request) {
    auto& directory = *request.add_directories();
    directory.set_id(std::string(16, 'a'));
    directory.set_previous_broker_epoch(-3);
  });
  ExpectRefused("epoch -2", [](Request& request) { request.set_kept_broker_epoch(-2); });
  ExpectRefused("session of 300001 ms",
                [](Request& request) { request.set_session_timeout_ms(300'001); });
  ExpectRefused("session of -1 ms", [](Request& request) { request.set_session_timeout_ms(-1); });
  EXPECT_EQ(
      RegisterWith([](Request& request) { request.set_session_timeout_ms(300'000); }).error_code(),
      0);
}

// A process with another disk is not the broker that is registered, whatever epoch it names.
TEST_F(BadRequestsTest, ASenderOnAnotherDiskIsRefused) {
  Sender sender = SenderFor(2);
  sender.set_directory_id(std::string(16, 'd'));
  const uint64_t before = Hash();
  const auto expect = [&](const Outcome& outcome) {
    EXPECT_EQ(outcome.error_code(), Code(ErrorCode::kInvalidRegistration));
    for (const std::string_view id : {SenderFor(2).directory_id(), sender.directory_id()}) {
      EXPECT_NE(outcome.message().find(Uuid::FromBytes(id).ToString()), std::string::npos)
          << outcome.message();
    }
    EXPECT_EQ(Hash(), before);
  };
  HeartbeatRequest heartbeat = NextHeartbeat(2);
  heartbeat.set_want_shutdown(true);
  *heartbeat.mutable_sender() = sender;
  expect(Call(&MetadataController::Heartbeat, heartbeat).outcome());
  AllocateProducerIdsRequest ids;
  *ids.mutable_sender() = sender;
  expect(Call(&MetadataController::AllocateProducerIds, ids).outcome());
  AssignReplicasToDirsRequest assign;
  *assign.mutable_sender() = sender;
  expect(Call(&MetadataController::AssignReplicasToDirs, assign).outcome());
  AlterPartitionRequest alter = AlterIsrRequest(1, "t", {1, 2});
  sender.set_node_id(1);
  sender.set_broker_epoch(Broker(1).epoch);
  *alter.mutable_sender() = sender;
  EXPECT_EQ(Call(&MetadataController::AlterPartition, alter).outcome().error_code(),
            Code(ErrorCode::kInvalidRegistration));
  EXPECT_EQ(Hash(), before);
}

// An epoch that is not known proves nothing about the disk that a replica would be trusted with.
TEST_F(BadRequestsTest, AnUnknownEpochIsNoProofForTheIsr) {
  AlterIsr(1, "t", {1, 2});
  AlterPartitionRequest request = AlterIsrRequest(1, "t", {1, 2, 3});
  request.mutable_partitions(0)->mutable_isr(2)->set_broker_epoch(-1);
  const AlterPartitionResponse response = Call(&MetadataController::AlterPartition, request);
  EXPECT_EQ(response.partitions(0).error_code(), Code(ErrorCode::kIneligibleReplica));
  EXPECT_EQ(Show("t"), "leader=1 isr=1,2 elr= known=");
}

TEST_F(BadRequestsTest, ASessionForEverIsRefused) {
  HeartbeatRequest request = NextHeartbeat(1);
  request.set_session_timeout_ms(int64_t{1} << 60);
  EXPECT_EQ(Call(&MetadataController::Heartbeat, request).outcome().error_code(),
            Code(ErrorCode::kInvalidRequest));
  BeatFor(900, {2, 3});
  EXPECT_TRUE(controller_->committed()->FindBroker(NodeId(1))->fenced);
}

// What cannot be replayed is not proposed: once committed it would end every controller.
TEST_F(BadRequestsTest, WhatCannotBeReadBackIsNotProposed) {
  AlterConfigsRequest request;
  auto& resource = *request.add_resources();
  resource.set_type(metadata::CONFIG_RESOURCE_TYPE_GROUP);
  resource.set_name("\xff\xfe");
  auto& entry = *resource.add_entries();
  entry.set_key("consumer.session.timeout.ms");
  entry.set_value("50000");
  const uint64_t before = Hash();
  const AlterConfigsResponse response = Call(&MetadataController::AlterConfigs, request);
  EXPECT_EQ(response.outcome().error_code(), Code(ErrorCode::kUnknownServerError));
  EXPECT_EQ(Hash(), before);
  EXPECT_EQ(controller_->speculative(), controller_->committed());
  EXPECT_EQ(CreateTopic("u", 1, 3).error_code(), 0);
}

// Valid requests of every kind with one to three fields damaged at random. ClusterFixture checks
// the invariants after each.
class MutatedRequestsTest : public BadRequestsTest {
 protected:
  template <typename Request, typename Response>
  void Run(void (MetadataController::*method)(const Request&, std::function<void(Response)>),
           const std::function<Request()>& make) {
    for (int i = 0; i < 500 && !HasFailure(); ++i) {
      Revive();
      Request request = make();
      for (uint64_t n = random_.Between(1, 3); n > 0; --n) testing::Mutate(request, random_);
      const uint64_t before = Hash();
      const Response response = Call(method, request);
      if (response.outcome().error_code() != 0) {
        EXPECT_EQ(Hash(), before) << request.ShortDebugString();
      }
    }
  }
  // Brokers 1 to 3 in service, with the epochs that the last request may have given them, and "t".
  void Revive() {
    for (const int id : {1, 2, 3}) {
      const auto* registered = controller_->committed()->FindBroker(NodeId(id));
      if (registered != nullptr && registered->epoch.value() == Broker(id).epoch &&
          registered->active())
        continue;
      RunForMs(1000);
      ++Broker(id).incarnation;
      ASSERT_EQ(Register(id).outcome().error_code(), 0);
      Heartbeat(id);
    }
    if (controller_->committed()->FindTopic("t") == nullptr) CreateAssigned("t", {{1, 2, 3}});
  }
};

TEST_F(MutatedRequestsTest, OfBrokers) {
  Run<RegisterBrokerRequest, RegisterBrokerResponse>(&MetadataController::RegisterBroker, [&] {
    Broker(1).log_directories = {1, 11};
    ++Broker(1).incarnation;
    return RegisterRequest(1);
  });
  Broker(1).log_directories = {};
  Run<HeartbeatRequest, HeartbeatResponse>(&MetadataController::Heartbeat, [&] {
    Broker(2).offline_log_directories = {2};
    Broker(2).found_damaged = {{"t", 0}};
    Broker(2).log_ends[{"t", 0}] = {0, 5};
    return NextHeartbeat(2);
  });
  Run<AlterPartitionRequest, AlterPartitionResponse>(&MetadataController::AlterPartition, [&] {
    return AlterIsrRequest(Partition("t").leader.value(), "t", {1, 2, 3});
  });
  Run<AssignReplicasToDirsRequest, AssignReplicasToDirsResponse>(
      &MetadataController::AssignReplicasToDirs, [&] {
        AssignReplicasToDirsRequest request;
        *request.mutable_sender() = SenderFor(3);
        auto& replica = *request.add_replicas();
        replica.set_topic_id(std::string(controller_->committed()->FindTopic("t")->id.view()));
        replica.set_directory(std::string(16, static_cast<char>('a' + random_.Below(3))));
        return request;
      });
  Run<AllocateProducerIdsRequest, AllocateProducerIdsResponse>(
      &MetadataController::AllocateProducerIds, [&] {
        AllocateProducerIdsRequest request;
        *request.mutable_sender() = SenderFor(1);
        return request;
      });
}

TEST_F(MutatedRequestsTest, OfAdministrators) {
  const auto name = [&] { return "n" + std::to_string(random_.Below(5)); };
  Run<CreateTopicsRequest, CreateTopicsResponse>(&MetadataController::CreateTopics, [&] {
    CreateTopicsRequest request;
    CreatableTopic& topic = *request.add_topics();
    topic.set_name(name());
    topic.set_partition_count(2);
    topic.set_replication_factor(3);
    (*topic.mutable_configs())["min.insync.replicas"] = "2";
    CreatableTopic& assigned = *request.add_topics();
    assigned.set_name(name());
    assigned.set_partition_count(-1);
    assigned.set_replication_factor(-1);
    for (const int id : {1, 2}) assigned.add_assignments()->add_replicas(id);
    assigned.mutable_assignments(1)->set_partition(1);
    request.set_request_id(std::string(16, static_cast<char>(random_.Below(256))));
    return request;
  });
  Run<CreatePartitionsRequest, CreatePartitionsResponse>(
      &MetadataController::CreatePartitions, [&] {
        CreatePartitionsRequest request;
        auto& topic = *request.add_topics();
        topic.set_name(name());
        topic.set_partition_count(3);
        if (random_.Chance(1, 2)) {
          topic.add_assignments()->set_partition(2);
          for (const int id : {3, 1, 2}) topic.mutable_assignments(0)->add_replicas(id);
        }
        return request;
      });
  Run<AlterConfigsRequest, AlterConfigsResponse>(&MetadataController::AlterConfigs, [&] {
    AlterConfigsRequest request;
    auto& resource = *request.add_resources();
    const bool of_topic = random_.Chance(1, 2);
    resource.set_type(of_topic ? metadata::CONFIG_RESOURCE_TYPE_TOPIC
                               : metadata::CONFIG_RESOURCE_TYPE_BROKER);
    if (of_topic) resource.set_name("t");
    auto& entry = *resource.add_entries();
    entry.set_key("min.insync.replicas");
    entry.set_value(std::to_string(random_.Between(1, 4)));
    return request;
  });
  Run<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse>(
      &MetadataController::AlterPartitionReassignments, [&] {
        AlterPartitionReassignmentsRequest request;
        auto& partition = *request.add_partitions();
        partition.set_topic("t");
        if (random_.Chance(4, 5)) {
          for (const int id : {2, 3, 1}) partition.mutable_replicas()->add_ids(id);
        }
        request.set_allow_replication_factor_change(random_.Chance(1, 2));
        return request;
      });
  Run<ElectLeadersRequest, ElectLeadersResponse>(&MetadataController::ElectLeaders, [&] {
    ElectLeadersRequest request;
    request.add_partitions()->set_topic("t");
    request.set_all(random_.Chance(1, 4));
    request.set_unclean(random_.Chance(1, 2));
    return request;
  });
  Run<DeleteTopicsRequest, DeleteTopicsResponse>(&MetadataController::DeleteTopics, [&] {
    DeleteTopicsRequest request;
    request.add_topics()->set_name(name());
    request.add_topics()->set_topic_id(
        std::string(controller_->committed()->FindTopic("t")->id.view()));
    return request;
  });
}

}  // namespace
}  // namespace sluice::controller
