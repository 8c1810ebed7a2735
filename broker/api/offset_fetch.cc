// OffsetFetch (key 9): reads the stored positions of consumer groups.
//   v2 an error of the whole; all topics of the group.  v3 throttle time.  v5 leader epochs
//   (KIP-320).  v6 flexible.  v7 stable offsets only (KIP-447).  v8 several groups (KIP-709).  v9
//   member epochs (KIP-848).  v10 topic ids.

#include "kafka/messages/offset_fetch.h"

#include <algorithm>

#include "broker/api/group_call_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::OffsetFetchRequest;
using Response = kafka::OffsetFetchResponse;
using AskedGroup = Request::OffsetFetchRequestGroup;
using Group = Response::OffsetFetchResponseGroup;

constexpr int16_t kErrorOfAllSince = 2;
constexpr int16_t kGroupsSince = 8;
constexpr int16_t kTopicIdsSince = 10;

bool Failed(const Group& group) {
  return group.error_code != 0 ||
         std::any_of(group.topics.begin(), group.topics.end(), [](const auto& topic) {
           return std::any_of(topic.partitions.begin(), topic.partitions.end(),
                              [](const auto& partition) { return partition.error_code != 0; });
         });
}

// --- Until version 7: one group, whose topics stand in the response itself ---

AskedGroup AsGroup(Request& request) {
  AskedGroup group;
  group.group_id = std::move(request.group_id);
  if (!request.topics.has_value()) {
    group.topics = std::nullopt;
    return group;
  }
  group.topics.emplace();
  for (auto& topic : *request.topics) {
    auto& out = group.topics->emplace_back();
    out.name = std::move(topic.name);
    out.partition_indexes = std::move(topic.partition_indexes);
  }
  return group;
}

Response AsResponse(const Group& group, const AskedGroup& asked, int16_t version) {
  Response response;
  response.error_code = group.error_code;
  for (const auto& topic : group.topics) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const auto& partition : topic.partitions) {
      auto& to = out.partitions.emplace_back();
      to.partition_index = partition.partition_index;
      to.committed_offset = partition.committed_offset;
      to.committed_leader_epoch = partition.committed_leader_epoch;
      to.metadata = partition.metadata;
      to.error_code = partition.error_code;
    }
  }
  if (version >= kErrorOfAllSince || group.error_code == 0) return response;
  // Version 1 has no other place for it.
  response.topics.clear();
  for (const auto& topic :
       asked.topics.value_or(std::vector<Request::OffsetFetchRequestTopics>())) {
    auto& out = response.topics.emplace_back();
    out.name = topic.name;
    for (const int32_t index : topic.partition_indexes) {
      auto& to = out.partitions.emplace_back();
      to.partition_index = index;
      to.committed_offset = -1;
      to.metadata = "";
      to.error_code = group.error_code;
    }
  }
  return response;
}

void HandleOne(BrokerServices& services, const RequestContext& context, Request request,
               const Responder<Response>& responder) {
  const auto asked = std::make_shared<const AskedGroup>(AsGroup(request));
  AskGroup<Group>(services, context, FetchOffsets{*asked, request.require_stable},
                  [&services, responder, asked, version = context.version](const Group& group) {
                    if (Failed(group)) services.metrics->CountError(Request::kApiKey);
                    responder.Send(AsResponse(group, *asked, version));
                  });
}

// --- From version 8 ---

// Names topics by their ids; what cannot be resolved is taken out, and answered in `refused`.
void Resolve(const metadata::Image& image, AskedGroup& group, Group& refused) {
  if (!group.topics.has_value()) return;
  std::erase_if(*group.topics, [&](Request::OffsetFetchRequestTopics& topic) {
    if (const auto found = image.FindTopic(topic.topic_id); found != nullptr) {
      topic.name = found->name;
      return false;
    }
    auto& out = refused.topics.emplace_back();
    out.topic_id = topic.topic_id;
    for (const int32_t index : topic.partition_indexes) {
      auto& partition = out.partitions.emplace_back();
      partition.partition_index = index;
      partition.committed_offset = -1;
      partition.metadata = "";
      partition.error_code = kafka::WireError(ErrorCode::kUnknownTopicId);
    }
    return true;
  });
}

// Nobody could be told of a topic that was deleted, which has no id.
void DropUnnamed(Group& group) {
  std::erase_if(group.topics, [](const auto& topic) { return topic.topic_id.IsZero(); });
}

void HandleOffsetFetch(BrokerServices& services, const RequestContext& context, Request request,
                       const Responder<Response>& responder) {
  if (context.version < kGroupsSince)
    return HandleOne(services, context, std::move(request), responder);
  const metadata::ImagePtr image = services.metadata->Current();
  const bool by_id = context.version >= kTopicIdsSince;
  std::vector<Group> refused(request.groups.size());
  std::vector<GroupRequest> groups;
  for (size_t i = 0; i < request.groups.size(); ++i) {
    if (by_id) Resolve(*image, request.groups[i], refused[i]);
    groups.push_back(FetchOffsets{std::move(request.groups[i]), request.require_stable});
  }
  AskGroups<Group>(
      services, context, std::move(groups),
      [&services, responder, by_id, refused = std::move(refused)](std::vector<Group> answered) {
        Response response;
        response.groups = std::move(answered);
        bool failed = false;
        for (size_t i = 0; i < response.groups.size(); ++i) {
          Group& group = response.groups[i];
          if (by_id) DropUnnamed(group);
          if (group.error_code == 0)
            group.topics.insert(group.topics.end(), refused[i].topics.begin(),
                                refused[i].topics.end());
          failed = failed || Failed(group);
        }
        if (failed) services.metrics->CountError(Request::kApiKey);
        responder.Send(response);
      });
}

}  // namespace

const ApiHandler kOffsetFetchApi = Serve<Request, Response, &HandleOffsetFetch>(1, 10);

}  // namespace sluice::broker
