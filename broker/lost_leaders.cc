#include "broker/lost_leaders.h"

#include <algorithm>

namespace sluice::broker {

namespace {

constexpr int64_t kTurnMs = 50, kTakingTurnsMax = 3, kRounds = 3;
// Of one that stops.
constexpr int64_t kOwnTurnMs = 15, kOwnTurns = 4;
// An answer that waited for the new leader went out when the old one was lost, or a moment later.
constexpr int64_t kWaitedMs = 1000;

}  // namespace

std::set<NodeId> LostLeaders(const metadata::Image& before, const metadata::Image& after,
                             NodeId self) {
  std::set<NodeId> lost;
  for (const auto& [id, broker] : before.brokers) {
    if (!broker->active()) continue;
    const metadata::BrokerImage* const now = after.FindBroker(id);
    if (now != nullptr && (now->process_gone || now->epoch != broker->epoch)) continue;
    if (now == nullptr || now->fenced || (id == self && !now->active())) lost.insert(id);
  }
  return lost;
}

Turns TurnsOf(NodeId self, const metadata::Image& after) {
  int64_t active = 0, before_self = 0;
  for (const auto& [id, broker] : after.brokers) {
    if (!broker->active()) continue;
    ++active;
    if (id < self) ++before_self;
  }
  const metadata::BrokerImage* const own = after.FindBroker(self);
  const bool stops = own != nullptr && !own->active();
  const int64_t count = stops ? 1 : std::clamp<int64_t>(active, 1, kTakingTurnsMax);
  const int64_t first = stops ? 0 : before_self % count;
  Turns turns{.within_ms = stops ? kOwnTurnMs : kTurnMs};
  for (int64_t round = 0; round < (stops ? kOwnTurns : kRounds); ++round)
    turns.at_ms.push_back((round * count + first) * turns.within_ms);
  return turns;
}

bool Concerns(const ConnectionInfo& connection, const std::set<NodeId>& lost, int64_t lost_ms) {
  if (connection.is_replica || connection.is_member) return false;
  if (connection.asked_metadata_ms >= lost_ms) return false;
  if (connection.waited_for_leader_ms >= 0)
    return connection.waited_for_leader_ms < lost_ms - kWaitedMs;
  if (!connection.is_client || connection.told_leaders.empty()) return true;
  return std::ranges::any_of(connection.told_leaders,
                             [&](NodeId leader) { return lost.contains(leader); });
}

}  // namespace sluice::broker
