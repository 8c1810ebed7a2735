// The part of ConsumerGroup that looks at the topics, raises the group epoch and computes targets.
#include <algorithm>

#include "broker/group/consumer_group.h"
#include "broker/group/topic_regex.h"

namespace sluice::broker {
namespace {

// How often a change of the cluster may have all topics matched again.
constexpr int64_t kRegexPauseMs = 1000;

// FNV-1a, 64 bits: only ever compared with what this code wrote.
class TopicsHash {
 public:
  void Add(std::string_view bytes) {
    Add(static_cast<int64_t>(bytes.size()));
    for (const char c : bytes) Mix(static_cast<uint8_t>(c));
  }
  void Add(int64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
      Mix(static_cast<uint8_t>(static_cast<uint64_t>(number) >> shift));
  }
  int64_t value() const { return static_cast<int64_t>(hash_); }

 private:
  void Mix(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3ULL; }
  uint64_t hash_ = 0xcbf29ce484222325ULL;
};

std::vector<std::vector<std::string>> RacksOf(const metadata::TopicImage& topic,
                                              const metadata::Image& image) {
  std::vector<std::vector<std::string>> racks(topic.partitions.size());
  for (size_t i = 0; i < racks.size(); ++i) {
    for (const NodeId replica : topic.partitions[i].replicas) {
      const metadata::BrokerImage* const broker = image.FindBroker(replica);
      if (broker != nullptr && !broker->rack.empty()) racks[i].push_back(broker->rack);
    }
  }
  return racks;
}

}  // namespace

void ConsumerGroup::Advance(RebalanceCause cause, GroupContext& context) {
  if (RefreshRegexes(context) && cause.reason.empty())
    cause.reason = "a regular expression of the members matches other topics";
  const bool changed = !cause.reason.empty();
  if (changed || checked_image_ != context.moment.image->last_index) {
    const int64_t topics_hash = HashTopics(*context.moment.image);
    if (!changed && topics_hash != topics_hash_)
      cause.reason = "a topic that the members read was created, deleted or given more partitions";
    if (!cause.reason.empty()) RaiseEpoch(std::move(cause), topics_hash, context);
    checked_image_ = context.moment.image->last_index;
  }
  if (epoch_ > target_epoch_) UpdateTarget(context);
}

void ConsumerGroup::RaiseEpoch(RebalanceCause cause, int64_t topics_hash, GroupContext& context) {
  ++epoch_;
  last_rebalance_ = std::move(cause);
  last_rebalance_.wall_ms = context.moment.wall_ms;
  topics_hash_ = topics_hash;
  checked_image_ = context.moment.image->last_index;
  // By then each member has sent a heartbeat, learnt of the change, and sent another one.
  unsettled_until_ms_ = context.now_ms() + 2 * int64_t{SettledHeartbeatMs(context)};
  WriteEpoch(context);
}

bool ConsumerGroup::RefreshRegexes(GroupContext& context) {
  const metadata::Image& image = *context.moment.image;
  const int64_t age_ms = context.now_ms() - regexes_checked_ms_;
  const bool all = age_ms >= config_.regex_refresh_ms ||
                   (regexes_image_ != image.last_index && age_ms >= kRegexPauseMs);
  if (all) {
    regexes_checked_ms_ = context.now_ms();
    regexes_image_ = image.last_index;
  }
  bool changed = false;
  for (auto& [regex, matched] : regexes_) {
    const bool is_new = matched.version == -1;
    if (!all && !is_new) continue;
    std::vector<std::string> topics = TopicsMatching(regex, image);
    if (!is_new && topics == matched.topics) continue;
    matched = {std::move(topics), image.last_index.value(), context.moment.wall_ms};
    WriteRegex(regex, context);
    changed = true;
  }
  return changed;
}

void ConsumerGroup::ForgetRegex(const std::string& regex, GroupContext& context) {
  if (regex.empty()) return;
  for (const auto& [member_id, member] : members_) {
    if (member.regex == regex) return;
  }
  if (regexes_.erase(regex) > 0) WriteRegexGone(regex, context);
}

std::set<std::string_view> ConsumerGroup::SubscribedNames() const {
  std::set<std::string_view> names;
  const std::vector<std::string>* last = nullptr;
  for (const auto& [member_id, member] : members_) {
    // Most groups' members all subscribe alike.
    if (last != nullptr && *last == member.topic_names) continue;
    last = &member.topic_names;
    names.insert(last->begin(), last->end());
  }
  for (const auto& [regex, matched] : regexes_)
    names.insert(matched.topics.begin(), matched.topics.end());
  return names;
}

int64_t ConsumerGroup::HashTopics(const metadata::Image& image) const {
  const bool uses_racks = std::any_of(members_.begin(), members_.end(),
                                      [](const auto& entry) { return !entry.second.rack.empty(); });
  TopicsHash hash;
  bool any = false;
  for (const std::string_view name : SubscribedNames()) {
    const auto topic = image.FindTopic(std::string(name));
    if (topic == nullptr) continue;
    any = true;
    hash.Add(topic->id.view());
    hash.Add(name);
    hash.Add(static_cast<int64_t>(topic->partitions.size()));
    if (!uses_racks) continue;
    for (std::vector<std::string>& racks : RacksOf(*topic, image)) {
      std::sort(racks.begin(), racks.end());
      hash.Add(static_cast<int64_t>(racks.size()));
      for (const std::string& rack : racks) hash.Add(rack);
    }
  }
  return any ? hash.value() : 0;
}

std::vector<TopicId> ConsumerGroup::TopicIdsOf(const ConsumerMember& member,
                                               const metadata::Image& image) const {
  std::vector<TopicId> ids;
  const auto add = [&ids, &image](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (const auto topic = image.FindTopic(name)) ids.push_back(topic->id);
    }
  };
  add(member.topic_names);
  const auto matched = regexes_.find(member.regex);
  if (matched != regexes_.end()) add(matched->second.topics);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

AssignorInput ConsumerGroup::InputOf(const metadata::Image& image) const {
  AssignorInput input;
  bool uses_racks = false;
  const ConsumerMember* alike = nullptr;  // the member before, with the same subscription
  for (const auto& [member_id, member] : members_) {
    const bool same = alike != nullptr && alike->topic_names == member.topic_names &&
                      alike->regex == member.regex;
    std::vector<TopicId> topics = same ? input.members.back().topics : TopicIdsOf(member, image);
    input.members.push_back(
        {member_id, member.instance_id, member.rack, std::move(topics), &TargetOf(member_id)});
    alike = &member;
    uses_racks |= !member.rack.empty();
  }
  for (const std::string_view name : SubscribedNames()) {
    const auto topic = image.FindTopic(std::string(name));
    if (topic == nullptr) continue;
    AssignorTopic& info = input.topics[topic->id];
    info.partition_count = static_cast<int32_t>(topic->partitions.size());
    if (uses_racks) info.racks = RacksOf(*topic, image);
  }
  return input;
}

// The one that most members ask for; of equals the one that comes first by name.
std::string ConsumerGroup::PreferredAssignor() const {
  std::map<std::string_view, size_t> votes;
  for (const auto& [member_id, member] : members_) {
    if (!member.server_assignor.empty()) ++votes[member.server_assignor];
  }
  std::string preferred = config_.assignors.front();
  size_t most = 0;
  for (const auto& [name, count] : votes) {
    if (count <= most || FindAssignor(name) == nullptr) continue;
    preferred = name;
    most = count;
  }
  return preferred;
}

void ConsumerGroup::UpdateTarget(GroupContext& context) {
  const AssignorInput input = InputOf(*context.moment.image);
  const Assignor* const assignor = FindAssignor(PreferredAssignor());
  CHECK(assignor != nullptr) << "group.consumer.assignors has one that does not exist";
  std::vector<PartitionsByTopic> result = assignor->Assign(input);
  for (size_t i = 0; i < result.size(); ++i) {
    const std::string& member_id = input.members[i].member_id;
    const auto [target, is_new] = targets_.try_emplace(member_id);
    if (!is_new && target->second == result[i]) continue;
    target->second = std::move(result[i]);
    WriteTarget(member_id, context);
  }
  target_epoch_ = epoch_;
  WriteTargetEpoch(context);
}

}  // namespace sluice::broker
