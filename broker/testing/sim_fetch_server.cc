#include "broker/testing/sim_fetch_server.h"

#include "base/output_chain.h"
#include "kafka/wire_reader.h"
#include "kafka/wire_writer.h"

namespace sluice::broker::testing {
namespace {

std::string Encode(const kafka::FetchResponse& response) {
  kafka::WireWriter writer;
  response.Encode(writer, kSimFetchVersion);
  CHECK(writer.status().ok()) << writer.status().ToString();
  Result<std::string> bytes = Flatten(writer.Finish());
  // The node's files are gone: so is the node, and nobody gets this.
  return bytes.ok() ? *std::move(bytes) : std::string();
}

}  // namespace

SimFetchServer::Session* SimFetchServer::Enter(const kafka::FetchRequest& request,
                                               kafka::FetchResponse& response) {
  if (request.session_epoch == 0) {
    sessions_.erase(request.session_id);
    response.session_id = next_session_++;
    sessions_[response.session_id] = std::make_shared<Session>();
  } else {
    response.session_id = request.session_id;
  }
  const auto found = sessions_.find(response.session_id);
  if (found == sessions_.end()) {
    response.error_code = kafka::WireError(kafka::ErrorCode::kFetchSessionIdNotFound);
    return nullptr;
  }
  Session& session = *found->second;
  if (request.session_epoch != session.epoch) {
    response.error_code = kafka::WireError(kafka::ErrorCode::kInvalidFetchSessionEpoch);
    return nullptr;
  }
  ++session.epoch;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      session.partitions[{topic.topic_id, PartitionIndex(partition.partition)}] = partition;
    }
  }
  for (const auto& topic : request.forgotten_topics_data) {
    for (const int32_t index : topic.partitions) {
      session.partitions.erase({topic.topic_id, PartitionIndex(index)});
      session.told.erase({topic.topic_id, PartitionIndex(index)});
    }
  }
  return &session;
}

void SimFetchServer::Handle(const std::string& request_bytes,
                            std::function<void(std::string)> done) {
  kafka::FetchRequest request;
  kafka::WireReader reader(request_bytes);
  const Status decoded = request.Decode(reader, kSimFetchVersion);
  CHECK(decoded.ok()) << decoded.ToString();
  kafka::FetchResponse response;
  Session* session = Enter(request, response);
  if (session == nullptr) return done(Encode(response));
  FetchRequestParams params;
  params.replica_id = NodeId(request.replica_state.replica_id);
  params.replica_epoch = BrokerEpoch(request.replica_state.replica_epoch);
  params.flushed = request.replica_state.flushed;
  params.connection = sessions_[response.session_id];
  params.wait_ms_max = request.max_wait_ms;
  params.size_bytes_min = request.min_bytes;
  params.size_bytes_max = request.max_bytes;
  for (const auto& [key, partition] : session->partitions) {
    params.entries.push_back({key, Offset(partition.fetch_offset),
                              LeaderEpoch(partition.current_leader_epoch),
                              LeaderEpoch(partition.last_fetched_epoch),
                              Offset(partition.log_start_offset), partition.partition_max_bytes});
  }
  const FetchRequestParams kept = params;
  const bool incremental = request.session_epoch != 0;
  replicas_.Fetch(std::move(params),
                  [shared = sessions_[response.session_id], kept, incremental, response,
                   done = std::move(done)](std::vector<FetchEntryResult> results) mutable {
                    Fill(*shared, incremental, kept, results, response);
                    done(Encode(response));
                  });
}

void SimFetchServer::Fill(Session& session, bool incremental, const FetchRequestParams& params,
                          const std::vector<FetchEntryResult>& results,
                          kafka::FetchResponse& response) {
  for (size_t i = 0; i < results.size(); ++i) {
    const FetchEntryResult& result = results[i];
    const PartitionKey& key = params.entries[i].key;
    auto& told = session.told[key];
    const std::pair<int64_t, int64_t> now{result.high_watermark.value(),
                                          result.log_start_offset.value()};
    const bool news = result.error != kafka::ErrorCode::kNone || result.diverging.has_value() ||
                      result.size_bytes > 0 || told != now;
    if (incremental && !news) continue;
    told = now;
    if (response.responses.empty() || response.responses.back().topic_id != key.topic_id) {
      response.responses.emplace_back().topic_id = key.topic_id;
    }
    auto& data = response.responses.back().partitions.emplace_back();
    data.partition_index = key.partition.value();
    data.error_code = kafka::WireError(result.error);
    data.high_watermark = result.high_watermark.value();
    data.last_stable_offset = result.last_stable_offset.value();
    data.log_start_offset = result.log_start_offset.value();
    if (result.diverging.has_value()) {
      data.diverging_epoch.epoch = result.diverging->epoch.value();
      data.diverging_epoch.end_offset = result.diverging->end_offset.value();
    }
    data.records = kafka::Records::Files(result.records);
  }
}

}  // namespace sluice::broker::testing
