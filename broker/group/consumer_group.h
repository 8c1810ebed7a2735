#pragma once
// ConsumerGroup: a group of the consumer protocol (KIP-848). Members tell what they subscribe to
// and what they own, with heartbeats; the coordinator decides who owns what.
//
//   group epoch        rises with each change of the members, subscriptions or topics
//   target assignment  what each member shall own, computed for one group epoch
//   current assignment what each member owns, on its way to the target (consumer_member.h)
//
//   heartbeats, sessions        consumer_group.cc
//   topics, epoch and target    consumer_group_target.cc
//   records: written and read   consumer_group_records.cc
//   offsets and admin           consumer_group_admin.cc
//   members of the classic one  consumer_group_classic.cc
//
// Members of the classic protocol may be among the others, while an application moves from one to
// the other (group_migration.h). Their generation is their epoch. Where another member would hear
// of a change in its heartbeat they are told REBALANCE_IN_PROGRESS; with JoinGroup they say what
// they own, and SyncGroup tells what they shall.
//
// Invariants (asserted by consumer_group_model_test.cc after each step):
//   1. A partition is in the current assignment of at most one member: assigned, or being revoked.
//   2. No member's epoch is above the target's, nor the target's above the group's.
//   3. The members' targets are disjoint, and have all partitions of all subscribed topics when the
//      target's epoch is the group's.
//   4. What memory says is what the records say.
//
// A group reacts to a changed topic, or one that a regular expression newly matches, with the next
// heartbeat of any member: nobody could be told of it earlier.
//
// Thread rule: as GroupShard's.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/group/consumer_heartbeat_check.h"
#include "broker/group/consumer_member.h"
#include "broker/group/group.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker {

class ConsumerGroup final : public Group {
 public:
  enum class Timer : int32_t {
    kSession,
    kRebalance,  // by when a member must have given up what it was told to
    kJoin,       // by when a classic member must have joined again
    kSync,       // by when it must have asked for its assignment
  };

  // A new one, which no record tells of. The configuration outlives it.
  ConsumerGroup(std::string id, const ConsumerGroupConfig& config)
      : id_(std::move(id)), config_(config) {}
  // As the records in the view say; every session starts now. Null when they know no such group.
  static Result<std::unique_ptr<ConsumerGroup>> Load(std::string id,
                                                     const ConsumerGroupConfig& config,
                                                     GroupContext& context);

  // Of a classic group's members, at its generation. Nothing is written, no session runs before
  // Start.
  static std::unique_ptr<ConsumerGroup> FromClassic(std::string id,
                                                    const ConsumerGroupConfig& config,
                                                    int32_t generation,
                                                    std::vector<ConsumerMember> members);
  void Start(GroupContext& context);
  // Whether it shall be a classic group from now on: its last member of the consumer protocol has
  // gone, and others are left.
  bool ShallDowngrade(const GroupContext& context) const;

  // Why a heartbeat that is no leave would be refused.
  std::optional<GroupRefusal> CheckRegular(
      const kafka::ConsumerGroupHeartbeatRequest& request) const;
  // The request has passed CheckConsumerHeartbeat.
  void ConsumerHeartbeat(const GroupCaller& caller,
                         const kafka::ConsumerGroupHeartbeatRequest& request,
                         GroupContext& context);

  const std::string& id() const override { return id_; }
  Protocol protocol() const override { return Protocol::kConsumer; }

