#include "tests/sim/cluster/client.h"

#include <utility>

#include "kafka/messages/metadata.h"

namespace sluice::sim {

void Log::ForgetPromises() {
  std::erase_if(history.operations, [](const history::Operation& operation) {
    return !std::holds_alternative<history::Send>(operation.what);
  });
  for (history::Operation& operation : history.operations) {
    operation.outcome = history::Outcome::kUnknown;
    std::get<history::Send>(operation.what).offset.reset();
  }
}

namespace {

constexpr int16_t kMetadataVersion = 12;

}  // namespace

void KafkaClient::Refresh(std::function<void()> done) {
  kafka::MetadataRequest request;
  request.topics.reset();
  request.allow_auto_topic_creation = false;
  To(AnyNode()).Call<kafka::MetadataRequest, kafka::MetadataResponse>(
      request, kMetadataVersion, kRequestTimeoutMs,
      [this, done = std::move(done)](Result<kafka::MetadataResponse> response) {
        if (response.ok()) {
          // A node that lags tells of leaders that were; the epochs say which is newer.
          for (const auto& topic : response->topics) {
            if (topic.error_code != 0 || !topic.name.has_value()) continue;
            KnownTopic& known = topics_[*topic.name];
            if (known.id != topic.topic_id) known = {topic.topic_id, {}};
            known.partitions.resize(topic.partitions.size());
            for (const auto& partition : topic.partitions) {
              KnownPartition& one =
                  known.partitions.at(static_cast<size_t>(partition.partition_index));
              if (partition.leader_epoch < one.leader_epoch) continue;
              one = {NodeId(partition.leader_id), partition.leader_epoch};
            }
          }
        }
        done();
      });
}

const KnownPartition* KafkaClient::Find(const history::Place& place) const {
  const auto topic = topics_.find(place.topic);
  const auto index = static_cast<size_t>(place.partition.value());
  if (topic == topics_.end() || index >= topic->second.partitions.size()) return nullptr;
  const KnownPartition& partition = topic->second.partitions[index];
  return partition.leader == kNoNode ? nullptr : &partition;
}

KafkaConnection& KafkaClient::To(NodeId node) {
  std::unique_ptr<KafkaConnection>& connection = connections_[node];
  if (connection == nullptr || connection->closed())
    connection = std::make_unique<KafkaConnection>(world_, self_, node);
  return *connection;
}

void KafkaClient::Later(int64_t delay_ms, std::function<void()> task) {
  world_.network().After(delay_ms, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

}  // namespace sluice::sim
