#pragma once
// LogMove: the log of one replica on its way from one log directory of the broker to another: what
// is done to the partition and to the copy. LogMover decides when.
//
// The copy gets the log's batches as a follower would, and what happens to the log meanwhile:
// truncations, deletions at its start. When it has all of them it takes the log's place under the
// partition's mutex. Until then nothing but the copy is lost, whatever fails.
//
// Thread rule: NoteCut and future under the partition's mutex; everything else is LogMover's, one
// call at a time, with no lock held but the opening mutex of ReplicaManagerImpl.

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/replica/partition.h"
#include "broker/replica/replication_quota.h"
#include "storage/log_directories.h"

namespace sluice::broker {

class LogMove : public std::enable_shared_from_this<LogMove> {
 public:
  LogMove(std::shared_ptr<Partition> partition, storage::DirectoryPtr target);

  const std::shared_ptr<Partition>& partition() const { return partition_; }
  const storage::DirectoryPtr& target() const { return target_; }

  enum class Begun { kMoves, kThere, kOffline };
  Begun Begin();

  enum class Progress {
    kMore,
    kCaughtUp,   // with the log's end of a moment ago
    kThrottled,  // the quota gives nothing now
    kNoRoom,     // the target's disk is full
    kGap,        // the log ends where compaction left nothing: its next record can be copied
  };
  // Copies the next piece. kIoError: the target failed; kDiskFull: it can be called again; anything
  // else is the log's trouble.
  Result<Progress> CopyNext(storage::LogDirectories& logs, ReplicationQuota& quota);
  // What was copied is durable.
  Status Flush();
  size_t unflushed_bytes() const { return unflushed_bytes_; }

  // The log's flushes are under its flusher: none may be when it is replaced. True once there is
  // none, and none begins.
  bool HoldFlushes();
  void ReleaseFlushes(PartitionEffects& effects);

  enum class Swapped { kDone, kNotYet, kFailed };
  // REQUIRES: HoldFlushes gave true.
  Swapped Swap(storage::LogDirectories& logs, storage::Flusher& flusher, PartitionEffects& effects);
  const Status& failure() const { return failure_; }

  // The partition stays where it is.
  struct Left {
    storage::DirectoryPtr directory;  // null when it has none
    bool usable = false;              // its log
  };
  Left GiveUp(PartitionEffects& effects);
  // To be called once nobody may look for the copy any more: it goes. REQUIRES: GiveUp.
  std::function<void()> Drop(storage::LogDirectories& logs) const;

  // The log was cut at `end`.
  void NoteCut(Offset end) { cut_ = std::min(cut_, end); }
  FutureLogStatus future() const {
    return {target_, Offset(copied_end_.load()), copied_bytes_.load()};
  }

 private:
  // What the partition says of its log.
  struct Look {
    Offset start;
    Offset end;
    Partition::TopicConfigPtr config;
    std::vector<FileSlice> slices;  // none while the copy has to be adapted first
    storage::Lacking lacking;
  };

  storage::LogMoveSpec Spec() const;
  Result<Look> LookAtLog(size_t size_bytes);
  Status LookOnce(Look& look, size_t size_bytes, bool may_wait);
  // What happened to the log is done to the copy. True when that lost records.
  Result<bool> Adapt(const Look& look);
  Result<std::string> ReadPiece(const std::vector<FileSlice>& slices) const;
  Status Append(const std::string& bytes);
  Status CopyLast();
  void Publish();

  const std::shared_ptr<Partition> partition_;
  const storage::DirectoryPtr target_;
  std::shared_ptr<storage::Log> copy_;
  size_t unflushed_bytes_ = 0;
  int fruitless_ = 0;          // pieces in a row that gave nothing
  Status failure_;             // of the swap
  Offset cut_{INT64_MAX};      // since the last look; guarded by the partition's mutex
  Offset cut_due_{INT64_MAX};  // seen by a look, and not yet done to the copy
  std::atomic<int64_t> copied_end_{0};
  std::atomic<uint64_t> copied_bytes_{0};
};

}  // namespace sluice::broker
