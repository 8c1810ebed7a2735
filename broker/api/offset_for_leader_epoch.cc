// OffsetForLeaderEpoch (key 23): where a leader epoch ends in the leader's log, by which consumers
// and followers find out that their records were truncated (KIP-320, KIP-101).
//   v3 replica id (-2 = a debugging consumer).  v4 flexible.

#include "kafka/messages/offset_for_leader_epoch.h"

#include <utility>
#include <vector>

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::WireError;
using Request = kafka::OffsetForLeaderEpochRequest;
using Response = kafka::OffsetForLeaderEpochResponse;

void HandleOffsetForLeaderEpoch(BrokerServices& services, const RequestContext&, Request request,
                                const Responder<Response>& responder) {
  const metadata::ImagePtr image = services.metadata->Current();
  Response response;
  std::vector<EpochEndEntry> entries;
  std::vector<std::pair<size_t, size_t>> places;  // of the entries in the response
  bool failed = false;
  response.topics.resize(request.topics.size());
  for (size_t t = 0; t < request.topics.size(); ++t) {
    const auto topic = image->FindTopic(request.topics[t].topic);
    auto& out_topic = response.topics[t];
    out_topic.topic = request.topics[t].topic;
    for (const auto& asked : request.topics[t].partitions) {
      auto& out = out_topic.partitions.emplace_back();
      out.partition = asked.partition;
      const bool known = topic != nullptr && asked.partition >= 0 &&
                         static_cast<size_t>(asked.partition) < topic->partitions.size();
      if (!known) {
        out.error_code = WireError(ErrorCode::kUnknownTopicOrPartition);
        failed = true;
        continue;
      }
      entries.push_back({{topic->id, PartitionIndex(asked.partition)},
                         LeaderEpoch(asked.current_leader_epoch),
                         LeaderEpoch(asked.leader_epoch)});
      places.emplace_back(t, out_topic.partitions.size() - 1);
    }
  }
  const std::vector<EpochEndResult> results = services.replicas->OffsetsForLeaderEpoch(entries);
  CHECK_EQ(results.size(), places.size());
  for (size_t i = 0; i < results.size(); ++i) {
    auto& out = response.topics[places[i].first].partitions[places[i].second];
    out.error_code = WireError(results[i].error);
    failed |= results[i].error != ErrorCode::kNone;
    if (results[i].error != ErrorCode::kNone) continue;
    out.leader_epoch = results[i].end.epoch.value();
    out.end_offset = results[i].end.end_offset.value();
  }
  if (failed) services.metrics->CountError(Request::kApiKey);
  responder.Send(response);
}

}  // namespace

const ApiHandler kOffsetForLeaderEpochApi =
    Serve<Request, Response, &HandleOffsetForLeaderEpoch>(2, 4);

}  // namespace sluice::broker
