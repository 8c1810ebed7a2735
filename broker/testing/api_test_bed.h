#pragma once
// ApiTestBed: API handlers with everything around them scripted: the replica manager and the
// controller answer what the test says, the cluster image is made by hand, time is virtual.
// Requests go through the dispatcher as bytes, so that codecs and headers are exercised.
//
// Thread rule: one thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/testing/sim_event_loop.h"
#include "broker/api/broker_services.h"
#include "broker/api/dispatch.h"
#include "broker/api/fetch_session.h"
#include "broker/api/topic_creator.h"
#include "broker/group/group_coordinator.h"
#include "broker/testing/refusing_controller.h"
#include "kafka/messages/request_header.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_writer.h"

namespace sluice::broker::testing {

// Remembers what it was asked, and answers by the test's functions; without one, with as many
// default results as there are entries.
class ScriptedReplicaManager final : public ReplicaManager {
 public:
  std::vector<ProduceRequestParams> produced;
  std::vector<FetchRequestParams> fetched;
  std::vector<ListOffsetsEntry> listed;
  std::vector<EpochEndEntry> epochs_asked;
  std::function<ProduceEntryResult(const ProduceEntry&)> on_produce;
  std::function<FetchEntryResult(const FetchEntry&)> on_fetch;
  std::function<ListOffsetsResult(const ListOffsetsEntry&)> on_list;
  std::vector<DeleteRecordsParams> deleted;
  std::function<DeleteRecordsResult(const DeleteRecordsEntry&)> on_delete;
  bool hold_fetches = false;  // answers wait for ReleaseFetches

  void Produce(ProduceRequestParams params,
               std::function<void(std::vector<ProduceEntryResult>)> done) override;
  void Fetch(FetchRequestParams params,
             std::function<void(std::vector<FetchEntryResult>)> done) override;
  void ListOffsets(std::vector<ListOffsetsEntry> entries, ParkedRequests* client,
                   std::function<void(std::vector<ListOffsetsResult>)> done) override;
  std::vector<EpochEndResult> OffsetsForLeaderEpoch(
      const std::vector<EpochEndEntry>& entries) override;
  void DeleteRecords(DeleteRecordsParams params,
                     std::function<void(std::vector<DeleteRecordsResult>)> done) override;
  std::optional<LocalState> TakeLocalState(const PartitionKey&) override { return {}; }
  LocalRead ReadLocal(const PartitionKey&, Offset, size_t) override { return {}; }
  void KeepBrokerEpoch(BrokerEpoch, std::function<void()> done) override { done(); }
  storage::CompactorStats CompactionStats() const override { return {}; }
  std::vector<kafka::ErrorCode> AlterLogDirs(
      const std::vector<AlterLogDirEntry>& entries) override {
    std::vector<kafka::ErrorCode> errors;
    for (const AlterLogDirEntry& entry : entries) errors.push_back(on_alter_log_dir(entry));
    return errors;
  }
  std::function<kafka::ErrorCode(const AlterLogDirEntry&)> on_alter_log_dir;
  std::vector<PartitionStatus> Status() const override { return statuses; }
  std::vector<PartitionStatus> statuses;
  std::map<storage::TopicPartition, Offset> Stop() override { return {}; }
  void ReleaseFetches();

 private:
  std::vector<std::function<void()>> held_;
};

// Answers at once, by the test's function or without error; remembers what it was asked.
class ScriptedGroups final : public GroupCoordinator {
 public:
  std::function<GroupResponse(const GroupRequest&)> answer;
  std::vector<GroupCaller> callers;
  std::vector<GroupRequest> requests;

  void Handle(GroupCaller caller, GroupRequest request, ParkedRequests*, Done done) override {
    callers.push_back(std::move(caller));
    requests.push_back(request);
    done(answer ? answer(request) : ErrorResponse(request, kafka::ErrorCode::kNone));
  }
  void OnReplicaChanged(const PartitionKey&) override {}
  void Stop() override {}
};

// Keeps each admin call until the test answers it.
class ScriptedController final : public RefusingController {
 public:
  template <typename Request, typename Response>
  struct Call {
    Request request;
    int64_t timeout_ms = 0;
    Done<Response> done;
  };
  std::vector<Call<controller::CreateTopicsRequest, controller::CreateTopicsResponse>>
      create_topics;
  std::vector<Call<controller::DeleteTopicsRequest, controller::DeleteTopicsResponse>>
      delete_topics;
  std::vector<Call<controller::CreatePartitionsRequest, controller::CreatePartitionsResponse>>
      create_partitions;
  std::vector<Call<controller::AlterConfigsRequest, controller::AlterConfigsResponse>>
      alter_configs;
  std::vector<Call<controller::AllocateProducerIdsRequest, controller::AllocateProducerIdsResponse>>
      allocate;
  std::vector<Call<controller::AlterPartitionReassignmentsRequest,
                   controller::AlterPartitionReassignmentsResponse>>
      reassignments;
  std::vector<Call<controller::ElectLeadersRequest, controller::ElectLeadersResponse>> elections;
  std::vector<Call<controller::UnregisterBrokerRequest, controller::UnregisterBrokerResponse>>
      unregistrations;
  std::vector<Call<controller::ChangeQuorumRequest, controller::ChangeQuorumResponse>>
      quorum_changes;
  std::vector<Call<controller::DescribeQuorumRequest, controller::DescribeQuorumResponse>>
      quorum_asked;

