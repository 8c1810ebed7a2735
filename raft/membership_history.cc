#include "raft/membership_history.h"

#include <algorithm>
#include <iterator>

namespace sluice::raft {

const Membership& MembershipHistory::At(LogIndex index) const {
  auto at = known_.rbegin();
  while (at != known_.rend() && at->first > index) ++at;
  CHECK(at != known_.rend()) << "who took part at " << index << " is forgotten";
  return at->second;
}

size_t MembershipHistory::CountAfter(LogIndex index) const {
  return static_cast<size_t>(
      std::ranges::count_if(known_, [index](const auto& known) { return known.first > index; }));
}

void MembershipHistory::Append(LogIndex index, Membership members) {
  CHECK_GT(index, newest_index());
  known_.emplace_back(index, std::move(members));
  ++version_;
}

void MembershipHistory::TruncateFrom(LogIndex index) {
  while (newest_index() >= index) {
    CHECK_GT(known_.size(), 1U) << "the log's first configuration is cut off";
    known_.pop_back();
    ++version_;
  }
}

void MembershipHistory::Reset(LogIndex index, Membership members) {
  known_ = {{index, std::move(members)}};
  ++version_;
}

void MembershipHistory::ForgetBefore(LogIndex index) {
  size_t holds = 0;
  while (holds + 1 < known_.size() && known_[holds + 1].first <= index) ++holds;
  known_.erase(known_.begin(), std::next(known_.begin(), static_cast<int64_t>(holds)));
}

}  // namespace sluice::raft
