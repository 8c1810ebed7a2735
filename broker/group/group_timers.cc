#include "broker/group/group_timers.h"

namespace sluice::broker {

void GroupTimers::Set(const GroupTimerKey& key, int64_t deadline_ms) {
  const auto [at, is_new] = deadlines_.try_emplace(key, deadline_ms);
  if (!is_new) {
    queue_.erase({at->second, &at->first});
    at->second = deadline_ms;
  }
  queue_.emplace(deadline_ms, &at->first);
}

void GroupTimers::Cancel(const GroupTimerKey& key) {
  const auto at = deadlines_.find(key);
  if (at != deadlines_.end()) Erase(at);
}

void GroupTimers::CancelAll(const std::string& group_id) {
  // Any kind, any member: the least key of the group comes first.
  auto at = deadlines_.lower_bound({group_id, std::numeric_limits<int32_t>::min(), ""});
  while (at != deadlines_.end() && at->first.group_id == group_id) at = Erase(at);
}

std::optional<GroupTimerKey> GroupTimers::PopDue(int64_t now_ms) {
  if (queue_.empty() || queue_.begin()->first > now_ms) return std::nullopt;
  GroupTimerKey key = *queue_.begin()->second;
  Cancel(key);
  return key;
}

std::optional<int64_t> GroupTimers::next_deadline_ms() const {
  if (queue_.empty()) return std::nullopt;
  return queue_.begin()->first;
}

GroupTimers::Deadlines::iterator GroupTimers::Erase(Deadlines::iterator at) {
  queue_.erase({at->second, &at->first});
  return deadlines_.erase(at);
}

}  // namespace sluice::broker
