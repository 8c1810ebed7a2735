#pragma once
// SimLogStore: the simulated twin of controller/quorum_log.h. Requests wait for a simulated disk,
// those that wait are written together, and a crash loses what was not reported done, or leaves any
// prefix of it behind.
//
// Thread rule: one thread, as all of the simulator.

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "base/event_loop.h"
#include "base/random.h"
#include "raft/log_store.h"

namespace sluice::raft::testing {

// What survives a crash.
struct SimDisk {
  HardState hard_state;
  LogIndex first_index{0};
  std::deque<Entry> entries;
  std::optional<Snapshot> snapshot;
  std::optional<Snapshot> snapshot_before;
  std::optional<ReceivedSnapshot> received;
  std::string received_data;
  bool newest_stands_alone = false;     // it was installed, or the one after it was lost
  std::map<LogIndex, Term> lost_terms;  // of the entries that hard_state.lost is about
  bool formatted_again = false;         // under its former identity

  LogIndex snapshot_index() const { return snapshot.has_value() ? snapshot->meta.index : kNoIndex; }
  // Of an entry or of the newest snapshot.
  std::optional<Term> TermAt(LogIndex index) const;
  LogIndex last_index() const { return first_index + static_cast<int64_t>(entries.size()) - 1; }
  void Execute(PersistRequest request);
  // kNotFound when it is neither the newest nor the one before.
  Result<SnapshotChunk> ReadSnapshot(const SnapshotRead& read) const;
  // kCorruption when what was received is not what was sent, kNotFound when that is not needed.
  Result<Snapshot> LoadReceived() const;
  // What recovery does: a log that does not reach its snapshot, or disagrees with it, is what an
  // interrupted installation left.
  void FinishReset();
  // The log and the snapshot before the newest, if there was one, hold everything.
  bool ReachesBackWithoutNewest() const;
  // The newest snapshot proves unreadable, and recovery takes the one before. Nothing happens when
  // that cannot replace it.
  void LoseNewestSnapshot();
  // Damage, as recovery finds it: some entry or snapshot turns out to be unreadable, and what is
  // behind it is of no use.
  void Rot(Random& random);
  void LoseEntriesFrom(LogIndex from);
  // Everything is lost, and it is formatted as on the first day.
  void FormatAgain(Entry bootstrap);
  bool AsFormatted() const { return hard_state.term == Term(0) && last_index() == LogIndex(0); }
  // Some of what its voter has promised to keep.
  bool LacksSomething() const {
    return hard_state.lost.any() || (formatted_again && AsFormatted());
  }

 private:
  void Receive(const SnapshotChunk& chunk);
  void LoseSnapshotAndLog();
  void NoteLost(LogIndex from);
};

struct SimDiskLatency {
  int64_t ms_min = 0;
  int64_t ms_max = 2;
};

class SimLogStore final : public LogStore {
 public:
  // Told of every append before it is written: the term before the first entry, and the entries.
  using OnAppend = std::function<void(Term prev_term, const std::vector<Entry>&)>;

  SimLogStore(SimDisk& disk, EventLoop& loop, Random random, SimDiskLatency latency);

  const OpenedLog& opened() const override { return opened_; }
  void Persist(PersistRequest request, std::function<void(Status)> done) override;
  Result<std::vector<Entry>> Read(LogIndex from, LogIndex to, size_t bytes_max) const override;
  Result<Snapshot> LoadSnapshot() const override;
  void ReadSnapshot(const SnapshotRead& read,
                    std::function<void(Result<SnapshotChunk>)> done) override;
  void LoadReceived(std::function<void(Result<Snapshot>)> done) override;
  void set_on_failure(std::function<void(Status)> on_failure) override {
    on_failure_ = std::move(on_failure);
  }

  // Before the first Persist.
  void set_on_append(OnAppend on_append);
  void set_latency(SimDiskLatency latency) { latency_ = latency; }
  bool HasRoomForSnapshot(uint64_t) const override { return has_room_; }
  void set_has_room(bool has_room) { has_room_ = has_room; }
  // Every request from now on fails.
  void FailFromNowOn() { failing_ = true; }
  bool failing() const { return failing_; }
  // What a store does by itself fails, between requests.
  void FailBetweenRequests() {
    loop_.Post([tell = on_failure_] { tell(Status::IoError("between requests")); });
  }
  // The machine stops: some prefix of what waits reaches the disk, and now and then the newest
  // snapshot is damaged. Nothing is reported any more.
  void Crash(Random& random);
  // What a crash in the middle of a request leaves to be carried out of it.
  static PersistRequest Torn(const PersistRequest& whole, Random& random);

 private:
  struct Waiting {
    PersistRequest request;
    std::function<void(Status)> done;  // of a read, too, which has an empty request
  };
  void StartWrite();
  void FinishWrite();
  void NoteAppend(const PersistRequest& request);

  SimDisk& disk_;
  EventLoop& loop_;
  Random random_;
  SimDiskLatency latency_;
  OpenedLog opened_;
  OnAppend on_append_;
  std::function<void(Status)> on_failure_;
  std::deque<Waiting> queue_;
  size_t writing_ = 0;  // the first so many of the queue
  bool has_room_ = true;
  bool failing_ = false;
  std::map<LogIndex, Term> terms_;  // for on_append_: as the log will be when the queue is written
};

}  // namespace sluice::raft::testing
