#pragma once
// Checkpoints: the offset checkpoint files of a log directory as they are on disk and as they
// should be. A file is written only when its content changes.
//
// Thread rule: thread-safe; holds its mutex while it writes. It is taken under a log's guard, and
// the manager's mutex under it.

#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/file_system.h"
#include "storage/checkpoint_file.h"

namespace sluice::storage {

class Checkpoints {
 public:
  struct Content {
    OffsetCheckpoint recovery_points;
    OffsetCheckpoint high_watermarks;
    OffsetCheckpoint log_starts;
    OffsetCheckpoint damaged;  // where reads found damage; Kafka has no such file
    OffsetCheckpoint cleaned;  // how far the cleaner came; Write leaves it alone
  };

  Checkpoints(FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}

  // Reads the files; called once, first. One that cannot be understood counts as absent, with a
  // warning: everything is then scanned. One that cannot be read is an error: what it says would
  // hold again at a later start, after changes that it knows nothing of.
  Status Read();

  std::optional<Offset> RecoveryPoint(const TopicPartition& partition) const;
  std::optional<Offset> HighWatermark(const TopicPartition& partition) const;
  std::optional<Offset> LogStart(const TopicPartition& partition) const;
  std::optional<Offset> DamagedAt(const TopicPartition& partition) const;
  // Partitions that held records, or had held some, when the files were written.
  std::set<TopicPartition> WithRecords() const;

  std::optional<Offset> Cleaned(const TopicPartition& partition) const;
  Status SetCleaned(const TopicPartition& partition, Offset offset);

  // Writes what `collect` makes of what is stored. It is called under the mutex, so that no value
  // it read can overwrite a later Lower, and no log it saw can come back after a later Forget.
  Status Write(const std::function<Content(const Content& stored)>& collect);
  // Makes durable that the recovery point, the log start and the cleaner's point of `partition` are
  // no higher than `offset`.
  Status Lower(const TopicPartition& partition, Offset offset);
  // Forgets a partition: durably for what could harm a new log of that name.
  Status Forget(const TopicPartition& partition);

 private:
  Status ReadInto(OffsetCheckpoint& offsets, const char* name) const;
  // Writes `wanted` to the file `name` when it differs from `stored`, and stores it.
  Status Store(const char* name, OffsetCheckpoint& stored, OffsetCheckpoint wanted);

  FileSystem& fs_;
  const std::string directory_;
  mutable std::mutex mutex_;
  Content stored_;  // guarded by mutex_
};

}  // namespace sluice::storage
