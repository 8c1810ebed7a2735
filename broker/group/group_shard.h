#pragma once
// GroupShard: all groups of one partition of __consumer_offsets, at the broker that leads it: finds
// or loads the group of a request, lets it decide, and keeps their offsets. A pure function of its
// inputs (group_types.h), which is how the simulator runs it.
//
// Groups come into memory when they are first asked for, and those with members also by LoadNext,
// so that members that never speak again expire. Every session then starts afresh. A group that
// memory knows no more of than the view leaves it again when its records are in the view.
//
// Thread rule: one owner; not thread-safe.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/random.h"
#include "broker/group/group.h"
#include "broker/group/offset_store.h"

namespace sluice::broker {

struct GroupShardOptions {
  const GroupConfig* config = nullptr;  // neither is owned
  const GroupView* view = nullptr;
  Random random{0};
};

class ClassicGroup;

class GroupShard {
 public:
  explicit GroupShard(GroupShardOptions options);

  // Answers `caller.token` exactly once, in these effects or in later ones.
  void Handle(const GroupCaller& caller, GroupRequest request, const GroupMoment& moment,
              GroupEffects& effects);
  // All that is due. Call it at next_deadline_ms, or later. Any call may change that.
  void RunTimers(const GroupMoment& moment, GroupEffects& effects);
  std::optional<int64_t> next_deadline_ms() const;
  // What is committed in them goes with the next sweep, which is due by now.
  void OnTopicsDeleted(const GroupMoment& moment);
  // Loads a few more of the groups that the view holds.
  enum class Loading { kDone, kMore, kUnreadable };
  Loading LoadNext(const GroupMoment& moment, GroupEffects& effects);

  // All effects until now are in the log, and the view says them up to its log end.
  void OnAppended();
  // The records of effects that named this group could not be appended: what memory has of it is
  // void. Its parked requests are answered with `error`, and it is as the view says.
  void Discard(const std::string& group_id, kafka::ErrorCode error, const GroupMoment& moment,
               GroupEffects& effects);
  // The partition is no longer led here: answers all that is parked.
  void Unload(kafka::ErrorCode error, const GroupMoment& moment, GroupEffects& effects);

  // In memory; null when it is not.
  const Group* FindLoaded(const std::string& group_id) const;
  size_t loaded_groups() const { return groups_.size(); }
  size_t timers() const { return timers_.size(); }

 private:
  // Null: deleted by effects that are not in the view yet.
  using Groups = std::map<std::string, std::unique_ptr<Group>>;

  GroupContext ContextOf(const GroupMoment& moment, GroupEffects& effects);
  // Null when the group has no state of its own: it does not exist, or has offsets only. Fails when
  // the view cannot be read.
  Result<Group*> Find(const std::string& group_id, GroupContext& context);
  // Of the consumer protocol. Null when there is none; fails when its records cannot be read.
  Result<Group*> LoadConsumer(const std::string& group_id, GroupContext& context);
  // Null for a value that cannot be read: the group's members will join anew.
  std::unique_ptr<Group> Load(const std::string& group_id, std::string_view value,
                              GroupContext& context);
  // The group of one of the view's records, unless it is in memory or nobody needs it there.
  void LoadOne(std::string_view key, std::string_view value, GroupContext& context);
  // Has the group leave memory as soon as the view says all of it, if there is no use for it.
  void NoteIdle(const std::string& group_id);
  void ForgetIdle();
  // The group leaves memory; the view may have it from now on.
  void Forget(Groups::iterator at);
  // At the end of every call that may have written.
  void Finish(const GroupEffects& effects);
  void Sweep(GroupContext& context);
  // Forgets a group that has no members; its offsets are the caller's.
  void Remove(const std::string& group_id, const Group* group, GroupContext& context);

  void Dispatch(const GroupCaller& caller, const GroupRequest& request, Group* group,
                GroupContext& context);
  void Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request, Group* group,
            GroupContext& context);
  void Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request, Group* group,
             GroupContext& context);
  void ConsumerHeartbeat(const GroupCaller& caller,
                         const kafka::ConsumerGroupHeartbeatRequest& request, Group* group,
                         GroupContext& context);
  // A group that nobody is in gives way to one of the other protocol; its offsets stay.
  static bool IsReplaceable(const Group& group);
  void Replace(const std::string& group_id, std::unique_ptr<Group> fresh, GroupContext& context);
  // The classic group becomes one of the consumer protocol, if the request is taken then.
  void Upgrade(const GroupCaller& caller, const kafka::ConsumerGroupHeartbeatRequest& request,
               ClassicGroup& group, GroupContext& context);
  // After each call that may have taken a member out.
  void MaybeDowngrade(const std::string& group_id, GroupContext& context);
  void Describe(const GroupCaller& caller, const std::string& group_id, const Group* group,
                GroupContext& context);
  void DescribeNoConsumer(const GroupCaller& caller, const std::string& group_id,
                          GroupContext& context);
  void Explain(const GroupCaller& caller, const std::string& group_id, const Group* group,
               GroupContext& context);
  void Delete(const GroupCaller& caller, const std::string& group_id, Group* group,
              GroupContext& context);
  void List(const GroupCaller& caller, const ListGroups& request, GroupContext& context);
  // Adds the consumer groups that the view has and `listed` has not.
  Status ListConsumerGroups(GroupContext& context,
                            std::map<std::string, kafka::ListGroupsResponse::ListedGroup>& listed);

  const GroupConfig& config_;
  const GroupView& view_;
  Random random_;
  GroupTimers timers_;
  OffsetStore offsets_;
  Groups groups_;
  // Groups that neither memory nor the view has: those of consumers that only commit offsets are
  // asked for with each commit.
  std::set<std::string, std::less<>> absent_;
  std::set<std::string> idle_;
  bool unappended_ = false;               // there are records that the view does not have yet
  std::optional<int64_t> next_sweep_ms_;  // once all is loaded
  bool sweep_again_ = false;  // topics were deleted, and what has been swept may be theirs
  std::optional<std::string> load_from_ = std::string();  // a key; nullopt: all are loaded
};

}  // namespace sluice::broker
