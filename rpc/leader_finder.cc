#include "rpc/leader_finder.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace sluice::rpc {

LeaderFinder::LeaderFinder(std::vector<std::string> voters) : voters_(std::move(voters)) {
  CHECK(!voters_.empty());
  current_ = voters_.front();
}

void LeaderFinder::OnNotLeader(const std::string& asked, const std::string& hint) {
  // Another call may have learnt better since: only the answer of the one we still believe in moves
  // us.
  if (asked != current_) return;
  if (hint.empty() || hint == asked) {
    Rotate();
  } else {
    current_ = hint;
  }
}

void LeaderFinder::OnUnreachable(const std::string& asked) {
  if (asked == current_) Rotate();
}

void LeaderFinder::OnVoters(std::vector<std::string> voters) {
  if (voters.empty()) return;
  voters_ = std::move(voters);
  next_ = voters_.size() - 1;  // before the first
}

void LeaderFinder::Rotate() {
  // A voter other than the current one, unless there is only one; `next_` goes round so that each
  // gets its turn.
  for (size_t i = 0; i < voters_.size(); ++i) {
    next_ = (next_ + 1) % voters_.size();
    if (voters_[next_] != current_) break;
  }
  current_ = voters_[next_];
}

int64_t RetryDelayMs(int attempts) {
  return attempts >= 5 ? kRetryMaxMs
                       : std::min(kRetryMaxMs, kRetryMinMs << std::max(0, attempts - 1));
}

}  // namespace sluice::rpc
