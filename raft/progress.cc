#include "raft/progress.h"

#include <algorithm>

#include "raft/fault.h"

namespace sluice::raft {

void Progress::ClearTransit() {
  waiting = false;
  inflight.clear();
  inflight_bytes = 0;
  snapshot_index = kNoIndex;
  snapshot_offset = 0;
  snapshot_bytes = 0;
}

void Progress::BecomeProbe(LogIndex next_index) {
  ClearTransit();
  state = ProgressState::kProbe;
  next = std::max(next_index, match + 1);
}

void Progress::BecomeReplicate() {
  ClearTransit();
  state = ProgressState::kReplicate;
  next = match + 1;
}

void Progress::BecomeSnapshot(LogIndex index) {
  ClearTransit();
  state = ProgressState::kSnapshot;
  snapshot_index = index;
}

void Progress::Sent(LogIndex last, size_t bytes, int64_t now_ms) {
  if (state == ProgressState::kProbe) {
    waiting = true;
    sent_ms = now_ms;
    return;
  }
  if (inflight.empty()) sent_ms = now_ms;
  inflight.emplace_back(last, bytes);
  inflight_bytes += bytes;
  next = last + 1;
}

void Progress::Forget(LogIndex index) {
  match = index;
  if (state != ProgressState::kSnapshot) BecomeProbe(index + 1);
}

bool Progress::Matched(LogIndex index, int64_t now_ms) {
  while (!inflight.empty() && inflight.front().first <= index) {
    inflight_bytes -= inflight.front().second;
    inflight.pop_front();
  }
  if (index < match && FaultPlanted(Fault::kMatchGoesBack)) match = index;
  if (index <= match) return false;
  match = index;
  next = std::max(next, match + 1);
  sent_ms = now_ms;
  return true;
}

}  // namespace sluice::raft
