#pragma once
// Ready: all that the core wants done, as one value. core.h says how its caller carries it out.
//
// Thread rule: a value.

#include <cstdint>
#include <optional>
#include <vector>

#include "raft/log_store.h"
#include "raft/metrics.h"
#include "raft/types.h"

namespace sluice::raft {

struct ReadOk {
  uint64_t id = 0;
  LogIndex index;  // the state must include this entry before the read is served
};

struct Refused {
  NodeId from = kNoNode;  // kNoNode: not known to be a voter
  Refusal why = Refusal::kStranger;
};

struct Ready {
  uint64_t persist_id = 0;  // 0: nothing to persist
  PersistRequest persist;
  std::vector<Message> send_now;
  std::vector<Message> send_after_persist;
  std::optional<Snapshot> load_snapshot;
  std::vector<SnapshotRead> snapshot_reads;
  uint64_t load_received = 0;  // 0: not wanted
  std::vector<ReadOk> reads_ok;
  std::vector<uint64_t> reads_failed;  // leadership is not confirmed; ask the leader
  bool role_changed = false;           // role, term or known leader
  std::optional<std::vector<Member>>
      peers;                     // with whom messages are exchanged; set when it changed
  std::vector<Refused> refused;  // messages dropped; for the log
};

}  // namespace sluice::raft
