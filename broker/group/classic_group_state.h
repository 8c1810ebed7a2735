#pragma once
// ClassicGroupState: what a classic group may be in, and what may follow what.
//
//   state                what the group does                       left when
//   Empty                has no members; may have offsets          a member joins
//   PreparingRebalance   parks JoinGroups until every member       all have joined, or the time is
//                        that it knows has joined again            up; the last one has left
//   CompletingRebalance  has told everyone the new generation,     the leader hands in the
//                        parks SyncGroups                          assignment; a member comes or
//                        goes
//   Stable               every member can get its assignment       a member comes, goes or changes
//   Dead                 has left this coordinator                 never
//
// Thread rule: constants.

#include <cstdint>
#include <string_view>

namespace sluice::broker {

enum class ClassicGroupState : uint8_t {
  kEmpty,
  kPreparingRebalance,
  kCompletingRebalance,
  kStable,
  kDead,
};

// "PreparingRebalance": as Kafka prints it.
std::string_view ClassicGroupStateName(ClassicGroupState state);
bool MayFollow(ClassicGroupState from, ClassicGroupState to);

}  // namespace sluice::broker
