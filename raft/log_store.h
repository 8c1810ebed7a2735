#pragma once
// LogStore: the durable half of Raft, seen from the driver. Requests to persist are executed and
// reported in order; reading serves entries that have been reported persisted.
// controller/quorum_log.h is the real one, raft/testing/sim_log_store.h its twin.
//
// Thread rule: all methods are called on the driver's loop thread; callbacks are run there too
// (posted to the loop), never from inside Persist.

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "raft/types.h"

namespace sluice::raft {

// What is made durable together, in the order of the fields. When the callback reports OK, all of
// it survives a power cut.
struct PersistRequest {
  std::optional<HardState> hard_state;
  // The next part of the snapshot that is being received; at offset 0 one begins, in place of what
  // was received before. Its data is empty only there.
  std::shared_ptr<const SnapshotChunk> received;
  // A snapshot to store. With `reset_log` the log is emptied and starts again at
  // snapshot.meta.index + 1; a store that was given all of the snapshot as `received` need not
  // write it again.
  std::optional<Snapshot> snapshot;
  bool reset_log = false;
  // Entries before this index may be dropped (whole segments only, so some may stay).
  std::optional<LogIndex> drop_before;
  // Entries from this index on are removed before `entries` are appended.
  std::optional<LogIndex> truncate_from;
  std::vector<Entry> entries;  // consecutive
};

// A snapshot of which a part was received.
struct ReceivedSnapshot {
  SnapshotMeta meta;
  uint64_t size_total = 0;
  uint32_t whole_crc = 0;
  uint64_t held = 0;  // bytes, from its start
};

// What the store found when it was opened.
struct OpenedLog {
  // A store that finds its disk damaged shows what is whole, and tells of the rest in
  // hard_state.lost, which it has made durable before it cut anything.
  HardState hard_state;
  LogIndex first_index{0};         // of the entries kept
  LogIndex last_index = kNoIndex;  // first_index - 1 when there are none
  // The first index of each term in the kept entries, ascending: {(0, 0), (1, 1), (17, 4)}.
  std::vector<std::pair<LogIndex, Term>> term_starts;
  // What the kept entries say of who takes part (MembersIn), by index, ascending.
  std::vector<std::pair<LogIndex, Membership>> memberships;
  std::optional<SnapshotMeta> snapshot;  // the newest whole one
  // What is there of one that was being received: as much as is known to be as it was sent, which
  // may be less than was persisted. Stores need not keep any.
  std::optional<ReceivedSnapshot> received;
};

// A part of a stored snapshot that a leader wants to send.
struct SnapshotRead {
  uint64_t id = 0;  // the core's
  NodeId to = kNoNode;
  LogIndex index = kNoIndex;  // of the snapshot
  uint64_t offset = 0;
  size_t bytes_max = 0;
};

// What is to be sent of a snapshot that lies in memory.
SnapshotChunk ChunkOf(const Snapshot& snapshot, const SnapshotRead& read);

class LogStore {
 public:
  virtual ~LogStore() = default;

  // The state at opening; stable until the first Persist.
  virtual const OpenedLog& opened() const = 0;

  // Makes the request durable, after all earlier ones, and then posts `done` to the driver's loop.
  // A failed request is terminal: the store refuses all later ones, for nobody knows what is on the
  // disk.
  virtual void Persist(PersistRequest request, std::function<void(Status)> done) = 0;

  // Persisted entries from `from` up to and without `to`, in order: at least one, then as many as
  // fit in `bytes_max`.
  virtual Result<std::vector<Entry>> Read(LogIndex from, LogIndex to, size_t bytes_max) const = 0;

  // Whether the disk has room for a snapshot of that size beside what else is to come. One that the
  // driver makes itself can wait for room, and what is left of it is needed for entries.
  virtual bool HasRoomForSnapshot(uint64_t /*bytes*/) const { return true; }

  // The newest snapshot persisted. It waits for the disk: for a start, before the loop has work.
  virtual Result<Snapshot> LoadSnapshot() const = 0;

  // Reads a part of a snapshot, after all that was persisted before the call, and then posts `done`
  // to the driver's loop: the bytes, as many as were asked for unless the state ends, ready to be
  // sent. kNotFound: a newer one has taken its place, this one is not kept any more. Any other
  // error is terminal, as one of Persist.
  virtual void ReadSnapshot(const SnapshotRead& read,
                            std::function<void(Result<SnapshotChunk>)> done) = 0;

  // Reads back the snapshot that was received, all parts of which were persisted before the call,
  // and checks it; then posts `done` to the driver's loop. kCorruption: it is not what its checksum
  // says, and has to be received anew. kNotFound: one that was persisted before the call stands for
  // more. Any other error is terminal, as one of Persist.
  virtual void LoadReceived(std::function<void(Result<Snapshot>)> done) = 0;

  // A store that writes between requests posts to the driver's loop what failed there: terminal,
  // as in Persist. Called before the first Persist.
  virtual void set_on_failure(std::function<void(Status)> /*on_failure*/) {}
};

}  // namespace sluice::raft
