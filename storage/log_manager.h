#pragma once
// LogManager: all logs of one log directory: opening them at start with the checkpoints, creating
// and deleting, writing the checkpoints, the directory's identity (meta.properties, .lock) and the
// clean-shutdown marker.
//
// Thread rule: thread-safe. It guards its own maps; each Log is guarded by whoever holds it.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "storage/file_cache.h"
#include "storage/log.h"

namespace sluice::storage {

struct TopicPartition {
  std::string topic;
  PartitionIndex partition;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
  std::string ToString() const;  // "orders-3", the directory's name
};

// meta.properties, version 1.
struct DirectoryIdentity {
  std::string cluster_id;
  NodeId node_id = kNoNode;
  Uuid directory_id;
};

struct LogManagerOptions {
  std::string directory;
  FileSystem* file_system = nullptr;  // not owned
  const Clock* clock = nullptr;       // not owned
  LogConfig config;                   // the default for logs found at start
  int recovery_threads = 2;           // 1: the caller's thread does it alone
  // The host was restarted since the last stop (or it cannot be told): what was not synced may be
  // on the disk in any order, so damage above a recovery point is cut even where valid batches
  // follow it. Without a restart the page cache lost nothing, and such damage is bad memory or a
  // bad disk.
  bool host_restarted = false;
  bool taken_over = false;  // see LogOptions
  // How much of a killed process's last writes is read and checked (LogOptions); tests take little.
  uint64_t checked_tail_bytes = LogOptions().checked_tail_bytes;
  // Handles that may stay open for later use (FileCache).
  size_t open_files_max = FileCache::kHandlesMax;
  // Logs that are still to be opened, counted down (Kafka's remainingLogsToRecover); not owned, may
  // be null. Read from any thread.
  std::atomic<int64_t>* logs_to_recover = nullptr;
  // Runs removals of large files and directories soon. Empty: a thread of the manager does; the
  // simulator gives its event loop.
  std::function<void(std::function<void()>)> run_later;
};

// What the last stop left behind; decides whether a replica may be unclean (architecture.md section
// 4).
struct ShutdownState {
  bool clean = false;         // the marker was there (it is removed at opening)
  int64_t broker_epoch = -1;  // from the marker (KIP-966)
  std::string why_unclean;    // of a stop that could not vouch for its logs; empty after a crash
  // Of the last registration that KeepBrokerEpoch was told, however that ended; -1: none, an older
  // version has used the directory.
  int64_t kept_epoch = -1;
};

// How often a log has moved between the directories of its node, or nearly: of two logs that a
// crash has left of one move the one with more is the partition's. `line`: the same for all that
// became of one log, "" for one that has never moved; two of different lines prove nothing about
// each other.
struct MoveHistory {
  int64_t moves = 0;
  std::string line;
};

class LogManager {
 public:
  // Reads meta.properties; nullopt when the directory is not formatted.
  static Result<std::optional<DirectoryIdentity>> ReadIdentity(FileSystem& fs,
                                                               const std::string& directory);
  // kAlreadyExists: it is formatted. kCorruption: it is not, and holds partitions all the same;
  // whose they are is not known, and whoever formats it would take them for its own.
  static Status CheckFormattable(FileSystem& fs, const std::string& directory);
  // Writes meta.properties, creating the directory. Refused as CheckFormattable tells.
  static Status Format(FileSystem& fs, const std::string& directory,
                       const DirectoryIdentity& identity);

  // The logs it gives out must not be used after the manager is gone.
  //
  // Locks the directory (kUnavailable with a clear text when another process has it) and opens
  // every log in it, several at a time.
  static Result<std::unique_ptr<LogManager>> Open(LogManagerOptions options);
  virtual ~LogManager() = default;

