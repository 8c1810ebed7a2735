#pragma once
// QuorumLog: the metadata log on disk, raft::LogStore over storage::Log. The directory holds the
// log's segments, `quorum-state` (vote_slots.h) and the snapshots (snapshot_files.h);
// docs/formats/raft_log.md describes all of it.
//
// Snapshots are read on the IO loop too: one part to be sent between two groups, so that votes do
// not wait for more, or the whole that was received.
//
// Requests gather while the disk is busy and are carried out as one group: the newest vote first
// and synced, then the entries, then one flush for all of them. A vote that survives without the
// entries promised nothing; entries of a term without its vote would.
//
// Damage: what lies above all that is known to have been synced (tail_evidence.h) was reported to
// nobody, and is cut where it is torn. Anything else is never cut as if it had not been: that
// entries are lost is written beside the vote (raft::LostEntries) before any file is touched, the
// files are kept under another name, and what is whole is opened (log_damage.h,
// quorum_log_damage.cc). Where nobody else could give them back, and where the votes are lost too,
// nothing is opened and nothing changed.
//
// Thread rule: LogStore's methods on `loop`; the disk is written on `io_loop`. Both loops are
// stopped, or simulated ones gone, before the QuorumLog is destroyed.

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/file_system.h"
#include "controller/entry_codec.h"
#include "controller/log_damage.h"
#include "controller/quorum_log_metrics.h"
#include "controller/snapshot_files.h"
#include "controller/snapshot_receiver.h"
#include "controller/vote_slots.h"
#include "raft/log_store.h"
#include "storage/log.h"

namespace sluice::controller {

// The directory of the metadata log in `metadata.log.dir`.
inline constexpr char kQuorumLogDirectory[] = "__cluster_metadata-0";

struct QuorumLogOptions {
  std::string directory;              // <metadata.log.dir>/__cluster_metadata-0
  FileSystem* file_system = nullptr;  // these are not owned
  const Clock* clock = nullptr;
  EventLoop* loop = nullptr;     // the Raft driver's: callbacks are posted to it
  EventLoop* io_loop = nullptr;  // for the disk
  int64_t segment_bytes = 16 << 20;
  uint32_t snapshot_block_bytes = kSnapshotBlockBytes;
  QuorumLogMetrics* metrics = nullptr;  // not owned; nullptr: nobody wants to know
  // To the only voter nobody could give back what is damaged. The log tells who votes; `alone`, as
  // configured, counts where that cannot be read.
  raft::VoterId self;
  bool alone = false;
};

class QuorumLog final : public raft::LogStore {
 public:
  // Writes the log of a new voter: the bootstrap entry, which is the same on all first voters, and
  // no vote. kAlreadyExists when the directory holds one.
  static Status Format(FileSystem& fs, const Clock& clock, const std::string& directory,
                       const raft::Bootstrap& bootstrap);
  // That of a node which is yet to join: without entries, it knows nobody and votes for nobody.
  static Status FormatToJoin(FileSystem& fs, const Clock& clock, const std::string& directory);
  static bool IsFormatted(FileSystem& fs, const std::string& directory);
  // kNotFound when it was never formatted, kCorruption when it is damaged and cannot be made good.
  static Result<std::unique_ptr<QuorumLog>> Open(const QuorumLogOptions& options);

  const raft::OpenedLog& opened() const override { return opened_; }
  void Persist(raft::PersistRequest request, std::function<void(Status)> done) override;
  Result<std::vector<raft::Entry>> Read(LogIndex from, LogIndex to,
                                        size_t bytes_max) const override;
  bool HasRoomForSnapshot(uint64_t bytes) const override;
  Result<raft::Snapshot> LoadSnapshot() const override;
  void ReadSnapshot(const raft::SnapshotRead& read,
                    std::function<void(Result<raft::SnapshotChunk>)> done) override;
  void LoadReceived(std::function<void(Result<raft::Snapshot>)> done) override;
  void set_on_failure(std::function<void(Status)> on_failure) override {
    on_failure_ = std::move(on_failure);
  }

  // What opening cut off; empty when nothing.
  const std::string& recovery_message() const { return log_->recovery().message; }
  // Groups written so far, for metrics.
  uint64_t groups() const { return groups_.load(std::memory_order_relaxed); }

 private:
  struct Waiting {
    raft::PersistRequest request;
    std::function<void(Status)> done;
  };

  explicit QuorumLog(const QuorumLogOptions& options);
  static Status FormatWith(FileSystem& fs, const Clock& clock, const std::string& directory,
                           const raft::Bootstrap* bootstrap);
  Status OpenLog();
  Status OpenFiles();
  storage::LogOptions LogOptionsFrom(LogIndex synced_end);
  Status ChooseSnapshot();
  Status FinishReset();
  Status ScanEntries();
  Status NoteEntry(const DecodedEntry& decoded);
  Status CheckVotes() const;
  Result<std::vector<DecodedEntry>> ReadEntries(LogIndex from, LogIndex to, size_t bytes_max) const;

  // quorum_log_damage.cc
  Status DoWithoutDamage(const Status& found);
  Result<std::optional<LogDamage>> FindLoss();
  bool NobodyElseHasIt(const LogDamage& damage) const;
  Status CutFrom(LogIndex from);

  void WakeDisk();

  // On io_loop
  void TakeTurn();
  void WriteGroup(std::vector<Waiting> group);
  template <typename T>
  void AfterWrites(std::function<Result<T>()> read, std::function<void(Result<T>)> done);
  void SyncMarkerWhenIdle();
  Status Execute(const std::vector<Waiting>& group);
  Status WriteVote(const std::vector<Waiting>& group);
  Status ExecuteOne(const raft::PersistRequest& request);
  Status StoreSnapshot(const raft::PersistRequest& request);
  Status Truncate(LogIndex from);
  Status Append(const std::vector<raft::Entry>& entries);
  Status Flush();
  void Observe(Histogram& what, int64_t since_micros) const;

  const QuorumLogOptions options_;
  FileSystem& fs_;
  SnapshotFiles snapshots_;
  SnapshotReceiver receiver_;
  std::unique_ptr<VoteSlots> slots_;
  std::function<void(Status)> on_failure_;  // not changed once something was written
  raft::OpenedLog opened_;

  mutable std::mutex
      log_mutex_;  // guards log_ and newest_snapshot_; not held while a group is synced
  std::unique_ptr<storage::Log> log_;
  std::optional<SnapshotName> newest_snapshot_;

  std::mutex queue_mutex_;  // guards queue_, reads_ and busy_
  std::vector<Waiting> queue_;
  std::deque<std::function<void()>> reads_;
  bool busy_ = false;  // a turn on the IO loop is due

  // Of the IO thread
  uint32_t chain_ = kNoChain;  // of the last entry in the log
  Status failure_;             // the first one: terminal
  bool marker_sync_due_ = false;
  std::atomic<uint64_t> groups_{0};
};

}  // namespace sluice::controller
