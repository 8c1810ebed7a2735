#pragma once
// Progress: what a leader knows of one follower's log, and what is on its way there.
//
// States and what moves between them:
//   kProbe      the match point is unknown: one append at a time.       success -> kReplicate
//   kReplicate  appends are pipelined within a window.                  refusal, silence -> kProbe
//   kSnapshot   the follower needs entries that are dropped here:       installed -> kReplicate
//               chunks of a snapshot, one at a time, each read from     refusal of an append cannot
//               the store first (`reading`).                            come: none is sent
//   kProbe and kReplicate turn into kSnapshot when the next entry or the term before it is no
//   longer in the log.
//
// Thread rule: part of the core; one owner.

#include <cstdint>
#include <deque>
#include <utility>

#include "raft/config.h"
#include "raft/types.h"

namespace sluice::raft {

enum class ProgressState { kProbe, kReplicate, kSnapshot };

struct Progress {
  bool voter = true;          // only voters count for anything
  LogIndex match = kNoIndex;  // durable there
  LogIndex next{0};           // to send next; next > match
  ProgressState state = ProgressState::kProbe;
  bool waiting = false;        // kProbe, kSnapshot: the one message is on its way
  int64_t sent_ms = 0;         // when `waiting` or the window's oldest silence began
  int64_t heard_ms = 0;        // last answer in this term (start of leadership before the first)
  bool heard = false;          // has answered in this term
  bool recovering = false;     // waits for entries that it has lost, as of its last answer
  uint64_t read_sequence = 0;  // highest echoed
  LogIndex sent_commit = kNoIndex;
  std::deque<std::pair<LogIndex, size_t>>
      inflight;  // last index and bytes of each append on its way
  size_t inflight_bytes = 0;
  LogIndex snapshot_index = kNoIndex;  // kSnapshot: what is being sent ...
  uint64_t snapshot_offset = 0;        // ... from where on ...
  uint64_t snapshot_bytes = 0;         // ... and its size, once something of it was read
  // The SnapshotRead that the store has not answered yet; 0: none. There is one at a time, so that
  // a slow disk does not gather chunks in memory; it outlives the state that asked.
  uint64_t reading = 0;

  void BecomeProbe(LogIndex next_index);
  void BecomeReplicate();
  void BecomeSnapshot(LogIndex index);
  // An append with entries up to `last` was sent.
  void Sent(LogIndex last, size_t bytes, int64_t now_ms);
  // The follower holds everything up to `index`. True when that is news.
  bool Matched(LogIndex index, int64_t now_ms);
  // It has lost what is above `index`.
  void Forget(LogIndex index);
  bool WindowFull(const RaftConfig& config) const {
    return inflight.size() >= config.window_messages_max ||
           inflight_bytes >= config.window_bytes_max;
  }

 private:
  void ClearTransit();
};

}  // namespace sluice::raft
