#pragma once
// Group: one consumer group at its coordinator. Each protocol is an implementation; requests of the
// other one are let through to it when members of both share a group, else refused.
//
// A group changes its state in memory and says in the context's effects which records make that
// durable. When those cannot be appended the shard drops the object and makes a new one from the
// view, so no method may leave anything outside of the object and the effects.
//
// Thread rule: as GroupShard's.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "broker/group/group_config.h"
#include "broker/group/group_timers.h"
#include "broker/group/group_types.h"
#include "broker/group/group_view.h"

namespace sluice::broker {

// What a call may use. Nothing is owned.
struct GroupContext {
  const GroupMoment& moment;
  const GroupConfig& config;
  const GroupView& view;
  GroupTimers& timers;
  Random& random;
  GroupEffects& effects;

  int64_t now_ms() const { return moment.steady_ms; }
};

// Who commits or fetches offsets, as the request says it.
struct OffsetClaim {
  std::string_view member_id;
  std::string_view instance_id;      // empty: none
  int32_t generation_or_epoch = -1;  // -1 with an empty member id: not a member
  int16_t version = 0;
};

class Group {
 public:
  enum class Protocol { kClassic, kConsumer };

  virtual ~Group() = default;
  virtual const std::string& id() const = 0;
  virtual Protocol protocol() const = 0;

  // --- Members. Each is answered through the context's effects, now or later ---
  virtual void Join(const GroupCaller& caller, const kafka::JoinGroupRequest& request,
                    GroupContext& context) = 0;
  virtual void Sync(const GroupCaller& caller, const kafka::SyncGroupRequest& request,
                    GroupContext& context) = 0;
  virtual void Heartbeat(const GroupCaller& caller, const kafka::HeartbeatRequest& request,
                         GroupContext& context) = 0;
  virtual void Leave(const GroupCaller& caller, const kafka::LeaveGroupRequest& request,
                     GroupContext& context) = 0;
  virtual void OnTimer(const GroupTimerKey& timer, GroupContext& context) = 0;
  // Every parked request is answered with `error`; the object goes.
  virtual void Unload(kafka::ErrorCode error, GroupContext& context) = 0;
  // Whether memory holds nothing that the view does not say, once its records are in it.
  virtual bool CanBeForgotten() const = 0;

  // --- Offsets ---
  // kNone when it may. A commit of a member also renews its session.
  virtual kafka::ErrorCode CheckCommit(const OffsetClaim& claim, GroupContext& context) = 0;
  // Of a commit that CheckCommit lets through: whether it may be for this partition. One that may
  // not be condemns the whole commit.
  virtual kafka::ErrorCode CheckCommitOf(const OffsetClaim& /*claim*/, const std::string& /*topic*/,
                                         int32_t /*partition*/,
                                         const GroupContext& /*context*/) const {
    return kafka::ErrorCode::kNone;
  }
  virtual kafka::ErrorCode CheckFetch(const OffsetClaim& claim) const = 0;
  // Whether a member reads the topic, so that its offsets may neither expire nor be deleted; false
  // where the members' subscriptions are not known to the coordinator.
  virtual bool IsSubscribedTo(std::string_view topic) const = 0;
  virtual bool has_members() const = 0;
  // Since when it has had none, wall time in ms; -1 when it has some, or it is not known.
  virtual int64_t empty_since_ms() const = 0;
  // Whether it is known for sure by now what members that subscribe by topic names (protocol type
  // "consumer") read, so that offsets of topics out of use may expire one by one.
  virtual bool tells_subscriptions() const = 0;

  // --- Admin ---
  // "Empty", "PreparingRebalance" ...: as Kafka prints it.
  virtual std::string state_name() const = 0;
  virtual std::string protocol_type() const = 0;
  virtual kafka::DescribeGroupsResponse::DescribedGroup Describe() const = 0;
  virtual kafka::ConsumerGroupDescribeResponse::DescribedGroup DescribeConsumer(
      const GroupMoment& moment) const = 0;
  virtual GroupStanding Explain(const GroupMoment& moment) const = 0;
  // The records that forget the group's own state; its offsets are the shard's.
  virtual void AddTombstones(GroupEffects& effects) const = 0;
};

}  // namespace sluice::broker
