// Numbers that a cluster told and that must not go back: the positions of groups and the ends of
// partitions.
#include <algorithm>
#include <limits>

#include "tests/support/history/facts.h"

namespace sluice::history {
namespace {

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// The commits of one group to one place.
class Committed {
 public:
  void Add(const Did<Commit>& commit) {
    const bool known = commit.operation->outcome == Outcome::kOk;
    const int64_t end_us = known ? commit.operation->end_us : kNever;
    by_offset_[commit.what->offset].push_back({commit.operation->begin_us, end_us});
    if (known) acknowledged_.push_back({end_us, commit.operation->begin_us});
  }
  // When all are added.
  void Order() {
    std::ranges::sort(acknowledged_);
    int64_t latest_us = -1;
    for (auto& [end_us, begin_us] : acknowledged_)
      begin_us = latest_us = std::max(latest_us, begin_us);
  }
  // Whether the commits allow the answer to `fetch`: it is a position that was asked for before the
  // answer came, and that no commit had replaced that was acknowledged before the question. One
  // commit has replaced another when it began after the other had ended.
  bool Allow(const Did<FetchCommitted>& fetch) const {
    const auto behind =
        std::ranges::lower_bound(acknowledged_, std::pair(fetch.operation->begin_us, int64_t{-1}));
    if (!fetch.what->offset.has_value()) return behind == acknowledged_.begin();
    const int64_t replaced_before_us =
        behind == acknowledged_.begin() ? -1 : std::prev(behind)->second;
    const auto same = by_offset_.find(*fetch.what->offset);
    return same != by_offset_.end() && std::ranges::any_of(same->second, [&](const Span& span) {
             return span.begin_us <= fetch.operation->end_us && span.end_us >= replaced_before_us;
           });
  }

 private:
  struct Span {
    int64_t begin_us;
    int64_t end_us;
  };
  std::map<Offset, std::vector<Span>> by_offset_;
  // (end, the latest begin up to there), by end.
  std::vector<std::pair<int64_t, int64_t>> acknowledged_;
};

// (when it was known, how far the partition reached at least), by time.
std::vector<std::pair<int64_t, Offset>> ReachedBy(const PlaceFacts& told) {
  std::vector<std::pair<int64_t, Offset>> reached;
  for (const auto& [operation, send] : told.sends)
    if (send->offset.has_value()) reached.emplace_back(operation->end_us, *send->offset + 1);
  for (const auto& [operation, poll] : told.polls)
    if (!poll->records.empty())
      reached.emplace_back(operation->end_us, poll->records.back().offset + 1);
  for (const auto& [operation, ask] : told.ends) reached.emplace_back(operation->end_us, ask->end);
  std::ranges::sort(reached);
  return reached;
}

}  // namespace

void FindCommittedBack(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    std::map<std::string, Committed> groups;
    for (const Did<Commit>& commit : told.commits) groups[commit.what->group].Add(commit);
    for (auto& [group, committed] : groups) committed.Order();
    for (const Did<FetchCommitted>& fetch : told.fetches) {
      if (groups[fetch.what->group].Allow(fetch)) continue;
      const auto offset = fetch.what->offset;
      found.push_back({"committed back",
                       "group " + fetch.what->group + " in " + place.topic + "-" +
                           std::to_string(place.partition.value()) + " was told " +
                           (offset.has_value() ? std::to_string(offset->value()) : "nothing") +
                           ", " + Tell(*fetch.operation)});
    }
  }
}

void FindEndsThatWentBack(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    const auto reached = ReachedBy(told);
    auto known = reached.begin();
    Offset highest{0};
    for (const auto& [operation, ask] : told.ends) {
      for (; known != reached.end() && known->first < operation->begin_us; ++known)
        highest = std::max(highest, known->second);
      if (ask->end < highest)
        found.push_back({"end went back",
                         place.topic + "-" + std::to_string(place.partition.value()) +
                             " ended at " + std::to_string(ask->end.value()) + ", and before at " +
                             std::to_string(highest.value()) + ", " + Tell(*operation)});
    }
  }
}

}  // namespace sluice::history
