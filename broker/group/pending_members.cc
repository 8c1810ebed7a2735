#include "broker/group/pending_members.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace sluice::broker {

void PendingMembers::Add(std::string id, int64_t deadline_ms) {
  size_bytes_ += id.size();
  const auto [at, is_new] = by_id_.emplace(std::move(id), Pending{deadline_ms, ++last_number_});
  CHECK(is_new) << at->first;
  by_age_.emplace(at->second.number, at);
  while (by_id_.size() > 1 && (by_id_.size() > kCountMax || size_bytes_ > kBytesMax))
    Erase(by_age_.begin()->second);
}

bool PendingMembers::Erase(std::string_view id) {
  const auto at = by_id_.find(id);
  if (at == by_id_.end()) return false;
  Erase(at);
  return true;
}

bool PendingMembers::Expire(int64_t now_ms) {
  const size_t before = by_id_.size();
  for (auto at = by_id_.begin(); at != by_id_.end();) {
    const auto each = at++;
    if (each->second.deadline_ms <= now_ms) Erase(each);
  }
  return by_id_.size() != before;
}

std::optional<int64_t> PendingMembers::next_deadline_ms() const {
  const auto next =
      std::min_element(by_id_.begin(), by_id_.end(), [](const auto& one, const auto& other) {
        return one.second.deadline_ms < other.second.deadline_ms;
      });
  return next == by_id_.end() ? std::nullopt : std::optional(next->second.deadline_ms);
}

std::vector<std::string> PendingMembers::ids() const {
  std::vector<std::string> ids;
  ids.reserve(by_id_.size());
  for (const auto& [id, pending] : by_id_) ids.push_back(id);
  return ids;
}

void PendingMembers::Erase(Map::iterator at) {
  size_bytes_ -= at->first.size();
  by_age_.erase(at->second.number);
  by_id_.erase(at);
}

}  // namespace sluice::broker