  // Of members of the classic protocol.
  void Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
            GroupContext& context) override;
  void Sync(const GroupCaller& caller, const kafka::SyncGroupRequest& request,
            GroupContext& context) override;
  void Heartbeat(const GroupCaller& caller, const kafka::HeartbeatRequest& request,
                 GroupContext& context) override;
  void Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
             GroupContext& context) override;

  void OnTimer(const GroupTimerKey& timer, GroupContext& context) override;
  void Unload(kafka::ErrorCode, GroupContext&) override {}  // no request is ever parked
  bool CanBeForgotten() const override { return members_.empty(); }

  kafka::ErrorCode CheckCommit(const OffsetClaim& claim, GroupContext& context) override;
  // An earlier epoch does for what the member has had since then (KIP-1251).
  kafka::ErrorCode CheckCommitOf(const OffsetClaim& claim, const std::string& topic,
                                 int32_t partition, const GroupContext& context) const override;
  kafka::ErrorCode CheckFetch(const OffsetClaim& claim) const override;
  bool IsSubscribedTo(std::string_view topic) const override;
  bool has_members() const override { return !members_.empty(); }
  int64_t empty_since_ms() const override { return -1; }
  bool tells_subscriptions() const override { return true; }

  std::string state_name() const override;
  std::string protocol_type() const override { return "consumer"; }
  kafka::DescribeGroupsResponse::DescribedGroup Describe() const override;
  kafka::ConsumerGroupDescribeResponse::DescribedGroup DescribeConsumer(
      const GroupMoment& moment) const override;
  GroupStanding Explain(const GroupMoment& moment) const override;
  void AddTombstones(GroupEffects& effects) const override;

  int32_t epoch() const { return epoch_; }
  int32_t target_epoch() const { return target_epoch_; }
  const std::map<std::string, ConsumerMember>& members() const { return members_; }
  // Empty for one that has none.
  const PartitionsByTopic& TargetOf(const std::string& member_id) const;

 private:
  using Request = kafka::ConsumerGroupHeartbeatRequest;

  // Reasons of rebalances.
  static constexpr std::string_view kJoined = "a member joined";
  static constexpr std::string_view kSubscribedAnew = "a member subscribed to other topics";
  static constexpr std::string_view kLeft = "a member left";

  // The topics that a regular expression matched.
  struct MatchedTopics {
    std::vector<std::string> topics;
    int64_t version = -1;  // index of the image; -1: not matched yet
    int64_t wall_ms = 0;
  };

  // --- consumer_group.cc ---
  void Leave(const GroupCaller& caller, const Request& request, GroupContext& context);
  std::optional<GroupRefusal> CheckStatic(const Request& request,
                                          const ConsumerMember* member) const;
  std::optional<GroupRefusal> CheckMemberEpoch(const ConsumerMember& member,
                                               const Request& request) const;
  std::optional<GroupRefusal> CheckIdentity(const Request& request) const;
  ConsumerMember& Admit(const std::string& member_id, const std::optional<std::string>& instance_id,
                        GroupContext& context);
  ConsumerMember& ReplaceStatic(const std::string& old_id, const std::string& new_id,
                                GroupContext& context);
  // Why the group epoch has to rise for it; empty: it need not.
  std::string_view UpdateMember(ConsumerMember& member, const GroupCaller& caller,
                                const Request& request, GroupContext& context);
  // Whether what it owns has changed.
  bool ReconcileMember(ConsumerMember& member, const ReportedPartitions* owned,
                       GroupContext& context);
  // For a member that let it run out.
  static std::string_view ReasonOf(Timer timer);
  // Out of the group, without its consent or with it.
  void Fence(const std::string& member_id, std::string_view why, GroupContext& context);
  void Remove(const std::string& member_id, GroupContext& context);
  // What follows, once for all that were removed.
  void NoteRemoved(RebalanceCause cause, GroupContext& context);
  void SetCurrent(ConsumerMember& member, ConsumerAssignment next, GroupContext& context);
  // As set for this group, else for all.
  int32_t SessionMs(const ConsumerMember& member, const GroupContext& context) const;
  int32_t SettledHeartbeatMs(const GroupContext& context) const;
  void RenewSession(ConsumerMember& member, GroupContext& context);
  int32_t HeartbeatMs(const ConsumerMember& member, const GroupContext& context) const;
  GroupTimerKey TimerKey(Timer timer, const std::string& member_id) const {
    return {id_, static_cast<int32_t>(timer), member_id};
  }
  const ConsumerMember* Find(std::string_view member_id) const;
  const ConsumerMember* FindStatic(const std::string& instance_id) const;
  bool IsOwned(const TopicId& topic, int32_t partition) const;
  void Own(const OwnedPartitions& partitions);
  void Disown(const OwnedPartitions& partitions);
  // Takes it out of all but the records.
  void Erase(const std::string& member_id, GroupContext& context);

  // --- consumer_group_classic.cc ---
  // `subscription` is the request's, when it may join.
  kafka::ErrorCode CheckJoin(
      const kafka::JoinGroupRequest& request,
      std::optional<kafka::ConsumerProtocolSubscription>& subscription) const;
  // Whether a protocol is among `protocols` that all classic members offer, but for `except`.
  bool HasCommonProtocol(const std::set<std::string_view>& protocols,
                         const ConsumerMember* except) const;
  // As UpdateMember.
  std::string_view UpdateClassicMember(ConsumerMember& member, const GroupCaller& caller,
                                       const kafka::JoinGroupRequest& request,
                                       kafka::ConsumerProtocolSubscription subscription,
                                       GroupContext& context);
  // Null, and `error` says why, when it is no classic member of this generation.
  ConsumerMember* FindClassic(const std::string& member_id,
                              const std::optional<std::string>& instance_id, int32_t generation,
                              kafka::ErrorCode& error);
  bool HasToJoinAgain(const ConsumerMember& member) const;
  void ExpectJoin(ConsumerMember& member, GroupContext& context);
  kafka::ErrorCode CheckSync(const ConsumerMember& member,
                             const kafka::SyncGroupRequest& request) const;
  // `cause` is of the last one that left.
  kafka::ErrorCode LeaveOne(const kafka::LeaveGroupRequest::MemberIdentity& who,
                            RebalanceCause& cause, GroupContext& context);

  // --- consumer_group_target.cc ---
  // The group epoch rises if `cause` has a reason, or if the topics have changed since it last did;
  // then there is a new target.
  void Advance(RebalanceCause cause, GroupContext& context);
  bool RefreshRegexes(GroupContext& context);
  // Drops it when nobody subscribes with it any more.
  void ForgetRegex(const std::string& regex, GroupContext& context);
  void RaiseEpoch(RebalanceCause cause, int64_t topics_hash, GroupContext& context);
  void UpdateTarget(GroupContext& context);
  std::set<std::string_view> SubscribedNames() const;
  int64_t HashTopics(const metadata::Image& image) const;
  std::vector<TopicId> TopicIdsOf(const ConsumerMember& member, const metadata::Image& image) const;
  AssignorInput InputOf(const metadata::Image& image) const;
  std::string PreferredAssignor() const;

  // --- consumer_group_records.cc ---
  void WriteMember(const ConsumerMember& member, GroupContext& context) const;
  void WriteCurrent(const ConsumerMember& member, GroupContext& context) const;
  void WriteTarget(const std::string& member_id, GroupContext& context) const;
  void WriteEpoch(GroupContext& context) const;
  void WriteTargetEpoch(GroupContext& context) const;
  void WriteRegex(const std::string& regex, GroupContext& context) const;
  void WriteRegexGone(const std::string& regex, GroupContext& context) const;
  void WriteMemberGone(const std::string& member_id, GroupContext& context) const;
  void NoteChanged(GroupContext& context) const;
  Status LoadMembers(const GroupView& view);
  Status LoadTargets(const GroupView& view);
  Status LoadRegexes(const GroupView& view);

  // --- consumer_group_admin.cc ---
  kafka::ConsumerGroupDescribeResponse::Member DescribeMember(const ConsumerMember& member,
                                                              const metadata::Image& image) const;

  const std::string id_;
  const ConsumerGroupConfig& config_;
  int32_t epoch_ = 1;  // as Kafka counts: its first rebalance makes it 2
  int64_t topics_hash_ = 0;
  int32_t target_epoch_ = 0;
  std::map<std::string, ConsumerMember> members_;
  std::map<std::string, std::string> static_members_;  // instance id -> member id
  std::map<std::string, PartitionsByTopic> targets_;
  std::map<std::string, MatchedTopics> regexes_;
  // By partition: whether a member has it.
  std::unordered_map<TopicId, std::vector<bool>> owned_;

  // In no record.
  LogIndex checked_image_{-1};  // the topics were looked at, at that one
  LogIndex regexes_image_{-1};  // all regular expressions were matched, at that one
  int64_t regexes_checked_ms_ = 0;
  int64_t unsettled_until_ms_ = 0;  // not all members have heard of the last change
  RebalanceCause last_rebalance_;
  // The newest of those that were given out for a first JoinGroup to come back with.
  std::deque<std::string> given_ids_;
};

}  // namespace sluice::broker
