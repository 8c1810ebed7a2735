#pragma once
// LogDirectories: the LogManagers of one node, one for each directory of log.dirs. It formats
// directories that are new, places new logs, finds logs wherever they are, keeps the directories'
// states, and goes on with the others when one fails (KIP-858's ideas).
//
// Invariants:
//   1. A log is in one directory only: two that hold the same partition of one topic id are refused
//   at opening, but where one has moved on from the other (MoveHistory): it stays.
//   2. A replica whose directory is offline, or may be, is never made anew in another one
//   (KAFKA-16234): the empty log would pass for the one that holds its records.
//
//   SLUICE_ASSIGN_OR_RETURN(auto logs, LogDirectories::Open({.directories = {"/disk1", "/disk2"},
//   ...}));
//   auto placed = logs->GetOrCreate({.partition = {"orders", PartitionIndex(0)}, ...});
//
// Thread rule: thread-safe, but for Open. One GetOrCreate or Delete at a time for each partition.

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/directory_state.h"
#include "storage/log_manager.h"

namespace sluice::storage {

struct LogDirectoriesOptions {
  std::vector<std::string> directories;  // the first is the node's own: it must open
  FileSystem* file_system = nullptr;     // not owned
  const Clock* clock = nullptr;          // not owned
  Random* random = nullptr;              // not owned; for the ids of new directories
  LogConfig config;
  int recovery_threads = 2;                         // for each directory
  std::atomic<int64_t>* logs_to_recover = nullptr;  // as LogManagerOptions', of all directories
  std::string boot_id;  // of the host; "" = it does not tell, and counts as restarted each time
  std::function<void(std::function<void()>)> run_later;  // as LogManagerOptions'
  SpaceMarks marks;
};

// Whether a log may be removed for the topic id that is stored with it: not when that topic exists
// under another name, for then the directory was moved by hand and holds records that count.
using MayRemove = std::function<bool(const TopicId& stored)>;

// A replica to open or to make.
struct ReplicaSpec {
  TopicPartition partition;
  TopicId topic_id;
  MayRemove may_remove;  // asked of a log of that name and another topic id
  LogConfig config;
  Uuid directory;       // that the metadata has for it; zero = none yet
  bool is_new = false;  // made since this broker registered: no directory can hold it already
};

struct PlacedLog {
  DirectoryPtr directory;  // null when it was not placed, or nobody knows where it is
  Result<std::shared_ptr<Log>> log = Status::Internal("not placed");
  // The metadata has it where it was about to move to: all of its records are still here.
  bool move_broken_off = false;
};

// A log that is to have another directory.
struct LogMoveSpec {
  TopicPartition partition;
  TopicId topic_id;
  DirectoryPtr target;
};
// What takes the place of the log in `source`.
struct MovedLog {
  DirectoryPtr source;
  const Log* copy;
  Offset high_watermark;
};

class LogDirectories {
 public:
  // kNotFound when the first directory is not formatted, kInvalidArgument when one belongs to
  // another node or cluster or two hold the same partition. A directory without meta.properties is
  // formatted like the first. Any but the first may fail: it is then offline.
  static Result<std::unique_ptr<LogDirectories>> Open(LogDirectoriesOptions options);
  ~LogDirectories();

  // Of the first directory.
  const DirectoryIdentity& identity() const { return identity_; }
  // In the order of the configuration, those offline too.
  const std::vector<DirectoryPtr>& directories() const { return states_; }
  std::vector<Uuid> OnlineIds() const;

  std::map<TopicPartition, Status> DamagedLogs() const;
  // As LogManager::MissingLogs, but for those that another directory has.
  std::set<TopicPartition> MissingLogs() const;
  std::vector<TopicPartition> Partitions() const;
  std::shared_ptr<Log> Find(const TopicPartition& partition) const;
  // Null when no directory online has it.
  DirectoryPtr DirectoryOf(const TopicPartition& partition) const;
  // The log where it is; else a new one in the directory with the most free space (within a
  // hundredth of it: the one with the fewest logs). A log of that name that belongs to another
  // topic id is set aside first, or kCorruption. kUnavailable when a directory is offline that may
  // hold it.
  PlacedLog GetOrCreate(const ReplicaSpec& spec);
  // From all directories online; kNotFound when none has it, kCorruption where it may not be
  // removed.
  Status Delete(const TopicPartition& partition, const MayRemove& may_remove);
  // Of a log that nobody here has seen deleted: its directory gets a name that is not opened and
  // not removed, with a warning that says `why` and what to do. Otherwise as Delete.
  Status SetAside(const TopicPartition& partition, const MayRemove& may_remove,
                  const std::string& why);

