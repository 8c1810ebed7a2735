// Records that are not where they must be: lost, there twice, or from nowhere.
#include <algorithm>

#include "tests/support/history/facts.h"

namespace sluice::history {
namespace {

// Offsets that were passed, as ranges that do not touch.
class Passed {
 public:
  void Add(Offset from, Offset to) {
    if (from >= to) return;
    auto next = ranges_.upper_bound(from);
    if (next != ranges_.begin() && std::prev(next)->second >= from) --next;
    while (next != ranges_.end() && next->first <= to) {
      from = std::min(from, next->first);
      to = std::max(to, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace(from, to);
  }
  bool Has(Offset offset) const {
    const auto next = ranges_.upper_bound(offset);
    return next != ranges_.begin() && std::prev(next)->second > offset;
  }

 private:
  std::map<Offset, Offset> ranges_;  // to by from
};

}  // namespace

void FindLost(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    // From the last acknowledgement to the first: what was passed by readers that began after it.
    std::vector<Did<Send>> sends = told.sends;
    std::ranges::sort(sends, std::greater(),
                      [](const auto& send) { return send.operation->end_us; });
    Passed passed;
    auto poll = told.polls.rbegin();
    for (const auto& [operation, send] : sends) {
      if (!send->offset.has_value()) continue;
      for (; poll != told.polls.rend() && poll->operation->begin_us > operation->end_us; ++poll)
        passed.Add(poll->what->from, poll->what->to);
      if (!passed.Has(*send->offset))
        found.push_back({"unread", Tell(place, *send->offset, send->value, *operation)});
    }
  }
}

void FindDuplicates(const Facts& facts, std::vector<Anomaly>& found) {
  if (!facts.idempotent) return;
  for (const auto& [place, told] : facts.places) {
    std::map<Value, std::pair<Offset, const Operation*>> at;
    for (const auto& [offset, held] : told.held) {
      const auto [first, is_new] = at.try_emplace(held.value, offset, held.heard);
      if (is_new) continue;
      found.push_back(
          {"duplicate", Tell(place, offset, held.value, *held.heard) + "; and " +
                            Tell(place, first->second.first, held.value, *first->second.second)});
    }
  }
}

void FindPhantoms(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    for (const auto& [operation, poll] : told.polls) {
      for (const Poll::Seen& seen : poll->records) {
        const auto sent = facts.sent.find(seen.value);
        const bool may_be = sent != facts.sent.end() && sent->second->place == place &&
                            sent->second->outcome != Outcome::kFailed &&
                            sent->second->begin_us <= operation->end_us;
        if (may_be) continue;
        std::string what = Tell(place, seen.offset, seen.value, *operation);
        if (sent != facts.sent.end())
          what += "; sent to " + sent->second->place.topic + "-" +
                  std::to_string(sent->second->place.partition.value()) + ", " +
                  Tell(*sent->second);
        found.push_back({"phantom", std::move(what)});
      }
    }
  }
}

}  // namespace sluice::history
