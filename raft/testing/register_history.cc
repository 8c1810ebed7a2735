#include "raft/testing/register_history.h"

#include <algorithm>

namespace sluice::raft::testing {

RegisterHistory::Value RegisterHistory::WriteBegan() {
  const Value value = zones_.size();
  zones_.push_back({.value = value, .high = ++now_});
  return value;
}

void RegisterHistory::WriteEnded(Value value, Outcome outcome) {
  Zone& zone = zones_.at(value);
  zone.refused = outcome == Outcome::kRefused;
  if (!zone.refused) zone.low = std::min(zone.low, ++now_);
}

void RegisterHistory::ReadEnded(Moment began, Value value) {
  ++reads_;
  if (value >= zones_.size()) {
    wrong_ = "a read returned " + std::to_string(value) + ", which nobody wrote";
    return;
  }
  Zone& zone = zones_[value];
  zone.read = true;
  zone.low = std::min(zone.low, ++now_);
  zone.high = std::max(zone.high, began);
}

std::string RegisterHistory::Check() const {
  if (!wrong_.empty()) return wrong_;
  const auto named = [](const Zone& zone) { return "the value " + std::to_string(zone.value); };
  std::vector<Zone> forward;
  for (const Zone& zone : zones_) {
    if (zone.refused && zone.read) return named(zone) + " was read, its write was refused";
    if (zone.forward()) forward.push_back(zone);
  }
  std::ranges::sort(forward, {}, &Zone::low);
  for (size_t i = 1; i < forward.size(); ++i) {
    if (forward[i].low < forward[i - 1].high) {
      return "not linearizable: " + named(forward[i - 1]) + " was read after " + named(forward[i]) +
             " had taken its place, or that before its turn";
    }
  }
  for (const Zone& zone : zones_) {
    // A write that never ended and that nobody read may never have been.
    if (zone.forward() || zone.low == kNever) continue;
    const auto after = std::ranges::upper_bound(forward, zone.high, {}, &Zone::low);
    if (after == forward.begin() || std::prev(after)->high <= zone.low) continue;
    return "not linearizable: " + named(zone) + " was there while the register held " +
           named(*std::prev(after)) + " without a break";
  }
  return "";
}

}  // namespace sluice::raft::testing