  // Logs that could not be opened, and why: GetOrCreate gives that status for them until they are
  // Deleted. The others work.
  virtual std::map<TopicPartition, Status> DamagedLogs() const = 0;
  // All that the last stop left was read, and what is believed of it would be at the next start:
  // the boot id may be kept.
  virtual bool read_whole() const = 0;
  // Logs with records that the checkpoints tell of and that were not found at opening: somebody has
  // removed their directories, or they are of partitions deleted since the checkpoints were
  // written.
  virtual const std::set<TopicPartition>& MissingLogs() const = 0;
  virtual const DirectoryIdentity& identity() const = 0;
  virtual const ShutdownState& last_shutdown() const = 0;
  virtual std::vector<TopicPartition> Partitions() const = 0;
  // Of those that work, and whether `partition` is here at all, damaged ones included.
  virtual size_t LogCount() const = 0;
  virtual bool Holds(const TopicPartition& partition) const = 0;
  // The log of `partition`, opened at start or now, with `config` set. kFenced when the directory
  // belongs to another topic id (an older topic of that name): the caller sets it aside first.
  virtual Result<std::shared_ptr<Log>> GetOrCreate(const TopicPartition& partition,
                                                   TopicId topic_id, const LogConfig& config) = 0;
  virtual std::shared_ptr<Log> Find(const TopicPartition& partition) const = 0;
  // Of damaged ones too; zero when unknown.
  virtual TopicId TopicIdOf(const TopicPartition& partition) const = 0;
  // Renames the directory to <t>-<p>.<uuid>-delete at once and removes it in the background (or at
  // the next start).
  virtual Status Delete(const TopicPartition& partition) = 0;
  // Renames the directory to <t>-<p>.<uuid>-stray, which nobody opens or removes, and tells the
  // new path.
  virtual Result<std::string> SetAside(const TopicPartition& partition) = 0;
  // After Delete or SetAside: a power cut from now on does not bring the name back. Nothing is done
  // where that is so already.
  virtual Status SettleDeparture(const TopicPartition& partition) = 0;

  // Moves between the log directories of a node. A future log, in <t>-<p>.<uuid>-future, becomes
  // the copy of one elsewhere and at last its successor
  // (docs/decisions/0018-moves-between-disks.md).
  //
  // Whether an earlier process has left one of that topic id; it stays until StartFuture or
  // DropFuture.
  virtual bool HoldsAbandonedFuture(const TopicPartition& partition, TopicId topic_id) const = 0;
  virtual std::vector<std::pair<TopicPartition, TopicId>> AbandonedFutures() const = 0;
  // A new one, that is found by a start from now on.
  virtual Result<std::shared_ptr<Log>> StartFuture(const TopicPartition& partition,
                                                   TopicId topic_id, const LogConfig& config) = 0;
  // Removes `future`, or with null those that were abandoned, in the background.
  virtual void DropFuture(const TopicPartition& partition, const Log* future) = 0;
  // As SetAside, of those that were abandoned.
  virtual void SetFuturesAside(const TopicPartition& partition) = 0;
  // The future log, all of it synced, is the partition's from now on, durably. Where a failure has
  // set `perhaps_named`, nobody knows which name it has after the next crash: the source's move
  // count must then be raised above the one given here.
  struct Adoption {
    const Log* future;
    Offset high_watermark;
    std::optional<Offset> cleaned_upto;
    MoveHistory history;
  };
  virtual Status AdoptFuture(const TopicPartition& partition, const Adoption& adoption,
                             bool& perhaps_named) = 0;
  virtual Result<MoveHistory> MovesOf(const TopicPartition& partition) const = 0;
  virtual Status SetMoves(const TopicPartition& partition, const MoveHistory& history) = 0;
  // The checkpoints know the partition no more.
  virtual Status Forget(const TopicPartition& partition) = 0;

  // Checkpoints. High watermarks come from the replicas; recovery points and log starts from the
  // logs.
  virtual std::optional<Offset> CheckpointedHighWatermark(
      const TopicPartition& partition) const = 0;
  virtual Status WriteCheckpoints(const std::map<TopicPartition, Offset>& high_watermarks) = 0;
  // How far the cleaner came in a compacted log (cleaner-offset-checkpoint). A truncation lowers
  // it.
  virtual std::optional<Offset> CleanedUpto(const TopicPartition& partition) const = 0;
  virtual Status SetCleanedUpto(const TopicPartition& partition, Offset offset) = 0;
  // Durably, for the next start's last_shutdown.
  virtual Status KeepBrokerEpoch(BrokerEpoch epoch) = 0;
  // Closes every log, writes checkpoints and last of all the synced clean-shutdown marker. No
  // marker without an epoch, or when a log is damaged: a note says why instead.
  virtual Status CloseCleanly(const std::map<TopicPartition, Offset>& high_watermarks,
                              std::optional<BrokerEpoch> broker_epoch) = 0;
};

}  // namespace sluice::storage
