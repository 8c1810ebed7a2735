#include "tests/sim/cluster/network.h"

#include <algorithm>

namespace sluice::sim {

int64_t Network::Delay() {
  const bool straggles =
      weather_.straggler_percent > 0 && random_.Chance(weather_.straggler_percent, 100);
  return random_.Between(0, straggles ? weather_.straggler_ms_max : weather_.delay_ms_max);
}

int64_t Network::DelayOn(Lane lane) {
  const auto slow = weather_.slow_lanes.find(lane);
  if (slow != weather_.slow_lanes.end() && random_.Chance(slow->second.percent, 100))
    return random_.Between(0, slow->second.ms_max);
  return Delay();
}

void Network::Carry(NodeId from, NodeId to, Lane lane, std::function<void()> arrive) {
  const Way way{from, to, lane};
  const int64_t now_ms = loop_.clock().SteadyMs();
  int64_t& due_ms = last_due_ms_[way];
  due_ms = std::max(due_ms, now_ms + DelayOn(lane));
  loop_.RunAfter(due_ms - now_ms, [this, way, arrive = std::move(arrive)]() mutable {
    Arrive(way, std::move(arrive));
  });
}

void Network::Arrive(const Way& way, std::function<void()> arrive) {
  const bool waits =
      std::any_of(held_.begin(), held_.end(), [&way](const Held& held) { return held.way == way; });
  if (waits || !Open(std::get<0>(way), std::get<1>(way)) || cut_lanes_.contains(way)) {
    held_.push_back({way, std::move(arrive)});
  } else {
    arrive();
  }
}

void Network::CarryDatagram(NodeId from, NodeId to, std::function<void()> arrive) {
  if (!Open(from, to) || random_.Chance(weather_.loss_percent, 100)) return;
  loop_.RunAfter(Delay(), [this, from, to, arrive = std::move(arrive)] {
    if (Open(from, to)) arrive();
  });
}

void Network::HealAll() {
  cut_.clear();
  cut_lanes_.clear();
  std::vector<Held> held = std::exchange(held_, {});
  for (Held& message : held) {
    const auto& [from, to, lane] = message.way;
    Carry(from, to, lane, std::move(message.arrive));
  }
}

void Network::HealLane(NodeId from, NodeId to, Lane lane) {
  const Way way{from, to, lane};
  cut_lanes_.erase(way);
  std::vector<Held> released;
  std::erase_if(held_, [&](Held& held) {
    if (held.way != way) return false;
    released.push_back(std::move(held));
    return true;
  });
  for (Held& message : released) Carry(from, to, lane, std::move(message.arrive));
}

void Network::ForgetFrom(NodeId host) {
  std::erase_if(held_, [host](const Held& held) { return std::get<0>(held.way) == host; });
}

}  // namespace sluice::sim
