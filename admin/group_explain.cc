#include "admin/group_explain.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "admin/group_routes.h"

namespace sluice::admin {
namespace {

// Slower than this is no rate that a person would speak of.
constexpr double kRateMin = 0.05;
// Two rates that differ by less are the same: a sample holds a commit more or less.
constexpr double kRateNoise = 0.1;
// What arrives in so long is under way, not lag: readers fetch and commit in steps.
constexpr double kUnderWaySeconds = 2;
// As often clients commit where nobody sets another interval, and a little more.
constexpr double kCommitSeconds = 6;
// So many records may be young without a commit in the sample.
constexpr int64_t kUnderWayRecords = 2;
// Two heartbeats as often as clients send them where nobody sets another interval, and as the
// brokers ask for them in the consumer protocol.
constexpr int64_t kSilentMsClassic = 2 * 3000;
constexpr int64_t kSilentMsConsumer = 2 * 5000;

std::string Count(int64_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string RateInWords(double per_second) {
  char text[32];
  snprintf(text, sizeof text, per_second < 10 ? "%.1f/s" : "%.0f/s", per_second);
  return text;
}

void Add(ExplainGroupResponse& response, std::string what, std::string why,
         std::string next_step = "") {
  Finding& finding = *response.add_findings();
  finding.set_what(std::move(what));
  finding.set_why(std::move(why));
  finding.set_next_step(std::move(next_step));
}

const GroupMember* FindMember(const Group& group, const std::string& member_id) {
  for (const GroupMember& member : group.members()) {
    if (member.member_id() == member_id) return &member;
  }
  return nullptr;
}

std::string SinceInWords(const Group& group, int64_t wall_ms) {
  if (group.state_since_ms() < 0) return "";
  return " for " + DurationInWords(wall_ms - group.state_since_ms());
}

std::string SilenceInWords(const GroupMember& member) {
  if (member.heard_ms_ago() < 0) return "";
  std::string words = ", last heard of " + DurationInWords(member.heard_ms_ago()) + " ago";
  const int64_t left_ms = member.session_timeout_ms() - member.heard_ms_ago();
  if (member.session_timeout_ms() > 0 && left_ms > 0)
    words += "; without a sign of life it is out in " + DurationInWords(left_ms);
  return words;
}

bool IsRebalancing(const Group& group) {
  return group.state() == "PreparingRebalance" || group.state() == "CompletingRebalance" ||
         group.state() == "Assigning" || group.state() == "Reconciling";
}

void ExplainWaiting(const Group& group, ExplainGroupResponse& response) {
  for (const GroupMember& member : group.members()) {
    if (member.awaited() == "join") {
      Add(response, "it waits for member " + MemberInWords(member) + " to join again",
          "the member has not sent JoinGroup since the rebalance began" + SilenceInWords(member),
          "look whether that process hangs or works on a batch for longer than its "
          "max.poll.interval.ms");
    } else if (member.awaited() == "sync") {
      Add(response, "it waits for member " + MemberInWords(member) + " to take its assignment",
          "the member has joined and has not sent SyncGroup" + SilenceInWords(member));
    } else if (member.awaited() == "assignment") {
      Add(response, "it waits for member " + MemberInWords(member) + " to hand out the partitions",
          "that member leads the group and has not sent the assignment" + SilenceInWords(member),
          "look whether that process hangs");
    }
  }
  for (const GroupMember& member : group.members()) {
    if (member.awaited() != "revocation") continue;
    Add(response, "it waits for member " + MemberInWords(member) + " to give up partitions",
        "they are another member's next, and this one has not said that it let go of them" +
            SilenceInWords(member),
        "look whether that process hangs or works on a batch for longer than its "
        "max.poll.interval.ms");
  }
  for (const std::string& pending : group.pending_members()) {
    Add(response, "it waits for a client that was given the member id " + pending,
        "the client has not come back with it; after its session timeout the group goes on");
  }
}

void ExplainLastRebalance(const Group& group, int64_t wall_ms, ExplainGroupResponse& response) {
  if (!group.has_last_rebalance()) {
    if (!IsRebalancing(group)) return;
    return Add(response, "why the rebalance began is not known",
               "its coordinator has taken over from another one since then, or was started again");
  }
  const LastRebalance& last = group.last_rebalance();
  std::string why = last.reason();
  if (!last.member_id().empty()) {
    const GroupMember* member = FindMember(group, last.member_id());
    why += " (member " + (member != nullptr ? MemberInWords(*member) : last.member_id()) + ")";
  }
  const bool over = !IsRebalancing(group);
  Add(response,
      (over ? "its last rebalance began " : "the rebalance began ") +
          DurationInWords(wall_ms - last.time_ms()) + " ago",
      why);
}

bool IsSilent(const Group& group, const GroupMember& member) {
  if (member.heard_ms_ago() < 0 || member.session_timeout_ms() <= 0) return false;
  const int64_t usual_ms = group.type() == "consumer" ? kSilentMsConsumer : kSilentMsClassic;
  // Clients send heartbeats three times in a session or more often.
  return member.heard_ms_ago() >= std::min<int64_t>(usual_ms, member.session_timeout_ms() / 2);
}

void ExplainSilence(const Group& group, ExplainGroupResponse& response) {
  for (const GroupMember& member : group.members()) {
    if (!member.awaited().empty() || !IsSilent(group, member)) continue;
    const int64_t left_ms =
        std::max<int64_t>(member.session_timeout_ms() - member.heard_ms_ago(), 0);
    Add(response,
        "member " + MemberInWords(member) + " is silent for " +
            DurationInWords(member.heard_ms_ago()) + ", and taken out after " +
            DurationInWords(member.session_timeout_ms()),
        "it was last heard of " + DurationInWords(member.heard_ms_ago()) +
            " ago; its session timeout is " + DurationInWords(member.session_timeout_ms()),
        "look whether that process lives; in " + DurationInWords(left_ms) +
            " its partitions go to the others");
  }
}

// Whom partitions wait for that nobody has: the one that the group waits for, or else a silent one,
// and of several the one that was heard of least lately; null when there is none.
const GroupMember* HoldsUp(const Group& group) {
  const GroupMember* found = nullptr;
  for (const bool awaited : {true, false}) {
    for (const GroupMember& member : group.members()) {
      if (awaited ? member.awaited().empty() : !IsSilent(group, member)) continue;
      if (found == nullptr || member.heard_ms_ago() > found->heard_ms_ago()) found = &member;
    }
    if (found != nullptr) break;
  }
  return found;
}

// What is known of the lag of one member's partitions; of nobody's under the empty id.
struct Share {
  bool has_rates = false;  // of one of them at least
  int partitions = 0;
  int64_t lag = 0;
  double committed = 0, arriving = 0;
  std::optional<double> oldest_seconds;  // absent: not known of all that it is behind with
  std::string worst;
  int64_t worst_lag = -1;
};

std::map<std::string, Share> SharesOf(const GroupLagResponse& lag) {
  std::map<std::string, Share> shares;
  for (const PartitionLag& partition : lag.partitions()) {
    Share& share = shares[partition.member_id()];
    if (partition.has_committed_per_second() || partition.has_arriving_per_second())
      share.has_rates = true;
    if (++share.partitions == 1) share.oldest_seconds = 0;
    if (partition.lag() > 0 && !partition.has_lag_seconds()) share.oldest_seconds.reset();
    if (share.oldest_seconds.has_value())
      share.oldest_seconds = std::max(*share.oldest_seconds, partition.lag_seconds());
    share.lag += partition.lag();
    share.committed += partition.committed_per_second();
    share.arriving += partition.arriving_per_second();
    if (partition.has_lag() && partition.lag() > share.worst_lag) {
      share.worst_lag = partition.lag();
      share.worst = PartitionName(partition.topic(), partition.partition());
    }
  }
  return shares;
}

std::string HasPartitions(const std::string& who, const Share& share, int all) {
  return who + " has " + std::to_string(share.partitions) + " of " + Count(all, "partition");
}

// Whether all that the share is behind with is just under way.
bool KeepsUp(const Share& share) {
  if (!share.has_rates) return false;
  if (static_cast<double>(share.lag) <= share.arriving * kUnderWaySeconds) return true;
  // A producer's clock may be ahead of ours: age alone does not tell that somebody reads.
  const bool moves = share.committed >= kRateMin || share.lag <= kUnderWayRecords;
  return moves && share.oldest_seconds.value_or(kUnderWaySeconds) < kUnderWaySeconds;
}

void ExplainNobodys(const Group& group, const Share& share, const std::string& behind,
                    ExplainGroupResponse& response) {
  if (group.members().empty()) return;  // said by the state
  const std::string what = "nobody reads " + Count(share.partitions, "partition");
  if (const GroupMember* member = HoldsUp(group); member != nullptr) {
    std::string why = "they wait for member " + MemberInWords(*member);
    if (member->heard_ms_ago() >= 0)
      why += ", silent for " + DurationInWords(member->heard_ms_ago());
    if (member->session_timeout_ms() > 0) {
      why += "; if it stays silent they are given away after its session timeout of " +
             DurationInWords(member->session_timeout_ms());
    }
    return Add(response, what + " for now", why + "; " + behind, "look whether that process lives");
  }
  if (IsRebalancing(group)) {
    return Add(response, what + " for now",
               "they are given out when the rebalance is over; " + behind);
  }
  Add(response, what, "no member has them; " + behind,
      "look whether the members subscribe to all topics that the group has read");
}

void ExplainShare(const Group& group, const std::string& member_id, const Share& share, int all,
                  ExplainGroupResponse& response) {
  if (share.lag == 0) return;
  const std::string behind = Count(share.lag, "record") + " behind, most of them in " + share.worst;
  if (member_id.empty()) return ExplainNobodys(group, share, behind, response);
  const GroupMember* member = FindMember(group, member_id);
  const std::string who = "member " + (member != nullptr ? MemberInWords(*member) : member_id);
  const std::string has = HasPartitions(who, share, all);
  const std::string rates = "; it commits " + RateInWords(share.committed) + " while " +
                            RateInWords(share.arriving) + " arrive";
  if (!share.has_rates) {
    return Add(response, who + " is " + behind,
               has + "; one look does not tell whether that grows");
  }
  if (KeepsUp(share)) return Add(response, who + " keeps up", has + rates + "; " + behind);
  if (share.committed < kRateMin && share.arriving >= kRateMin &&
      static_cast<double>(share.lag) <= share.arriving * kCommitSeconds) {
    return Add(response, who + " has committed nothing in this sample", has + rates + "; " + behind,
               "look again with a longer --sample: where nobody sets another interval clients "
               "commit every five seconds");
  }
  const double noise = kRateMin + kRateNoise * std::max(share.arriving, share.committed);
  if (share.arriving > share.committed + noise) {
    const bool stuck = share.committed < kRateMin;
    return Add(response, "lag grows: " + has + rates, behind,
               stuck ? "look whether that process still works, or fails on the record at its "
                       "committed offset"
                     : "make it faster, or start more members while there are partitions to share");
  }
  if (share.committed > share.arriving + noise) {
    const double seconds = static_cast<double>(share.lag) / (share.committed - share.arriving);
    return Add(response,
               "lag shrinks: " + has + ", gone in about " +
                   DurationInWords(static_cast<int64_t>(seconds * 1000)),
               behind + rates);
  }
  Add(response, "lag stays: " + has + rates, behind,
      share.committed < kRateMin ? "look whether that process still commits" : "");
}

using MissingTopics = std::map<std::string, int>;

void ExplainMissingTopics(const MissingTopics& missing, ExplainGroupResponse& response) {
  for (const auto& [topic, members] : missing) {
    Add(response, "topic '" + topic + "' does not exist",
        Count(members, "member") + (members == 1 ? " subscribes" : " subscribe") +
            " to it: it was deleted, or never made",
        "make it (sluice topic create), or let the members subscribe to another");
  }
}

// Whether more partitions of what it subscribes to would give the member any.
bool LacksPartitions(const GroupMember& member, const MissingTopics& missing) {
  if (!member.assignment().empty()) return false;
  const auto& topics = member.subscribed_topics();
  return std::any_of(topics.begin(), topics.end(),
                     [&](const auto& topic) { return !missing.contains(topic); });
}

// A member that names no topic and has nothing: its pattern may match none.
void ExplainUnmatched(const GroupMember& member, ExplainGroupResponse& response) {
  if (!member.assignment().empty() || !member.subscribed_topics().empty()) return;
  const std::string& regex = member.subscribed_regex();
  Add(response, "member " + MemberInWords(member) + " has no partition",
      regex.empty()
          ? "it names no topic: its pattern matches none, or its client does not say what "
            "it subscribes to"
          : "its pattern '" + regex +
                "' matches no topic, or the other members have all partitions of what it "
                "matches",
      "compare with sluice topic list what that client subscribes to");
}

void ExplainIdle(const Group& group, const MissingTopics& missing, ExplainGroupResponse& response) {
  if (group.state() != "Stable" || group.protocol_type() != "consumer") return;
  int idle = 0;
  for (const GroupMember& member : group.members()) {
    ExplainUnmatched(member, response);
    idle += LacksPartitions(member, missing) ? 1 : 0;
  }
  if (idle == 0) return;
  Add(response,
      Count(idle, "member") + " of " + std::to_string(group.members_size()) +
          (idle == 1 ? " has" : " have") + " no partition",
      "there are no more partitions to share than the other members have",
      "add partitions to the topic, or stop members that have nothing to do");
}

void ExplainLost(const GroupLagResponse& lag, ExplainGroupResponse& response) {
  for (const PartitionLag& partition : lag.partitions()) {
    if (!partition.has_committed() || partition.log_start() <= partition.committed()) continue;
    Add(response,
        PartitionName(partition.topic(), partition.partition()) +
            " lost records unread: " + partition.note(),
        "retention, or sluice topic trim, deleted them before the group committed them",
        "a longer retention.ms keeps them for longer; the group goes on by its auto.offset.reset");
  }
}

std::string Summary(const Group& group, const GroupLagResponse& lag, int64_t wall_ms) {
  const std::string since = SinceInWords(group, wall_ms);
  std::string behind = lag.lag() == 0 ? "no lag" : Count(lag.lag(), "record") + " behind";
  if (lag.lag() > 0 && lag.has_lag_seconds()) {
    behind += ", the oldest " +
              DurationInWords(static_cast<int64_t>(std::llround(lag.lag_seconds() * 1000))) +
              " old";
  }
  const auto uncommitted =
      std::count_if(lag.partitions().begin(), lag.partitions().end(),
                    [](const PartitionLag& partition) { return !partition.has_committed(); });
  // Of these nobody can say how far behind it is.
  if (uncommitted > 0) behind += "; nothing is committed of " + Count(uncommitted, "partition");
  if (lag.incomplete_size() > 0)
    behind += " (of " + Count(lag.incomplete_size(), "partition") + " it is not known)";
  const std::string members = Count(group.members_size(), "member");
  if (IsRebalancing(group)) return "rebalancing" + since + " with " + members + "; " + behind;
  if (group.members().empty()) return "no members" + since + "; " + behind;
  std::string state = group.state();
  std::transform(state.begin(), state.end(), state.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return state + since + " with " + members + "; " + behind;
}

}  // namespace

std::string DurationInWords(int64_t duration_ms) {
  const int64_t ms = std::max<int64_t>(duration_ms, 0);
  char text[32];
  if (ms < 60'000) {
    snprintf(text, sizeof text, "%.1f s", static_cast<double>(ms) / 1000);
    return text;
  }
  if (ms < 2 * 3'600'000LL) return std::to_string(ms / 60'000) + " min";
  if (ms < 2 * 86'400'000LL) return std::to_string(ms / 3'600'000) + " h";
  return std::to_string(ms / 86'400'000) + " d";
}

std::string MemberInWords(const GroupMember& member) {
  std::string name = "'" + member.client_id() + "'";
  if (!member.instance_id().empty()) name += ", instance '" + member.instance_id() + "',";
  return name + " at " + member.client_host() + " (" + member.member_id() + ")";
}

ExplainGroupResponse ExplainInWords(const GroupAndLag& found, int64_t wall_ms) {
  const Group& group = found.group;
  ExplainGroupResponse response;
  *response.mutable_group() = group;
  response.set_measured(found.lag.measured());
  response.set_summary(Summary(group, found.lag, wall_ms));
  if (IsRebalancing(group)) ExplainWaiting(group, response);
  if (group.members().empty() && !IsRebalancing(group)) {
    Add(response, "nobody reads: the group has no members" + SinceInWords(group, wall_ms),
        group.protocol_type().empty() ? "offsets were committed for it, and no member ever joined"
                                      : "the last one has left or was out",
        "start a consumer: its positions are kept until offsets.retention.minutes is over");
  }
  ExplainSilence(group, response);
  ExplainLost(found.lag, response);
  std::vector<std::pair<std::string, Share>> shares;
  int all = found.lag.partitions_size();
  for (auto& entry : SharesOf(found.lag)) shares.push_back(entry);
  std::stable_sort(shares.begin(), shares.end(),
                   [](const auto& a, const auto& b) { return a.second.lag > b.second.lag; });
  for (const auto& [member_id, share] : shares)
    ExplainShare(group, member_id, share, all, response);
  ExplainMissingTopics(found.missing_topics, response);
  ExplainIdle(group, found.missing_topics, response);
  ExplainLastRebalance(group, wall_ms, response);
  for (const PartitionLag& lag : found.lag.partitions()) {
    // Of a topic that is gone all is said.
    if (lag.log_end() >= 0 || found.missing_topics.contains(lag.topic())) continue;
    Add(response, "not all is known",
        PartitionName(lag.topic(), lag.partition()) + ": " + lag.note(),
        "sluice cluster health tells more");
  }
  return response;
}

}  // namespace sluice::admin
