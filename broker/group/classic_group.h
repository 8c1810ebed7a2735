#pragma once
// ClassicGroup: a group whose members agree on generations with JoinGroup and SyncGroup, and whose
// leader, a client, hands out the assignments. classic_group_state.h has its states.
//
//   JoinGroup    classic_group_join.cc       who may come in, and what its coming changes
//   rebalance    classic_group_rebalance.cc  from one generation to the next, and what runs out
//   the rest     classic_group.cc            SyncGroup, Heartbeat, LeaveGroup, offsets, admin
//
// Rules:
//   1. What a generation's assignment gives to a member is told only when the record that has it is
//      committed. A member that is told of it earlier could own, after a failover, what the next
//      coordinator gives to another in a generation of the same number.
//   2. The record is written with the assignment, when a static member gets a new id without a
//      rebalance, and when the group becomes empty; a generation that ends before its assignment
//      leaves no trace.
//   3. A parked request is answered exactly once: a second one of the same member answers the
//      first with REBALANCE_IN_PROGRESS.
//
// All sessions of a group share one timer, set to the one that ends first.
//
// Thread rule: as GroupShard's.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "broker/group/classic_group_record.h"
#include "broker/group/classic_group_state.h"
#include "broker/group/classic_members.h"
#include "broker/group/group.h"

namespace sluice::broker {

class ClassicGroup final : public Group {
 public:
  enum class Timer : int32_t { kJoin, kSync, kSession };

  // A new one, which no record tells of.
  explicit ClassicGroup(std::string id) : id_(std::move(id)) {}
  // As its record says; every session starts now.
  static Result<std::unique_ptr<ClassicGroup>> Load(std::string id, std::string_view value,
                                                    GroupContext& context);

  // Of a consumer group's members, at its epoch: Start writes the record and begins a rebalance.
  static std::unique_ptr<ClassicGroup> FromConsumer(std::string id, int32_t generation,
                                                    ClassicMembers members);
  void Start(GroupContext& context);

  const std::string& id() const override { return id_; }
  Protocol protocol() const override { return Protocol::kClassic; }

