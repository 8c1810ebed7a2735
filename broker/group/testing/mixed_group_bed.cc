#include "broker/group/testing/mixed_group_bed.h"

#include <utility>

#include "kafka/consumer_protocol.h"

namespace sluice::broker::testing {

using kafka::ErrorCode;
using kafka::WireError;

namespace {

constexpr int32_t kRebalanceMs = 10000;
constexpr int32_t kClassicSessionMs = 10000;

std::optional<std::string> NullIfEmpty(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

template <typename Bytes>
std::string Must(Bytes bytes) {
  CHECK(bytes.ok());
  return *std::move(bytes);
}

}  // namespace

MixedGroupBed::MixedGroupBed(uint64_t seed, int32_t partitions)
    : topics_(seed),
      partitions_(partitions),
      driver_({.on_effects = [](const GroupEffects&) {},
               .on_answer =
                   [this](const GroupAnswer& answer, bool) {
                     const auto at = waiting_.find(answer.token);
                     CHECK(at != waiting_.end()) << "answered twice";
                     const Then then = std::move(at->second);
                     waiting_.erase(at);
                     then(answer.response);
                   },
               .on_record = [this](const GroupRecord& record) { records_.push_back(record); },
               .on_refusal = [](ErrorCode) {}},
              seed) {
  topics_.SetTopic("t", partitions);
  driver_.SetImage(topics_.moment().image);
}

void MixedGroupBed::Ask(GroupRequest request, int16_t version, Then then) {
  waiting_[++token_] = std::move(then);
  driver_.Handle({token_, version, "client", "/127.0.0.1"}, std::move(request));
}

std::string MixedGroupBed::State() {
  const auto listed = Call<kafka::ListGroupsResponse>(ListGroups{}, 5);
  if (listed.groups.empty()) return "";
  return listed.groups.front().group_type + "/" + listed.groups.front().group_state;
}

// --- Of the consumer protocol ---

void NewProtocolClient::Step() {
  kafka::ConsumerGroupHeartbeatRequest request;
  request.group_id = "g";
  request.member_id = id_;
  request.member_epoch = epoch_;
  request.instance_id = NullIfEmpty(instance_id_);
  request.rebalance_timeout_ms = kRebalanceMs;
  request.subscribed_topic_names = {"t"};
  request.topic_partitions.emplace();
  if (!owned_.empty()) {
    auto& reported = request.topic_partitions->emplace_back();
    reported.topic_id = bed_.topic_id();
    reported.partitions.assign(owned_.begin(), owned_.end());
  }
  using Response = kafka::ConsumerGroupHeartbeatResponse;
  bed_.Ask(request, 1, [this](const GroupResponse& any) {
    const auto& response = std::get<Response>(any);
    last_error_ = static_cast<ErrorCode>(response.error_code);
    if (last_error_ == ErrorCode::kFencedMemberEpoch ||
        last_error_ == ErrorCode::kUnknownMemberId || last_error_ == ErrorCode::kGroupIdNotFound) {
      owned_.clear();
      epoch_ = 0;
    }
    if (last_error_ != ErrorCode::kNone) return;
    epoch_ = response.member_epoch;
    if (!response.assignment.has_value()) return;
    owned_.clear();
    for (const auto& topic : response.assignment->topic_partitions)
      owned_.insert(topic.partitions.begin(), topic.partitions.end());
  });
}

void NewProtocolClient::Leave() {
  owned_.clear();
  kafka::ConsumerGroupHeartbeatRequest request;
  request.group_id = "g";
  request.member_id = id_;
  request.member_epoch = kLeaveEpoch;
  request.instance_id = NullIfEmpty(instance_id_);
  bed_.Ask(request, 1, [](const GroupResponse&) {});
  epoch_ = 0;
}

// --- Of the classic protocol ---

template <typename Response>
void ClassicClient::Send(GroupRequest request, int16_t version,
                         std::function<void(const Response&)> then) {
  waits_ = true;
  bed_.Ask(std::move(request), version,
           [this, alive = alive_, then = std::move(then)](const GroupResponse& response) {
             if (!*alive) return;
             waits_ = false;
             then(std::get<Response>(response));
           });
}

void ClassicClient::Step() {
  if (waits_) return;
  switch (next_) {
    case Next::kJoin: return Join();
    case Next::kSync: return Sync();
    case Next::kHeartbeat: return Heartbeat();
  }
}

std::string ClassicClient::Subscription() const {
  kafka::ConsumerProtocolSubscription subscription;
  subscription.topics = {"t"};
  if (!owned_.empty()) {
    auto& owned = subscription.owned_partitions.emplace_back();
    owned.topic = "t";
    owned.partitions.assign(owned_.begin(), owned_.end());
  }
  subscription.generation_id = generation_;
  return Must(kafka::EncodeConsumerSubscription(subscription, 3));
}

void ClassicClient::Join() {
  if (kind_ == Kind::kEager) owned_.clear();
  kafka::JoinGroupRequest request;
  request.group_id = "g";
  request.member_id = id_;
  request.group_instance_id = NullIfEmpty(instance_id_);
  request.session_timeout_ms = kClassicSessionMs;
  request.rebalance_timeout_ms = kRebalanceMs;
  request.protocol_type = "consumer";
  auto& protocol = request.protocols.emplace_back();
  protocol.name = kind_ == Kind::kEager ? "range" : "cooperative-sticky";
  protocol.metadata = Subscription();
  Send<kafka::JoinGroupResponse>(request, 9, [this](const auto& response) { OnJoin(response); });
}

void ClassicClient::OnJoin(const kafka::JoinGroupResponse& response) {
  last_error_ = static_cast<ErrorCode>(response.error_code);
  if (last_error_ == ErrorCode::kMemberIdRequired) {
    id_ = response.member_id;
    return;
  }
  if (last_error_ != ErrorCode::kNone) return OnError(last_error_);
  id_ = response.member_id;
  generation_ = response.generation_id;
  joined_ = response;
  next_ = Next::kSync;
}

// The leader's: partitions in turn, but none before the one that has it says so no longer.
std::map<std::string, std::vector<int32_t>> ClassicClient::Assign() const {
  std::map<int32_t, std::string> owners;
  for (const auto& member : joined_.members) {
    const auto subscription = kafka::DecodeConsumerSubscription(member.metadata);
    CHECK(subscription.ok());
    for (const auto& topic : subscription->owned_partitions) {
      for (const int32_t partition : topic.partitions) owners[partition] = member.member_id;
    }
  }
  std::map<std::string, std::vector<int32_t>> assignment;
  for (int32_t i = 0; i < bed_.partitions(); ++i) {
    const auto place = static_cast<size_t>(i) % joined_.members.size();
    const std::string& wanted = joined_.members[place].member_id;
    const auto owner = owners.find(i);
    if (owner == owners.end() || owner->second == wanted) assignment[wanted].push_back(i);
  }
  return assignment;
}

void ClassicClient::Sync() {
  kafka::SyncGroupRequest request;
  request.group_id = "g";
  request.member_id = id_;
  request.group_instance_id = NullIfEmpty(instance_id_);
  request.generation_id = generation_;
  request.protocol_type = joined_.protocol_type;
  request.protocol_name = joined_.protocol_name;
  if (joined_.leader == id_) {
    for (const auto& [member_id, partitions] : Assign()) {
      kafka::ConsumerProtocolAssignment assignment;
      auto& topic = assignment.assigned_partitions.emplace_back();
      topic.topic = "t";
      topic.partitions = partitions;
      auto& told = request.assignments.emplace_back();
      told.member_id = member_id;
      told.assignment = Must(kafka::EncodeConsumerAssignment(assignment, 3));
    }
  }
  Send<kafka::SyncGroupResponse>(request, 5, [this](const auto& response) { OnSync(response); });
}

void ClassicClient::OnSync(const kafka::SyncGroupResponse& response) {
  last_error_ = static_cast<ErrorCode>(response.error_code);
  if (last_error_ != ErrorCode::kNone) return OnError(last_error_);
  std::set<int32_t> assigned;
  if (!response.assignment.empty()) {
    const auto assignment = kafka::DecodeConsumerAssignment(response.assignment);
    CHECK(assignment.ok());
    for (const auto& topic : assignment->assigned_partitions)
      assigned.insert(topic.partitions.begin(), topic.partitions.end());
  }
  const bool gave_up =
      !std::includes(assigned.begin(), assigned.end(), owned_.begin(), owned_.end());
  owned_ = std::move(assigned);
  next_ = gave_up ? Next::kJoin : Next::kHeartbeat;
}

void ClassicClient::Heartbeat() {
  kafka::HeartbeatRequest request;
  request.group_id = "g";
  request.member_id = id_;
  request.group_instance_id = NullIfEmpty(instance_id_);
  request.generation_id = generation_;
  Send<kafka::HeartbeatResponse>(request, 4, [this](const kafka::HeartbeatResponse& response) {
    last_error_ = static_cast<ErrorCode>(response.error_code);
    if (last_error_ != ErrorCode::kNone) OnError(last_error_);
  });
}

void ClassicClient::OnError(ErrorCode error) {
  switch (error) {
    case ErrorCode::kRebalanceInProgress: next_ = Next::kJoin; return;
    case ErrorCode::kIllegalGeneration: return Lose(false);
    case ErrorCode::kUnknownMemberId: return Lose(true);
    case ErrorCode::kFencedInstanceId: return Lose(true);
    default: return;  // it asks again
  }
}

void ClassicClient::Lose(bool forgets_id) {
  if (!owned_.empty()) ++losses_;
  owned_.clear();
  generation_ = -1;
  if (forgets_id) id_.clear();
  next_ = Next::kJoin;
}

void ClassicClient::Leave() {
  owned_.clear();
  kafka::LeaveGroupRequest request;
  request.group_id = "g";
  request.members.emplace_back().member_id = id_;
  bed_.Ask(request, 5, [](const GroupResponse&) {});
  *alive_ = false;
}

}  // namespace sluice::broker::testing