  // --- Moves between directories (log_directories_moves.cc) ---
  // Those that an earlier process has not ended; each stays until StartMove or GiveUpMove. Where no
  // log was found of which it may be the copy, it may hold what nobody else has: it is set aside
  // then, not removed.
  std::vector<LogMoveSpec> BrokenOffMoves() const;
  // An empty log in the target, to be filled by the caller.
  Result<std::shared_ptr<Log>> StartMove(const LogMoveSpec& spec, const LogConfig& config);
  // `copy`: that StartMove gave; null: what an earlier process has left.
  void GiveUpMove(const LogMoveSpec& spec, const Log* copy);
  // The copy takes the place of the partition's log, which is removed. REQUIRES: both have the same
  // records, and neither changes meanwhile. A failure leaves the old log in service; where
  // `source_lost` is set it must not be used either, for the next start may find the copy.
  Status FinishMove(const LogMoveSpec& spec, const MovedLog& moved, bool& source_lost);
  // Where a log is to be made that is not here yet.
  void Prefer(const TopicPartition& partition, const DirectoryPtr& directory);

  // The directory has failed: its logs stay open and unused until the end. True when it was online.
  bool PutOffline(const DirectoryPtr& directory, const Status& why);
  bool AnyOnline() const;
  // Asks the file systems how much room there is. Called by a timer. Gives the directories online
  // that are not there any more: whoever reads and writes open files would notice late or never.
  std::vector<DirectoryPtr> RefreshSpace();

  std::optional<Offset> CheckpointedHighWatermark(const TopicPartition& partition) const;
  // How far the cleaner came; kUnavailable where no directory online has the log.
  std::optional<Offset> CleanedUpto(const TopicPartition& partition) const;
  Status SetCleanedUpto(const TopicPartition& partition, Offset offset);
  struct Failure {
    DirectoryPtr directory;
    Status status;
  };
  // Of each directory online; tells which failed.
  std::vector<Failure> WriteCheckpoints(const std::map<TopicPartition, Offset>& high_watermarks);
  // Of each directory online, durably; tells which failed.
  std::vector<Failure> KeepBrokerEpoch(BrokerEpoch epoch);
  // Every directory online; the first failure. `epoch` of a directory: what its marker is to hold.
  Status CloseCleanly(
      const std::map<TopicPartition, Offset>& high_watermarks,
      const std::function<std::optional<BrokerEpoch>(const DirectoryState&)>& epoch);

 private:
  struct Directory {
    std::shared_ptr<DirectoryState> state;
    std::unique_ptr<LogManager> manager;         // null when it could not be opened
    SpaceLevel told_level = SpaceLevel::kAmple;  // appends change the level between two looks
  };

  explicit LogDirectories(LogDirectoriesOptions options);
  Status OpenAll();
  Status Prepare(Directory& directory);
  void OpenPrepared(std::vector<Status>& outcomes);
  Status OpenOne(Directory& directory);
  Result<DirectoryIdentity> Identify(const std::string& path, bool first) const;
  Status CheckDuplicates();
  bool Online(const Directory& directory) const {
    return directory.manager != nullptr && directory.state->online();
  }
  // The manager online that has the partition.
  const Directory* Holder(const TopicPartition& partition) const;
  Status SetOtherTopicsAside(const ReplicaSpec& spec);
  static Status SetAside(const Directory& directory, const TopicPartition& partition,
                         const std::string& why);
  PlacedLog SettleDepartures(const TopicPartition& partition, const Directory& target) const;
  Result<const Directory*> Choose(const ReplicaSpec& spec);
  Result<const Directory*> DirectoryForNew(const TopicPartition& partition);
  Result<const Directory*> DirectoryWithMostSpace() const;
  PlacedLog Unplaced(const ReplicaSpec& spec, const Status& why) const;
  const Directory* WithId(const Uuid& id) const;
  void NoteLoneCopies();
  static bool MovesHere(const ReplicaSpec& spec, const Directory& directory) {
    return directory.manager->HoldsAbandonedFuture(spec.partition, spec.topic_id);
  }
  // Of two logs of one partition. False when neither is known to have moved on from the other.
  Result<bool> RemoveOlder(const TopicPartition& partition, const Directory*& known,
                                  const Directory& found);

  const LogDirectoriesOptions options_;
  DirectoryIdentity identity_;
  std::vector<Directory> directories_;  // constant once open, as states_
  std::vector<DirectoryPtr> states_;
  std::set<TopicPartition> lone_copies_;  // broken-off moves whose log was not found; constant
  mutable std::mutex mutex_;              // guards preferred_; nothing else is taken under it
  std::map<TopicPartition, DirectoryPtr> preferred_;
};

}  // namespace sluice::storage
