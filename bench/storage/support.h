#pragma once
// What the storage benchmarks share: real log directories with real logs and a real flusher, the
// batches to append, and plain files beside them that the bars are measured against.
//
// Thread rule: Partition and Logs as their parts; everything else one thread.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "kafka/batch_validator.h"
#include "kafka/record_batch_builder.h"
#include "storage/flusher.h"
#include "storage/log_manager.h"

namespace sluice::bench {

template <typename T>
T Must(Result<T> result) {
  CHECK(result.ok()) << result.status().ToString();
  return std::move(*result);
}
inline void Must(const Status& status) { CHECK(status.ok()) << status.ToString(); }

inline double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// `part` of the way up the sorted values: 0.5 is the median.
inline double Quantile(std::vector<double> values, double part) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const auto index = static_cast<size_t>(part * static_cast<double>(values.size()));
  return values[std::min(index, values.size() - 1)];
}
inline double Median(const std::vector<double>& values) { return Quantile(values, 0.5); }

inline constexpr int64_t kBatchTimeMs = 1700000000000;

// One batch of `size_bytes` in records of about 1 KiB; `time_ms` is its first record's.
inline std::string MakeBatch(size_t size_bytes, int64_t time_ms = kBatchTimeMs) {
  constexpr size_t kRecordBytes = 1024;
  const std::string value(kRecordBytes, 'v');
  kafka::RecordBatchBuilder builder{kafka::RecordBatchOptions{}};
  while (builder.size_bytes() + 2 * kRecordBytes < size_bytes)
    builder.Append({.timestamp_ms = time_ms, .value = value});
  // Length, offset and time of a record take some 8 bytes.
  const size_t rest = size_bytes - builder.size_bytes();
  builder.Append({.timestamp_ms = time_ms, .value = std::string(rest > 12 ? rest - 12 : 1, 'w')});
  return Must(builder.Build());
}

// As broker::Partition has its log: under a mutex, which capture and report take too.
class Partition final : public storage::Flushable {
 public:
  Partition(std::shared_ptr<storage::Log> log, size_t index)
      : index_(index), log_(std::move(log)) {}

  // The leader's checks, and the append.
  void Append(std::string_view batch) {
    kafka::BatchRules rules;
    rules.now_ms = kBatchTimeMs;
    rules.max_message_bytes = batch.size();
    CHECK(kafka::ValidateBatch(batch, rules).ok());
    std::lock_guard lock(mutex_);
    (void)Must(log_->AppendAsLeader(batch, LeaderEpoch(0)));
  }
  storage::FlushTarget CaptureFlush() override {
    std::lock_guard lock(mutex_);
    return log_->PrepareFlush();
  }
  void NoteFlushed(Offset upto, const Status& outcome) {
    Must(outcome);
    std::lock_guard lock(mutex_);
    log_->OnFlushed(upto, outcome);
  }
  size_t index() const { return index_; }
  storage::Log& log() { return *log_; }

 private:
  const size_t index_;
  std::mutex mutex_;
  const std::shared_ptr<storage::Log> log_;
};
using PartitionPtr = std::shared_ptr<Partition>;

struct LogsOptions {
  std::string directory;  // made anew
  size_t partitions = 1;
  storage::LogConfig config;
  int flusher_threads = 0;  // 0: the product's
  int syncfs_threshold = 0;
};

// A log directory with its partitions and its flusher.
class Logs {
 public:
  // Runs on a flusher thread once a group's partitions know that they are flushed.
  using OnGroup = std::function<void(std::span<const storage::Flushed>)>;

  explicit Logs(const LogsOptions& options) {
    Must(fs_->RemoveAll(options.directory));
    storage::DirectoryIdentity identity;
    identity.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
    identity.node_id = NodeId(1);
    identity.directory_id = Uuid::FromBytes("fedcba9876543210");
    Must(storage::LogManager::Format(*fs_, options.directory, identity));
    manager_ = Must(storage::LogManager::Open(
        {.directory = options.directory,
         .file_system = fs_.get(),
         .clock = &clock_,
         // Removals are done when Empty returns, and run beside nothing that is measured.
         .run_later = [](const std::function<void()>& task) { task(); }}));
    for (size_t i = 0; i < options.partitions; ++i) {
      const storage::TopicPartition name{"bench", PartitionIndex(static_cast<int32_t>(i))};
      partitions_.push_back(std::make_shared<Partition>(
          Must(manager_->GetOrCreate(name, Uuid::FromBytes("0123456789abcdef"), options.config)),
          i));
    }
    storage::ThreadFlusherOptions flusher;
    flusher.directory = options.directory;
    flusher.clock = &clock_;
    flusher.report = [this](std::span<const storage::Flushed> group) { Report(group); };
    if (options.flusher_threads > 0) flusher.threads = options.flusher_threads;
    if (options.syncfs_threshold > 0) flusher.syncfs_threshold = options.syncfs_threshold;
    flusher_ = storage::NewThreadFlusher(*fs_, std::move(flusher));
  }
  ~Logs() { flusher_.reset(); }

  // Not while anything is submitted.
  void set_on_group(OnGroup on_group) { on_group_ = std::move(on_group); }
  const std::vector<PartitionPtr>& partitions() const { return partitions_; }
  storage::Flusher& flusher() { return *flusher_; }
  void SubmitAll() {
    const std::vector<storage::FlushablePtr> dirty(partitions_.begin(), partitions_.end());
    flusher_->Submit(dirty);
  }
  // Frees what was written, so that its pages are used again.
  void Empty() {
    flusher_->Drain();
    for (const PartitionPtr& partition : partitions_)
      Must(partition->log().TruncateFullyAndStartAt(partition->log().log_end_offset()));
    SubmitAll();
    flusher_->Drain();
  }

 private:
  void Report(std::span<const storage::Flushed> group) {
    for (const storage::Flushed& flushed : group)
      static_cast<Partition&>(*flushed.partition).NoteFlushed(flushed.upto, flushed.outcome);
    if (on_group_) on_group_(group);
  }

  const std::unique_ptr<FileSystem> fs_ = NewPosixFileSystem();
  const SystemClock clock_;
  std::unique_ptr<storage::LogManager> manager_;
  std::vector<PartitionPtr> partitions_;
  OnGroup on_group_;
  std::unique_ptr<storage::Flusher> flusher_;
};

// A file as a program without any of this writes it.
class PlainFile {
 public:
  explicit PlainFile(std::string path)
      : path_(std::move(path)), fd_(open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644)) {
    CHECK_GE(fd_, 0) << path_;
  }
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;
  ~PlainFile() {
    close(fd_);
    unlink(path_.c_str());
  }

  void Write(std::string_view bytes) {
    CHECK_EQ(write(fd_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void Sync() { CHECK_EQ(fdatasync(fd_), 0); }
  void SyncFileSystem() { CHECK_EQ(syncfs(fd_), 0); }
  void Empty() {
    CHECK_EQ(ftruncate(fd_, 0), 0);
    CHECK_EQ(lseek(fd_, 0, SEEK_SET), 0);
    Sync();
  }

 private:
  const std::string path_;
  const int fd_;
};
using PlainFiles = std::vector<std::unique_ptr<PlainFile>>;

inline PlainFiles MakePlainFiles(const std::string& directory, size_t count) {
  Must(NewPosixFileSystem()->CreateDirectories(directory));
  PlainFiles files;
  for (size_t i = 0; i < count; ++i)
    files.push_back(std::make_unique<PlainFile>(directory + "/plain-" + std::to_string(i)));
  files.front()->SyncFileSystem();
  return files;
}

}  // namespace sluice::bench
