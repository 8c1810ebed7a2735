#pragma once
// LogManagerImpl: the LogManager. Private to storage/. log_manager_futures.cc has the logs that
// move here.
//
// Thread rule: thread-safe. mutex_ guards the maps and is never held while the disk is written to:
// a partition that is being created or deleted is marked busy meanwhile. The checkpoints have their
// own mutex.

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "storage/background_worker.h"
#include "storage/checkpoints.h"
#include "storage/log_manager.h"

namespace sluice::storage {

class LogManagerImpl final : public LogManager {
 public:
  LogManagerImpl(LogManagerOptions options, DirectoryIdentity identity,
                 std::unique_ptr<FileLock> lock);

  // Takes the shutdown marker and opens every log.
  Status OpenLogs();

  std::map<TopicPartition, Status> DamagedLogs() const override;
  bool read_whole() const override;
  const std::set<TopicPartition>& MissingLogs() const override { return missing_; }
  const DirectoryIdentity& identity() const override { return identity_; }
  const ShutdownState& last_shutdown() const override { return last_shutdown_; }
  std::vector<TopicPartition> Partitions() const override;
  size_t LogCount() const override;
  bool Holds(const TopicPartition& partition) const override;
  Result<std::shared_ptr<Log>> GetOrCreate(const TopicPartition& partition, TopicId topic_id,
                                           const LogConfig& config) override;
  std::shared_ptr<Log> Find(const TopicPartition& partition) const override;
  TopicId TopicIdOf(const TopicPartition& partition) const override;
  Status Delete(const TopicPartition& partition) override;
  Result<std::string> SetAside(const TopicPartition& partition) override;
  Status SettleDeparture(const TopicPartition& partition) override;
  bool HoldsAbandonedFuture(const TopicPartition& partition, TopicId topic_id) const override;
  std::vector<std::pair<TopicPartition, TopicId>> AbandonedFutures() const override;
  Result<std::shared_ptr<Log>> StartFuture(const TopicPartition& partition, TopicId topic_id,
                                           const LogConfig& config) override;
  void DropFuture(const TopicPartition& partition, const Log* future) override;
  void SetFuturesAside(const TopicPartition& partition) override;
  Status AdoptFuture(const TopicPartition& partition, const Adoption& adoption,
                     bool& perhaps_named) override;
  Result<MoveHistory> MovesOf(const TopicPartition& partition) const override;
  Status SetMoves(const TopicPartition& partition, const MoveHistory& history) override;
  Status Forget(const TopicPartition& partition) override { return checkpoints_.Forget(partition); }
  std::optional<Offset> CheckpointedHighWatermark(const TopicPartition& partition) const override;
  Status WriteCheckpoints(const std::map<TopicPartition, Offset>& high_watermarks) override;
  std::optional<Offset> CleanedUpto(const TopicPartition& partition) const override {
    return checkpoints_.Cleaned(partition);
  }
  Status SetCleanedUpto(const TopicPartition& partition, Offset offset) override {
    return checkpoints_.SetCleaned(partition, offset);
  }
  Status KeepBrokerEpoch(BrokerEpoch epoch) override;
  Status CloseCleanly(const std::map<TopicPartition, Offset>& high_watermarks,
                      std::optional<BrokerEpoch> broker_epoch) override;

 private:
  struct Hosted {
    std::shared_ptr<Log> log;
    TopicId topic_id;
  };

  // Names that were taken away, with the path that each directory has now, until that is durable.
  // Shared with removals that the manager need not outlive.
  struct Departures {
    std::mutex mutex;
    std::map<TopicPartition, std::string> unsynced;  // guarded by mutex
    void Add(const TopicPartition& partition, const std::string& path);
    std::optional<std::string> Find(const TopicPartition& partition);
    void Settle(const TopicPartition& partition, const std::string& path);
  };

  // A log that moves here; one that an earlier process has left has no log.
  struct Future {
    std::string path;
    TopicId topic_id;
    std::shared_ptr<Log> log;
  };

  // While it lives the partition is this thread's to create or delete.
  class Claim {
   public:
    Claim(LogManagerImpl& manager, TopicPartition partition);
    ~Claim();

   private:
    LogManagerImpl& manager_;
    const TopicPartition partition_;
  };

  FileSystem& fs() const { return *options_.file_system; }
  std::string PathOf(const TopicPartition& partition) const {
    return options_.directory + "/" + partition.ToString();
  }
  LogOptions OptionsFor(const TopicPartition& partition, TopicId topic_id, const LogConfig& config);
  Status CheckDamaged(const TopicPartition& partition);
  Status AdoptTopicId(const TopicPartition& partition, TopicId topic_id);
  Result<TopicId> StoredTopicId(const std::string& path) const;
  void NoteAbandoned(const TopicPartition& partition, const std::string& path);
  bool HoldsRecords(const std::string& path) const;
  void SetFutureAside(const TopicPartition& partition, const Future& future);
  std::vector<Future> TakeFutures(const TopicPartition& partition, const Log* future);
  Result<std::string> RetireFuture(const TopicPartition& partition, const Future& future,
                                   std::string_view suffix);
  Status Rename(const TopicPartition& partition, const Future& future, bool& perhaps_named);
  Result<Hosted> OpenFound(const TopicPartition& partition);
  bool NeverFlushed(const TopicPartition& partition) const;
  Status PutAway(const TopicPartition& partition);
  Status SettleGaps();
  void OpenAll(const std::vector<TopicPartition>& found);
  struct OpeningProgress {
    size_t total = 0;
    size_t done = 0;
    uint64_t checked_bytes = 0;
    int64_t next_report_ms = 0;
  };
  void NoteOpened(const TopicPartition& partition, Result<Hosted> hosted,
                  OpeningProgress& progress);
  Status CloseLogs(const std::map<TopicPartition, Hosted>& logs);
  void RunLater(std::function<void()> task);
  // From its name; the path that the directory has then.
  std::string FreePath(const TopicPartition& partition, std::string_view suffix);
  Result<std::string> RenameAway(const TopicPartition& partition, std::string_view suffix);
  Result<std::string> Retire(const TopicPartition& partition, std::string_view suffix);
  // `partition`: whose name it had until now; nothing when an earlier process took it away.
  void RemoveDirectoryLater(const std::string& path,
                            const std::optional<TopicPartition>& partition = std::nullopt);

  const LogManagerOptions options_;
  const DirectoryIdentity identity_;
  const std::unique_ptr<FileLock> lock_;
  const std::shared_ptr<FileCache> files_;
  std::unique_ptr<WholeFileSystem> whole_;
  Checkpoints checkpoints_;
  ShutdownState last_shutdown_;
  std::set<TopicPartition> missing_;  // settled at opening
  bool gaps_settled_ = true;          // the same
  mutable std::mutex mutex_;
  std::map<TopicPartition, Hosted> logs_;          // guarded by mutex_
  std::map<TopicPartition, Status> damaged_;       // guarded by mutex_
  std::multimap<TopicPartition, Future> futures_;  // guarded by mutex_
  std::set<TopicPartition> deleted_;  // since checkpoints were written; guarded by mutex_
  std::set<TopicPartition> busy_;     // guarded by mutex_
  std::condition_variable idle_;      // of a partition that was busy
  std::atomic<uint64_t> next_deletion_ = 1;
  const std::shared_ptr<Departures> departures_ = std::make_shared<Departures>();
  BackgroundWorker worker_;  // last: its thread ends first
};

}  // namespace sluice::storage