  void AllocateProducerIds(controller::AllocateProducerIdsRequest request, int64_t timeout_ms,
                           Done<controller::AllocateProducerIdsResponse> done) override {
    allocate.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                    Done<controller::CreateTopicsResponse> done) override {
    create_topics.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                    Done<controller::DeleteTopicsResponse> done) override {
    delete_topics.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void CreatePartitions(controller::CreatePartitionsRequest request, int64_t timeout_ms,
                        Done<controller::CreatePartitionsResponse> done) override {
    create_partitions.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void AlterPartitionReassignments(
      controller::AlterPartitionReassignmentsRequest request, int64_t timeout_ms,
      Done<controller::AlterPartitionReassignmentsResponse> done) override {
    reassignments.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void ElectLeaders(controller::ElectLeadersRequest request, int64_t timeout_ms,
                    Done<controller::ElectLeadersResponse> done) override {
    elections.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void UnregisterBroker(controller::UnregisterBrokerRequest request, int64_t timeout_ms,
                        Done<controller::UnregisterBrokerResponse> done) override {
    unregistrations.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                    Done<controller::ChangeQuorumResponse> done) override {
    quorum_changes.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                      Done<controller::DescribeQuorumResponse> done) override {
    quorum_asked.push_back({std::move(request), timeout_ms, std::move(done)});
  }
  void AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                    Done<controller::AlterConfigsResponse> done) override {
    alter_configs.push_back({std::move(request), timeout_ms, std::move(done)});
  }
};

// The frame of a request without its length, as the network hands it on.
template <typename Request>
std::string EncodeRequest(const Request& request, int16_t version, int32_t correlation_id = 7,
                          const std::string& client_id = "tester") {
  kafka::WireWriter writer;
  kafka::RequestHeader header;
  header.request_api_key = Request::kApiKey;
  header.request_api_version = version;
  header.correlation_id = correlation_id;
  header.client_id = client_id;
  header.Encode(writer, kafka::RequestHeaderVersion(Request::kApiKey, version));
  request.Encode(writer, version);
  CHECK(writer.status().ok()) << writer.status().ToString();
  return Flatten(writer.Finish()).value();
}

// The body of a whole response frame; checks length and correlation id.
template <typename Response>
Response DecodeReply(const Reply& reply, int16_t version, int32_t correlation_id = 7) {
  CHECK(reply.kind == Reply::Kind::kSend) << reply.reason;
  const std::string bytes = Flatten(reply.frame).value();
  kafka::WireReader reader(bytes);
  CHECK_EQ(static_cast<size_t>(reader.ReadInt32()), bytes.size() - 4);
  kafka::ResponseHeader header;
  CHECK(header.Decode(reader, kafka::ResponseHeaderVersion(Response::kApiKey, version)).ok());
  CHECK_EQ(header.correlation_id, correlation_id);
  Response response;
  const Status decoded = response.Decode(reader, version);
  CHECK(decoded.ok()) << decoded.message();
  CHECK_EQ(reader.remaining(), 0u);
  return response;
}

// Broker 1 of three, all alive, on the listener PLAINTEXT. Brokers 1 to 3 listen at broker<n>:9092.
class ApiTestBed {
 public:
  ApiTestBed();

  BrokerServices& services() { return services_; }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  const std::shared_ptr<ConnectionInfo>& connection() const { return connection_; }
  // Publishes the next image: the current one with `edit` applied.
  void Edit(const std::function<void(metadata::Image&)>& edit);
  // A topic whose partitions are led by broker `leader`, with replicas 1, 2 and 3; `leader` -1 =
  // none.
  TopicId AddTopic(const std::string& name, int partitions, int leader = 1);

  // The reply to raw bytes; nullopt while it is parked.
  std::shared_ptr<std::optional<Reply>> Send(std::string frame);
  template <typename Request>
  std::shared_ptr<std::optional<Reply>> Send(const Request& request, int16_t version) {
    return Send(EncodeRequest(request, version));
  }
  // The response to a request that is answered at once, or after no more than a second look.
  template <typename Response, typename Request>
  Response Call(const Request& request, int16_t version) {
    const auto reply = Send(request, version);
    CHECK(scheduler.RunUntil([&] { return reply->has_value(); }, 10)) << "no answer yet";
    return DecodeReply<Response>(**reply, version);
  }

  ::sluice::testing::SimScheduler scheduler;
  ::sluice::testing::SimEventLoop loop{scheduler};
  ScriptedReplicaManager replicas;
  ScriptedController controller;
  BrokerState state;
  MetadataCache metadata;
  metadata::ServerConfig config;
  ApiMetrics metrics;
  ProducerIdAllocator producer_ids{state, controller};
  FetchSessionCache sessions{{}, scheduler.clock(), Random(1)};
  TopicCreator topic_creator{state, controller};
  ScriptedGroups groups;

 private:
  BrokerServices services_;
  Dispatcher dispatcher_{services_};
  std::shared_ptr<ConnectionInfo> connection_ = std::make_shared<ConnectionInfo>();
  uint64_t next_topic_ = 1;
};

}  // namespace sluice::broker::testing
