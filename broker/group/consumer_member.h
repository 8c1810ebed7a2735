#pragma once
// ConsumerMember: one member of a consumer group (KIP-848), as its records say, and the step that
// brings what it owns nearer to what it shall own.
//
// Thread rule: values.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/group/assignor.h"
#include "broker/group/classic_members.h"
#include "kafka/messages/consumer_group_current_member_assignment_record.h"
#include "kafka/messages/consumer_group_heartbeat.h"
#include "kafka/messages/consumer_group_member_metadata_record.h"

namespace sluice::broker {

// The epoch of a static member that will be back.
inline constexpr int32_t kStaticLeaveEpoch = -2;
inline constexpr int32_t kLeaveEpoch = -1;

// Each with the member epoch in which its owner got it; no topic without any.
using OwnedPartitions = std::map<TopicId, std::map<int32_t, int32_t>>;

// Where a member stands between what it owns and its target. The numbers are those of its record.
//
//   state        it waits for                         leaves with
//   kStable      nothing                              a new target
//   kUnrevoked   its client, to give up `revoking`    a heartbeat that no longer names any of them
//   kUnreleased  other members, to give up theirs     a heartbeat after they have
enum class ConsumerMemberState : int8_t {
  kStable = 0,
  kUnrevoked = 1,
  kUnreleased = 2,
  kUnknown = 127,  // written by a version that has more states; the member has to join anew
};

struct ConsumerAssignment {
  ConsumerMemberState state = ConsumerMemberState::kStable;
  int32_t epoch = 0;
  int32_t previous_epoch = -1;
  OwnedPartitions assigned;
  OwnedPartitions revoking;  // still the member's, until it says that it has given them up
  bool operator==(const ConsumerAssignment&) const = default;

  bool HasReached(int32_t target_epoch) const {
    return state == ConsumerMemberState::kStable && epoch == target_epoch;
  }
};

// What a member that speaks the classic protocol has joined with.
struct ClassicMembership {
  int32_t session_ms = 0;
  std::vector<ClassicProtocol> protocols;  // each name once, the most wanted first; there is one
  bool operator==(const ClassicMembership&) const = default;
};

struct ConsumerMember {
  std::string id;
  std::string instance_id;  // empty: none; so for the others
  std::string rack;
  std::string client_id;
  std::string client_host;
  std::vector<std::string> topic_names;  // in order, each once
  std::string regex;
  int32_t rebalance_timeout_ms = -1;
  std::string server_assignor;
  std::optional<ClassicMembership> classic;  // nullopt: speaks the consumer protocol
  ConsumerAssignment current;
  // In no record: each coordinator counts anew.
  int32_t session_ms = 0;  // what the deadline was last set by
  int64_t session_deadline_ms = 0;
  int64_t join_deadline_ms = 0;  // a classic member was told to join again; 0: it was not
  bool operator==(const ConsumerMember&) const = default;
};

using ReportedPartitions = std::vector<kafka::ConsumerGroupHeartbeatRequest::TopicPartitions>;

struct ReconcileInput {
  int32_t target_epoch = 0;
  const PartitionsByTopic& target;
  const ReportedPartitions* owned = nullptr;  // as the client says; null: it does not
  // Whether no member owns it, but for what this one is revoking.
  std::function<bool(const TopicId&, int32_t)> is_free;
};

// What follows on `current`; the same when the member has to wait. Invariant: a partition gets into
// `assigned` only when it was there or is free, and out of `assigned` only by way of `revoking`,
// unless the client says already that it has given it up.
ConsumerAssignment Reconcile(const ConsumerAssignment& current, const ReconcileInput& input);

// Whether all that the client reports is in `partitions`.
bool IsWithin(const ReportedPartitions& reported, const OwnedPartitions& partitions);

// To and from records.
kafka::ConsumerGroupMemberMetadataValue MetadataValueOf(const ConsumerMember& member);
kafka::ConsumerGroupCurrentMemberAssignmentValue AssignmentValueOf(
    const ConsumerAssignment& assignment);
void TakeMetadata(kafka::ConsumerGroupMemberMetadataValue value, ConsumerMember& member);
ConsumerAssignment AssignmentOf(const kafka::ConsumerGroupCurrentMemberAssignmentValue& value);

}  // namespace sluice::broker
