// How long a broker's storage takes to start, and what it holds then: open time, resident memory,
// open files. Prints numbers and asserts nothing.
//
//   storage_many_partitions make DIR 20000 3            a directory after a clean stop
//   storage_many_partitions kill DIR 1000 10 16384 20   after SIGKILL: partitions, MiB in each,
//   bytes
//                                                       of a batch, batches behind the recovery
//                                                       point
//   storage_many_partitions open DIR                    starts on it; a clean one is stopped again
//
// Thread rule: one thread, and those of the LogManager.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "kafka/record_batch_builder.h"
#include "storage/checkpoint_file.h"
#include "storage/log_manager.h"
#include "storage/shutdown_marker.h"

namespace sluice::storage {
namespace {

constexpr int kPartitionsPerTopic = 1000;
constexpr char kTopicId[] = "0123456789abcdef";

template <typename T>
T Must(Result<T> result) {
  CHECK(result.ok()) << result.status().ToString();
  return std::move(*result);
}
void Must(const Status& status) { CHECK(status.ok()) << status.ToString(); }

struct Shape {
  int partitions = 0;
  int64_t segment_bytes = INT64_MAX;
  int batches = 0;
  size_t batch_bytes = 0;
  int tail_batches = 0;  // behind the recovery point
  bool clean = false;
};

class Bench {
 public:
  explicit Bench(std::string directory) : directory_(std::move(directory)) {}

  // One log written by the engine, then copied file by file: the directories of real logs, quickly.
  void Make(const Shape& shape) {
    DirectoryIdentity identity;
    identity.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
    identity.node_id = NodeId(1);
    identity.directory_id = Uuid::FromBytes("fedcba9876543210");
    Must(LogManager::Format(*fs_, directory_, identity));
    const Offset end = MakeTemplate(shape);
    std::map<std::string, std::string> files;
    for (const std::string& name : Must(fs_->List(Template())))
      files[name] = Must(ReadFile(*fs_, Template() + "/" + name));
    Must(fs_->RemoveAll(Template()));
    OffsetCheckpoint recovery_points;
    for (int i = 0; i < shape.partitions; ++i) {
      const TopicPartition partition{"topic" + std::to_string(i / kPartitionsPerTopic),
                                     PartitionIndex(i % kPartitionsPerTopic)};
      const std::string path = directory_ + "/" + partition.ToString();
      Must(fs_->CreateDirectories(path));
      for (const auto& [name, bytes] : files)
        Must(Must(fs_->Open(path + "/" + name, OpenMode::kCreateTruncate))->WriteAt(0, bytes));
      recovery_points[partition] = end - shape.tail_batches;
    }
    Must(WriteOffsetCheckpoint(*fs_, directory_ + "/" + kRecoveryPointCheckpointName,
                               recovery_points));
    Must(WriteOffsetCheckpoint(*fs_, directory_ + "/" + kHighWatermarkCheckpointName,
                               recovery_points));
    if (shape.clean) Must(WriteShutdownMarker(*fs_, directory_, BrokerEpoch(1)));
  }

  void Open() {
    const size_t resident_before = ResidentKiB();
    const int64_t start = clock_.SteadyMicros();
    auto manager = Must(
        LogManager::Open({.directory = directory_, .file_system = fs_.get(), .clock = &clock_}));
    const int64_t opened = clock_.SteadyMicros();
    const size_t logs = manager->Partitions().size();
    const size_t resident = ResidentKiB() - resident_before;
    const bool clean = manager->last_shutdown().clean;
    std::printf("%zu logs after a %s stop: open in %.3f s, %zu damaged\n", logs,
                clean ? "clean" : "hard", static_cast<double>(opened - start) / 1e6,
                manager->DamagedLogs().size());
    std::printf("resident memory: %zu KiB more, %.2f KiB for each log; %zu KiB in all\n", resident,
                static_cast<double>(resident) / static_cast<double>(logs), ResidentKiB());
    std::printf("open files: %zu\n", OpenFiles());
    // After a hard stop the directory stays as it is, for the next round.
    std::fflush(stdout);
    if (!clean) std::_Exit(0);
    const int64_t stopping = clock_.SteadyMicros();
    Must(manager->CloseCleanly({}, BrokerEpoch(2)));
    std::printf("stop in %.3f s\n", static_cast<double>(clock_.SteadyMicros() - stopping) / 1e6);
  }

 private:
  std::string Template() const { return directory_ + "/template"; }

  Offset MakeTemplate(const Shape& shape) {
    LogOptions options;
    options.directory = Template();
    options.topic_id = Uuid::FromBytes(kTopicId);
    options.config.segment_bytes = shape.segment_bytes;
    options.file_system = fs_.get();
    options.clock = &clock_;
    auto log = Must(Log::Open(std::move(options)));
    const std::string value(shape.batch_bytes, 'v');
    for (int i = 0; i < shape.batches; ++i) {
      kafka::RecordBatchBuilder builder{kafka::RecordBatchOptions{}};
      builder.Append({.timestamp_ms = clock_.WallMs() + i, .key = "k", .value = value});
      Must(log->AppendAsLeader(Must(builder.Build()), LeaderEpoch(0)));
    }
    const Offset end = log->log_end_offset();
    // A killed process leaves what it had not written behind.
    if (shape.clean) Must(log->Close());
    return end;
  }

  static size_t ResidentKiB() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("VmRSS:", 0) == 0) return std::strtoull(line.c_str() + 6, nullptr, 10);
    }
    return 0;
  }
  static size_t OpenFiles() {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
      ++count;
    return count;
  }

  const std::string directory_;
  const std::unique_ptr<FileSystem> fs_ = NewPosixFileSystem();
  const SystemClock clock_;
};

int Run(const std::vector<std::string>& args) {
  const auto number = [&](size_t i) { return std::atoi(args[i].c_str()); };
  if (args.size() == 2 && args[0] == "open") {
    Bench(args[1]).Open();
  } else if (args.size() == 4 && args[0] == "make") {
    // Two batches fill a segment.
    Bench(args[1]).Make({.partitions = number(2),
                         .segment_bytes = 2400,
                         .batches = 2 * number(3),
                         .batch_bytes = 1000,
                         .clean = true});
  } else if (args.size() == 6 && args[0] == "kill") {
    Bench(args[1]).Make({.partitions = number(2),
                         .segment_bytes = 1 << 30,
                         .batches = static_cast<int>((int64_t{number(3)} << 20) / number(4)),
                         .batch_bytes = static_cast<size_t>(number(4)) - 70,
                         .tail_batches = number(5)});
  } else {
    std::fprintf(stderr,
                 "usage: storage_many_partitions make DIR PARTITIONS SEGMENTS\n"
                 "       storage_many_partitions kill DIR PARTITIONS MIB BATCH_BYTES TAIL_BATCHES\n"
                 "       storage_many_partitions open DIR\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace sluice::storage

int main(int argc, char** argv) {
  return sluice::storage::Run(std::vector<std::string>(argv + 1, argv + argc));
}
