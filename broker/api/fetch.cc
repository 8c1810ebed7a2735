// Fetch (key 1): reads record batches, for consumers and for followers.
//   v5 log start offsets.  v7 sessions (KIP-227).  v9 leader epochs.  v10 zstd.  v11 rack.  v12
//   flexible, last fetched epoch. v13 topic ids.  v15 replica state (KIP-903).  v16 leader hints
//   (KIP-951).  v17 directory id.  v18 the follower's high watermark.

#include "kafka/messages/fetch.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/fetch_session.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::FetchRequest;
using Response = kafka::FetchResponse;
using PartitionData = Response::PartitionData;

constexpr int16_t kReplicaStateSince = 15;
constexpr int16_t kLeaderHintsSince = 16;
constexpr int8_t kReadCommitted = 1;
// A client that would wait for longer just asks again; a request must not outlast by much one whose
// network went away without a word.
constexpr int32_t kWaitMsMax = 60'000;
// Older clients do not know that a fetch may answer OFFSET_NOT_AVAILABLE (KIP-392).
constexpr int16_t kOffsetNotAvailableSince = 11;

// One request between its decoding and its answer.
struct Fetching {
  FetchContext context;
  std::vector<PartitionData> results;  // one for each spec
  std::vector<size_t> asked;           // specs that went to the replica manager, in their order
  std::vector<PartitionKey> keys;      // of these
  bool follower = false;
  bool read_committed = false;
};

// An answer without records, for what is not read.
void FillError(ErrorCode error, PartitionData& out) {
  out.error_code = WireError(error);
  out.high_watermark = -1;
  out.aborted_transactions.reset();
  out.records = kafka::Records::View({});
}

// Entries for what exists; the rest is answered here.
std::vector<FetchEntry> Sort(const metadata::Image& image, Fetching& fetching) {
  std::vector<FetchEntry> entries;
  fetching.results.resize(fetching.context.specs.size());
  for (size_t i = 0; i < fetching.context.specs.size(); ++i) {
    const FetchSpec& spec = fetching.context.specs[i];
    const bool by_id = fetching.context.by_topic_id;
    const auto topic =
        by_id ? image.FindTopic(spec.name.topic_id) : image.FindTopic(spec.name.topic);
    PartitionData& out = fetching.results[i];
    out.partition_index = spec.name.partition;
    if (topic == nullptr) {
      FillError(by_id ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopicOrPartition, out);
      continue;
    }
    if (spec.name.partition < 0 ||
        static_cast<size_t>(spec.name.partition) >= topic->partitions.size()) {
      FillError(ErrorCode::kUnknownTopicOrPartition, out);
      continue;
    }
    FetchEntry& entry = entries.emplace_back();
    entry.key = {topic->id, PartitionIndex(spec.name.partition)};
    entry.fetch_offset = Offset(spec.fetch_offset);
    entry.current_leader_epoch = LeaderEpoch(spec.current_leader_epoch);
    entry.last_fetched_epoch = LeaderEpoch(spec.last_fetched_epoch);
    entry.log_start_offset = Offset(spec.log_start_offset);
    entry.size_bytes_max = spec.size_bytes_max;
    fetching.asked.push_back(i);
    fetching.keys.push_back(entry.key);
  }
  return entries;
}

FetchRequestParams ParamsOf(const BrokerServices& services, const RequestContext& context,
                            const Request& request) {
  const bool has_state = context.version >= kReplicaStateSince;
  const int32_t replica = has_state ? request.replica_state.replica_id : request.replica_id;
  FetchRequestParams params;
  // -2 is a debugging consumer; it reads as any other here.
  params.replica_id = replica >= 0 ? NodeId(replica) : kNoNode;
  if (has_state) {
    params.replica_epoch = BrokerEpoch(request.replica_state.replica_epoch);
    params.flushed = request.replica_state.flushed;
  }
  if (replica >= 0) params.connection = context.connection;
  params.wait_ms_max = std::clamp(request.max_wait_ms, 0, kWaitMsMax);
  params.client = &context.connection->parked;
  params.size_bytes_max = std::max(request.max_bytes, 0);
  if (replica < 0) {
    const int64_t allowed = services.config->values.GetInt("fetch.max.bytes");
    params.size_bytes_max = static_cast<int32_t>(std::min<int64_t>(params.size_bytes_max, allowed));
  }
  params.size_bytes_min = std::clamp(request.min_bytes, 0, params.size_bytes_max);
  params.read_committed = request.isolation_level == kReadCommitted;
  params.listener = context.connection->listener;
  // Those of older versions have no rack, and none is left to them where followers serve nobody.
  const std::string& selector = services.config->values.GetString("replica.selector.class");
  if (replica == -1 && selector == metadata::kRackAwareSelector) params.rack = request.rack_id;
  return params;
}