  void Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
            GroupContext& context) override;
  void Sync(const GroupCaller& caller, const kafka::SyncGroupRequest& request,
            GroupContext& context) override;
  void Heartbeat(const GroupCaller& caller, const kafka::HeartbeatRequest& request,
                 GroupContext& context) override;
  void Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
             GroupContext& context) override;
  void OnTimer(const GroupTimerKey& timer, GroupContext& context) override;
  void Unload(kafka::ErrorCode error, GroupContext& context) override;
  bool CanBeForgotten() const override;

  kafka::ErrorCode CheckCommit(const OffsetClaim& claim, GroupContext& context) override;
  kafka::ErrorCode CheckFetch(const OffsetClaim& claim) const override;
  bool IsSubscribedTo(std::string_view topic) const override;
  bool has_members() const override { return state_ != ClassicGroupState::kEmpty; }
  int64_t empty_since_ms() const override;
  bool tells_subscriptions() const override;

  std::string state_name() const override { return std::string(ClassicGroupStateName(state_)); }
  std::string protocol_type() const override { return facts_.protocol_type; }
  kafka::DescribeGroupsResponse::DescribedGroup Describe() const override;
  kafka::ConsumerGroupDescribeResponse::DescribedGroup DescribeConsumer(
      const GroupMoment& moment) const override;
  GroupStanding Explain(const GroupMoment& moment) const override;
  void AddTombstones(GroupEffects& effects) const override;

  ClassicGroupState state() const { return state_; }
  int32_t generation() const { return facts_.generation; }
  // That the members agreed on, if they have.
  const std::optional<std::string>& agreed_protocol() const { return facts_.protocol; }
  const ClassicMembers& members() const { return members_; }
  const RebalanceCause& last_rebalance() const { return last_rebalance_; }

 private:
  // One JoinGroup on its way through the group.
  struct Joining {
    const GroupCaller& caller;
    const kafka::JoinGroupRequest& request;
    ClassicTerms terms;
    std::string reason;  // the client's
  };

  // --- classic_group_join.cc ---
  bool HasRoomFor(const kafka::JoinGroupRequest& request, const GroupContext& context) const;
  bool Accepts(const Joining& joining) const;
  void JoinNew(Joining& joining, GroupContext& context);
  void JoinKnown(Joining& joining, GroupContext& context);
  void JoinAgain(ClassicMember& member, Joining& joining, GroupContext& context);
  void AddMember(std::string member_id, Joining& joining, GroupContext& context);
  void AddPending(std::string member_id, const Joining& joining, GroupContext& context);
  void ReplaceStatic(ClassicMember& fenced, std::string member_id, Joining& joining,
                     GroupContext& context);
  void AnswerReplaced(const ClassicMember& member, const std::string& leader_before,
                      const GroupCaller& caller, GroupContext& context);
  void ParkJoin(ClassicMember& member, Joining& joining, GroupContext& context);
  kafka::JoinGroupResponse JoinResponse(const ClassicMember& member) const;

  // --- classic_group_rebalance.cc ---
  // The next generation begins when all have joined; now, when the group waits for that already.
  void RebalanceOrCompleteJoin(RebalanceCause cause, GroupContext& context);
  void PrepareRebalance(RebalanceCause cause, GroupContext& context);
  void MaybeCompleteJoin(GroupContext& context);
  void CompleteJoin(GroupContext& context);
  void DropUnjoined(GroupContext& context);
  void StartGeneration(GroupContext& context);
  void ExtendInitialOrComplete(GroupContext& context);
  void ExpireSync(GroupContext& context);
  void ExpireSessions(GroupContext& context);
  void AbandonAssignment(GroupContext& context);
  void WriteRecord(GroupContext& context);
  void TransitionTo(ClassicGroupState state, const GroupContext& context);
  // Answers what it has parked with `error`, and takes it out.
  void RemoveMember(ClassicMember& member, kafka::ErrorCode error, GroupContext& context);
  void AnswerParked(ClassicMember& member, kafka::ErrorCode error, GroupContext& context);
  void RenewSession(ClassicMember& member, GroupContext& context);
  void SetSession(ClassicMember& member, int64_t deadline_ms, GroupContext& context);
  void WatchSessions(int64_t deadline_ms, GroupContext& context);
  void ReadSubscriptions();
  GroupStanding::Awaited AwaitedOf(const ClassicMember& member) const;
  GroupTimerKey TimerKey(Timer timer) const { return {id_, static_cast<int32_t>(timer), {}}; }

  // --- classic_group.cc ---
  kafka::ErrorCode CheckMember(std::string_view member_id,
                               const std::optional<std::string_view>& instance_id) const;
  kafka::ErrorCode CheckSync(const kafka::SyncGroupRequest& request) const;
  void TakeAssignment(const kafka::SyncGroupRequest& request, GroupContext& context);
  kafka::SyncGroupResponse SyncResponse(const ClassicMember& member) const;
  // Says in `cause` who has left, when it was a member.
  kafka::ErrorCode LeaveOne(const kafka::LeaveGroupRequest::MemberIdentity& who,
                            RebalanceCause& cause, GroupContext& context);

  const std::string id_;
  ClassicGroupState state_ = ClassicGroupState::kEmpty;
  ClassicGroupState previous_state_ = ClassicGroupState::kEmpty;
  ClassicGroupFacts facts_;
  ClassicMembers members_;
  size_t syncs_owed_ = 0;  // members that owe_sync
  std::optional<int64_t> sessions_watched_until_ms_;
  // Of the first rebalance of an empty group: the delay that runs, what may be added to it, and
  // whether somebody came since it began.
  int64_t initial_delay_ms_ = 0;
  int64_t initial_remaining_ms_ = 0;
  bool member_added_ = false;
  // Topics of the members' subscriptions; nullopt where they are not known.
  std::optional<std::set<std::string, std::less<>>> subscribed_topics_;
  RebalanceCause last_rebalance_;
};

}  // namespace sluice::broker
