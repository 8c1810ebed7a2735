#pragma once
// GroupTimers: when the groups of one shard want to be called. A key has one deadline; a session
// that is renewed with each heartbeat is not moved here: when its timer comes the group compares
// with the member's own deadline and sets it again.
//
// Thread rule: one owner.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace sluice::broker {

struct GroupTimerKey {
  std::string group_id;
  int32_t kind = 0;       // the group's own numbering
  std::string member_id;  // empty: of the group
  friend auto operator<=>(const GroupTimerKey&, const GroupTimerKey&) = default;
};

class GroupTimers {
 public:
  // Replaces the key's former deadline.
  void Set(const GroupTimerKey& key, int64_t deadline_ms);
  void Cancel(const GroupTimerKey& key);
  // Of a group that is gone.
  void CancelAll(const std::string& group_id);
  // The most overdue one, which is forgotten; nullopt when none is due.
  std::optional<GroupTimerKey> PopDue(int64_t now_ms);
  std::optional<int64_t> next_deadline_ms() const;
  size_t size() const { return deadlines_.size(); }

 private:
  using Deadlines = std::map<GroupTimerKey, int64_t>;

  // By time; of one time by key, so that a run repeats itself.
  struct Earlier {
    bool operator()(const std::pair<int64_t, const GroupTimerKey*>& a,
                    const std::pair<int64_t, const GroupTimerKey*>& b) const {
      return a.first != b.first ? a.first < b.first : *a.second < *b.second;
    }
  };

  Deadlines::iterator Erase(Deadlines::iterator at);

  Deadlines deadlines_;
  std::set<std::pair<int64_t, const GroupTimerKey*>, Earlier> queue_;  // keys of deadlines_
};

}  // namespace sluice::broker
