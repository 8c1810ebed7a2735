#include "broker/testing/api_test_bed.h"

#include <array>

namespace sluice::broker::testing {

void ScriptedReplicaManager::Produce(ProduceRequestParams params,
                                     std::function<void(std::vector<ProduceEntryResult>)> done) {
  std::vector<ProduceEntryResult> results;
  for (const ProduceEntry& entry : params.entries)
    results.push_back(on_produce ? on_produce(entry) : ProduceEntryResult());
  produced.push_back(std::move(params));
  done(std::move(results));
}

void ScriptedReplicaManager::Fetch(FetchRequestParams params,
                                   std::function<void(std::vector<FetchEntryResult>)> done) {
  std::vector<FetchEntryResult> results;
  for (const FetchEntry& entry : params.entries)
    results.push_back(on_fetch ? on_fetch(entry) : FetchEntryResult());
  fetched.push_back(std::move(params));
  const auto answer = [results = std::move(results), done = std::move(done)] { done(results); };
  if (hold_fetches) {
    held_.push_back(answer);
  } else {
    answer();
  }
}

void ScriptedReplicaManager::ReleaseFetches() {
  for (const auto& answer : std::exchange(held_, {})) answer();
}

void ScriptedReplicaManager::ListOffsets(std::vector<ListOffsetsEntry> entries,
                                         ParkedRequests* /*client*/,
                                         std::function<void(std::vector<ListOffsetsResult>)> done) {
  std::vector<ListOffsetsResult> results;
  for (const ListOffsetsEntry& entry : entries)
    results.push_back(on_list ? on_list(entry) : ListOffsetsResult());
  listed = std::move(entries);
  done(std::move(results));
}

std::vector<EpochEndResult> ScriptedReplicaManager::OffsetsForLeaderEpoch(
    const std::vector<EpochEndEntry>& entries) {
  epochs_asked = entries;
  return std::vector<EpochEndResult>(entries.size());
}

void ScriptedReplicaManager::DeleteRecords(
    DeleteRecordsParams params, std::function<void(std::vector<DeleteRecordsResult>)> done) {
  std::vector<DeleteRecordsResult> results;
  for (const DeleteRecordsEntry& entry : params.entries)
    results.push_back(on_delete ? on_delete(entry) : DeleteRecordsResult());
  deleted.push_back(std::move(params));
  done(std::move(results));
}

ApiTestBed::ApiTestBed() {
  state.node_id = NodeId(1);
  state.cluster_id = "test-cluster";
  state.broker_epoch = 11;
  connection_->listener = "PLAINTEXT";
  connection_->peer_address = "127.0.0.1:50000";
  services_.state = &state;
  services_.metadata = &metadata;
  services_.replicas = &replicas;
  services_.controller = &controller;
  services_.producer_ids = &producer_ids;
  services_.fetch_sessions = &sessions;
  services_.topic_creator = &topic_creator;
  services_.groups = &groups;
  services_.config = &config;
  services_.clock = &scheduler.clock();
  services_.loop = &loop;
  services_.metrics = &metrics;
  Edit([](metadata::Image& image) {
    image.cluster_id = "test-cluster";
    for (int id = 1; id <= 3; ++id) {
      auto broker = std::make_shared<metadata::BrokerImage>();
      broker->id = NodeId(id);
      broker->fenced = false;
      broker->endpoints = {{"PLAINTEXT", "broker" + std::to_string(id), 9092, "PLAINTEXT"}};
      image.brokers[NodeId(id)] = std::move(broker);
    }
  });
}

void ApiTestBed::Edit(const std::function<void(metadata::Image&)>& edit) {
  auto next = std::make_shared<metadata::Image>(*metadata.Current());
  next->last_index = next->last_index + 1;
  edit(*next);
  metadata.Publish(std::move(next));
}

TopicId ApiTestBed::AddTopic(const std::string& name, int partitions, int leader) {
  std::array<char, 16> bytes{};
  bytes[15] = static_cast<char>(next_topic_++);
  const TopicId id = Uuid::FromBytes({bytes.data(), bytes.size()});
  Edit([&](metadata::Image& image) {
    auto topic = std::make_shared<metadata::TopicImage>();
    topic->name = name;
    topic->id = id;
    metadata::PartitionImage partition;
    partition.replicas = {NodeId(1), NodeId(2), NodeId(3)};
    partition.isr = partition.replicas;
    partition.leader = NodeId(leader);
    partition.leader_epoch = LeaderEpoch(5);
    topic->partitions.assign(static_cast<size_t>(partitions), partition);
    auto by_name = std::make_shared<metadata::TopicsByName>(*image.topics_by_name);
    auto by_id = std::make_shared<metadata::TopicsById>(*image.topics_by_id);
    by_name->Set(name, topic);
    by_id->Set(id, topic);
    image.topics_by_name = std::move(by_name);
    image.topics_by_id = std::move(by_id);
  });
  return id;
}

std::shared_ptr<std::optional<Reply>> ApiTestBed::Send(std::string frame) {
  const auto owner = std::make_shared<std::string>(std::move(frame));
  const auto reply = std::make_shared<std::optional<Reply>>();
  dispatcher_.Dispatch({owner, *owner}, connection_, [reply](Reply given) {
    CHECK(!reply->has_value()) << "answered twice";
    *reply = std::move(given);
  });
  return reply;
}

}  // namespace sluice::broker::testing
