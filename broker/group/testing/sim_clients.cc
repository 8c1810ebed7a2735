#include "broker/group/testing/sim_clients.h"

#include <algorithm>
#include <utility>

#include "kafka/consumer_protocol.h"

namespace sluice::broker::testing {

namespace {

std::optional<std::string> NullIfEmpty(const std::string& text) {
  if (text.empty()) return std::nullopt;
  return text;
}

template <typename Bytes>
std::string Must(Bytes bytes) {
  CHECK(bytes.ok());
  return *std::move(bytes);
}

PartitionSet Minus(const PartitionSet& all, const PartitionSet& others) {
  PartitionSet left;
  std::set_difference(all.begin(), all.end(), others.begin(), others.end(),
                      std::inserter(left, left.end()));
  return left;
}

// Named partitions, as consumers write them; topics that are gone are left out.
template <typename Topic>
std::vector<Topic> Named(const PartitionSet& partitions, const metadata::Image& image) {
  std::vector<Topic> named;
  for (const auto& [id, partition] : partitions) {
    const auto topic = image.FindTopic(id);
    if (topic == nullptr) continue;
    if (named.empty() || named.back().topic != topic->name)
      named.emplace_back().topic = topic->name;
    named.back().partitions.push_back(partition);
  }
  return named;
}

template <typename Topic>
PartitionSet SetOfNamed(const std::vector<Topic>& named, const metadata::Image& image) {
  PartitionSet partitions;
  for (const Topic& each : named) {
    const auto topic = image.FindTopic(each.topic);
    if (topic == nullptr) continue;
    for (const int32_t partition : each.partitions) partitions.emplace(topic->id, partition);
  }
  return partitions;
}

}  // namespace

// --- Of the classic protocol ---

void SimClassicMember::Advance() {
  switch (phase_) {
    case Phase::kOut:
      phase_ = Phase::kGivingUp;
      // An eager one gives up all before it joins again.
      if (options_.cooperative || owned().empty()) {
        phase_ = Phase::kJoining;
      } else {
        GiveUp(owned(), [this] { phase_ = Phase::kJoining; });
      }
      return;
    case Phase::kGivingUp: return;
    case Phase::kJoining: return Join();
    case Phase::kSyncing: return Sync();
    case Phase::kIn:
      if (leads() && handed_out_ != Subscribed()) {
        phase_ = Phase::kOut;
      } else if (now_ms() >= next_heartbeat_ms_) {
        Heartbeat();
      }
      return;
  }
}

void SimClassicMember::OnLost() {
  // A heartbeat that was not heard is due; and who knows what became of the assignment.
  next_heartbeat_ms_ = 0;
  if (phase_ == Phase::kSyncing) phase_ = Phase::kJoining;
}

std::string SimClassicMember::Subscription() const {
  kafka::ConsumerProtocolSubscription subscription;
  subscription.topics = options_.topics;
  using Topic = kafka::ConsumerProtocolSubscription::TopicPartition;
  subscription.owned_partitions = Named<Topic>(owned(), topics());
  subscription.generation_id = generation_;
  return Must(kafka::EncodeConsumerSubscription(subscription, options_.old_versions ? 1 : 3));
}

void SimClassicMember::Join() {
  kafka::JoinGroupRequest request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.group_instance_id = NullIfEmpty(instance_id());
  request.session_timeout_ms = options_.session_ms;
  request.rebalance_timeout_ms = options_.rebalance_ms;
  request.protocol_type = kafka::kConsumerProtocolType;
  auto& protocol = request.protocols.emplace_back();
  protocol.name = options_.cooperative ? "cooperative-sticky" : "range";
  protocol.metadata = Subscription();
  Ask<kafka::JoinGroupResponse>(
      membership_, std::move(request), options_.old_versions ? 2 : 9,
      [this](const kafka::JoinGroupResponse& response) { OnJoined(response); },
      options_.rebalance_ms + 5000);
}

void SimClassicMember::OnJoined(const kafka::JoinGroupResponse& response) {
  const auto error = static_cast<ErrorCode>(response.error_code);
  cluster_.Trace(name() + " joined " + std::to_string(response.error_code) + " " +
                 std::to_string(response.generation_id));
  if (error == ErrorCode::kMemberIdRequired) member_id_ = response.member_id;
  if (error != ErrorCode::kNone) return OnError(error);
  member_id_ = response.member_id;
  generation_ = response.generation_id;
  joined_ = response;
  phase_ = Phase::kSyncing;
}

// Partitions in turn, but none before the one that has it says so no longer.
std::map<std::string, PartitionSet> SimClassicMember::Assign() const {
  std::map<Partition, std::pair<int32_t, std::string>> owners;
  std::set<std::string> wanted_topics;
  for (const auto& member : joined_.members) {
    const auto subscription = kafka::DecodeConsumerSubscription(member.metadata);
    CHECK(subscription.ok());
    wanted_topics.insert(subscription->topics.begin(), subscription->topics.end());
    if (!options_.cooperative) continue;
    for (const Partition& partition : SetOfNamed(subscription->owned_partitions, topics())) {
      const std::pair<int32_t, std::string> claim{subscription->generation_id, member.member_id};
      auto& owner = owners.try_emplace(partition, claim).first->second;
      owner = std::max(owner, claim);
    }
  }
  std::map<std::string, PartitionSet> assignment;
  size_t place = 0;
  for (const std::string& name : wanted_topics) {
    const auto topic = topics().FindTopic(name);
    if (topic == nullptr) continue;
    for (int32_t i = 0; i < static_cast<int32_t>(topic->partitions.size()); ++i) {
      const auto& wanted = joined_.members[place++ % joined_.members.size()].member_id;
      const auto owner = owners.find({topic->id, i});
      if (owner == owners.end() || owner->second.second == wanted)
        assignment[wanted].emplace(topic->id, i);
    }
  }
  return assignment;
}

void SimClassicMember::Sync() {
  kafka::SyncGroupRequest request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.group_instance_id = NullIfEmpty(instance_id());
  request.generation_id = generation_;
  if (!options_.old_versions) {
    request.protocol_type = joined_.protocol_type;
    request.protocol_name = joined_.protocol_name;
  }
  if (leads()) {
    // One that comes back hands out nothing, and cannot know what there was when it last did.
    handed_out_ = joined_.skip_assignment ? PartitionSet() : Subscribed();
    for (const auto& [member_id, partitions] :
         joined_.skip_assignment ? std::map<std::string, PartitionSet>() : Assign()) {
      kafka::ConsumerProtocolAssignment assignment;
      using Topic = kafka::ConsumerProtocolAssignment::TopicPartition;
      assignment.assigned_partitions = Named<Topic>(partitions, topics());
      auto& told = request.assignments.emplace_back();
      told.member_id = member_id;
      told.assignment = Must(kafka::EncodeConsumerAssignment(assignment, 3));
    }
  }
  Ask<kafka::SyncGroupResponse>(
      membership_, std::move(request), options_.old_versions ? 1 : 5,
      [this](const kafka::SyncGroupResponse& response) { OnSynced(response); },
      options_.rebalance_ms + 5000);
}

void SimClassicMember::OnSynced(const kafka::SyncGroupResponse& response) {
  const auto error = static_cast<ErrorCode>(response.error_code);
  cluster_.Trace(name() + " synced " + std::to_string(response.error_code));
  if (error != ErrorCode::kNone) return OnError(error);
  PartitionSet assigned;
  if (!response.assignment.empty()) {
    const auto assignment = kafka::DecodeConsumerAssignment(response.assignment);
    CHECK(assignment.ok());
    assigned = SetOfNamed(assignment->assigned_partitions, topics());
  }
  next_heartbeat_ms_ = now_ms() + options_.heartbeat_ms;
  const PartitionSet revoked = Minus(owned(), assigned);
  const PartitionSet added = Minus(assigned, owned());
  if (revoked.empty()) {
    phase_ = Phase::kIn;
    return Own(added);
  }
  phase_ = Phase::kGivingUp;
  Own(added);
  GiveUp(revoked, [this] { phase_ = Phase::kJoining; });
}

void SimClassicMember::Heartbeat() {
  kafka::HeartbeatRequest request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.group_instance_id = NullIfEmpty(instance_id());
  request.generation_id = generation_;
  Ask<kafka::HeartbeatResponse>(membership_, std::move(request), options_.old_versions ? 1 : 4,
                                [this](const kafka::HeartbeatResponse& response) {
                                  next_heartbeat_ms_ = now_ms() + options_.heartbeat_ms;
                                  const auto error = static_cast<ErrorCode>(response.error_code);
                                  if (error != ErrorCode::kNone) OnError(error);
                                });
}

void SimClassicMember::OnError(ErrorCode error) {
  if (Reconnects(error)) return OnLost();
  cluster_.Trace(name() + " hears " + std::to_string(static_cast<int>(error)));
  switch (error) {
    case ErrorCode::kRebalanceInProgress: phase_ = Phase::kOut; return;
    case ErrorCode::kMemberIdRequired: return;
    case ErrorCode::kIllegalGeneration: return Lose(false);
    case ErrorCode::kUnknownMemberId: return Lose(true);
    case ErrorCode::kFencedInstanceId: Lose(true); return End();
    // The other protocol's members are there; perhaps they go.
    case ErrorCode::kInconsistentGroupProtocol: Lose(true); return Wait(500);
    default:
      cluster_.invariants().Fail(name() + " was told error " +
                                 std::to_string(static_cast<int>(error)));
  }
}

void SimClassicMember::Lose(bool forgets_id) {
  LoseAll();
  generation_ = -1;
  if (forgets_id) member_id_.clear();
  phase_ = Phase::kJoining;
}

void SimClassicMember::SendLeave() {
  // A static one only stops: its place is kept for the next process.
  if (!instance_id().empty() || member_id_.empty()) return;
  kafka::LeaveGroupRequest request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.members.emplace_back().member_id = member_id_;
  Ask<kafka::LeaveGroupResponse>(membership_, std::move(request), options_.old_versions ? 1 : 5,
                                 [](const kafka::LeaveGroupResponse&) {});
}

std::string SimClassicMember::DescribeState() const {
  switch (phase_) {
    case Phase::kOut: return "out";
    case Phase::kGivingUp: return "gives up";
    case Phase::kJoining: return "joins";
    case Phase::kSyncing: return "syncs";
    case Phase::kIn: return "in";
  }
  return "";
}

// --- Of the consumer protocol ---

SimConsumerMember::SimConsumerMember(SimGroupCluster& cluster, SimMemberOptions options)
    : SimMember(cluster, std::move(options)) {
  member_id_ = Uuid::Generate(random_).ToString();
  generation_ = 0;
}

bool SimConsumerMember::InGroup() const {
  return generation_ > 0 && !full_ && reported_ == owned() && Existing(told_) == Existing(owned());
}

void SimConsumerMember::Advance() {
  // What it has done since is told at once; that it has nothing to do as well.
  const bool has_news = !giving_up() && (acknowledges_ || reported_ != owned());
  if (now_ms() < next_heartbeat_ms_ && !full_ && !has_news) return;
  const Request request = NextRequest();
  const PartitionSet& heard = request.topic_partitions.has_value() ? owned() : reported_;
  Ask<Response>(membership_, request, 1,
                [this, heard](const Response& response) { OnHeartbeat(heard, response); });
}

SimConsumerMember::Request SimConsumerMember::NextRequest() {
  Request request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.member_epoch = generation_;
  request.instance_id = NullIfEmpty(instance_id());
  if (full_) {
    request.rebalance_timeout_ms = options_.rebalance_ms;
    if (options_.regex.empty()) request.subscribed_topic_names = options_.topics;
    if (!options_.regex.empty()) request.subscribed_topic_regex = options_.regex;
  }
  if (!full_ && (giving_up() || (!acknowledges_ && reported_ == owned()))) return request;
  acknowledges_ = false;
  request.topic_partitions.emplace();
  for (const auto& [id, partition] : owned()) {
    auto& reported = *request.topic_partitions;
    if (reported.empty() || TopicId(reported.back().topic_id) != id)
      reported.emplace_back().topic_id = id;
    reported.back().partitions.push_back(partition);
  }
  return request;
}

void SimConsumerMember::OnHeartbeat(const PartitionSet& reported, const Response& response) {
  const auto error = static_cast<ErrorCode>(response.error_code);
  cluster_.Trace(name() + " hears " + std::to_string(response.error_code) + " epoch " +
                 std::to_string(response.member_epoch));
  if (error != ErrorCode::kNone) full_ = true;
  if (Reconnects(error)) return;
  switch (error) {
    case ErrorCode::kNone: break;
    case ErrorCode::kFencedMemberEpoch:
    case ErrorCode::kUnknownMemberId: return Lose();
    // A group of the classic protocol is there that cannot be joined; or nobody has been in it for
    // long.
    case ErrorCode::kGroupIdNotFound: Lose(); return Wait(500);
    case ErrorCode::kUnreleasedInstanceId: return Wait(500);
    case ErrorCode::kFencedInstanceId: Lose(); return End();
    default:
      return cluster_.invariants().Fail(name() + " was told error " +
                                        std::to_string(static_cast<int>(error)));
  }
  if (response.member_epoch < generation_)
    cluster_.invariants().Fail(name() + " was told an epoch of the past");
  generation_ = response.member_epoch;
  full_ = false;
  reported_ = reported;
  next_heartbeat_ms_ = now_ms() + response.heartbeat_interval_ms;
  if (!response.assignment.has_value()) return;
  told_ = Existing(SetOf(response.assignment->topic_partitions));
  acknowledges_ = true;
  Reconcile();
}

void SimConsumerMember::Reconcile() {
  if (giving_up()) return;
  const PartitionSet revoked = Minus(owned(), told_);
  if (revoked.empty()) return Own(Minus(told_, owned()));
  GiveUp(revoked, [this] { Reconcile(); });
}

void SimConsumerMember::Lose() {
  LoseAll();
  generation_ = 0;
  told_.clear();
  reported_.clear();
}

void SimConsumerMember::SendLeave() {
  if (generation_ <= 0) return;
  Request request;
  request.group_id = group_id();
  request.member_id = member_id_;
  request.instance_id = NullIfEmpty(instance_id());
  request.member_epoch = instance_id().empty() ? kLeaveEpoch : kStaticLeaveEpoch;
  Ask<Response>(membership_, request, 1, [](const Response&) {});
}

}  // namespace sluice::broker::testing