void FillResult(FetchEntryResult& result, bool read_committed, PartitionData& out) {
  out.error_code = WireError(result.error);
  out.high_watermark = result.high_watermark.value();
  out.last_stable_offset = result.last_stable_offset.value();
  out.log_start_offset = result.log_start_offset.value();
  // Null tells that nobody looked for aborted transactions.
  if (!read_committed) out.aborted_transactions.reset();
  for (const storage::AbortedTransaction& aborted : result.aborted) {
    auto& told = out.aborted_transactions->emplace_back();
    told.producer_id = aborted.producer_id.value();
    told.first_offset = aborted.first_offset.value();
  }
  out.records = result.records.empty() ? kafka::Records::View({})
                                       : kafka::Records::Files(std::move(result.records));
  if (result.diverging.has_value()) {
    out.diverging_epoch.epoch = result.diverging->epoch.value();
    out.diverging_epoch.end_offset = result.diverging->end_offset.value();
  }
  if (result.preferred != kNoNode) out.preferred_read_replica = result.preferred.value();
}

bool WantsLeaderHint(ErrorCode error) {
  return error == ErrorCode::kNotLeaderOrFollower || error == ErrorCode::kFencedLeaderEpoch;
}

void Finish(BrokerServices& services, const RequestContext& context, Fetching& fetching,
            std::vector<FetchEntryResult> results, const Responder<Response>& responder) {
  CHECK_EQ(results.size(), fetching.asked.size());
  const metadata::ImagePtr image = services.metadata->Current();
  Response response;
  uint64_t record_bytes = 0;
  bool failed = fetching.asked.size() < fetching.results.size();
  for (size_t i = 0; i < results.size(); ++i) {
    PartitionData& out = fetching.results[fetching.asked[i]];
    record_bytes += results[i].size_bytes;
    const LeaderHint leader = LeaderOf(services, fetching.keys[i], results[i].leader);
    // An empty answer would tell a client that reads to the end that it is there.
    if (results[i].end_unknown && context.version >= kOffsetNotAvailableSince)
      results[i] = {.error = ErrorCode::kOffsetNotAvailable};
    const ErrorCode error = results[i].error;
    FillResult(results[i], fetching.read_committed, out);
    failed |= error != ErrorCode::kNone;
    if (context.version < kLeaderHintsSince || !WantsLeaderHint(error) || leader.leader == kNoNode)
      continue;
    out.current_leader.leader_id = leader.leader.value();
    out.current_leader.leader_epoch = leader.epoch.value();
    AddNodeEndpoint(*image, leader.leader, context.connection->listener, response.node_endpoints);
  }
  services.fetch_sessions->Complete(fetching.context, std::move(fetching.results), response);
  if (failed || response.error_code != 0) services.metrics->CountError(Request::kApiKey);
  auto& counter =
      fetching.follower ? services.metrics->replicated_bytes_out : services.metrics->consumed_bytes;
  counter.fetch_add(record_bytes, std::memory_order_relaxed);
  responder.Send(response);
}

void HandleFetch(BrokerServices& services, const RequestContext& context, Request request,
                 const Responder<Response>& responder) {
  FetchRequestParams params = ParamsOf(services, context, request);
  const auto fetching = std::make_shared<Fetching>();
  fetching->follower = params.replica_id != kNoNode;
  context.connection->is_client = true;
  if (fetching->follower) context.connection->is_replica = true;
  fetching->read_committed = params.read_committed;
  fetching->context = services.fetch_sessions->Begin(request, context.version, fetching->follower);
  params.entries = Sort(*services.metadata->Current(), *fetching);
  if (params.entries.empty()) {
    Finish(services, context, *fetching, {}, responder);
    return;
  }
  // An error is told at once, whatever the others could wait for.
  if (params.entries.size() < fetching->results.size()) params.wait_ms_max = 0;
  services.replicas->Fetch(std::move(params), [&services, context, fetching,
                                               responder](std::vector<FetchEntryResult> results) {
    Finish(services, context, *fetching, std::move(results), responder);
  });
}

}  // namespace

const ApiHandler kFetchApi = Serve<Request, Response, &HandleFetch>(4, 18);

}  // namespace sluice::broker
