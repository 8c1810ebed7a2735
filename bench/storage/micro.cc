// Micro-benchmarks of the storage engine by Google Benchmark, each on real files below the
// directory that TMPDIR names (/var/tmp without it): append, read, recovery, compaction, look-up by
// offset and by time, and the group commit. `make bench-storage` runs them.
//
// Thread rule: one thread, and those of a flusher.

#include <benchmark/benchmark.h>

#include <condition_variable>
#include <cstdlib>

#include "base/random.h"
#include "bench/storage/support.h"
#include "storage/compaction/compaction_run.h"

namespace sluice::bench {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kBatchBytes = 4096;

std::string Directory() {
  const char* set = std::getenv("TMPDIR");
  return std::string(set != nullptr ? set : "/var/tmp") + "/sluice-bench-" +
         std::to_string(getpid());
}

// A log in a directory of its own, gone when the benchmark is.
class BenchLog {
 public:
  BenchLog() {
    Must(fs_->RemoveAll(Directory()));
    Must(fs_->CreateDirectories(Directory()));
    options_.directory = Directory() + "/bench-0";
    options_.file_system = fs_.get();
    options_.clock = &clock_;
  }
  ~BenchLog() {
    log_.reset();
    Must(fs_->RemoveAll(Directory()));
  }

  storage::LogOptions& options() { return options_; }
  FileSystem& fs() { return *fs_; }
  storage::Log& log() { return *log_; }
  void Open() {
    log_.reset();
    log_ = Must(storage::Log::Open(options_));
  }
  void Remove() {
    log_.reset();
    Must(fs_->RemoveAll(options_.directory));
  }
  // Batches of 4 KiB, a millisecond apart.
  void Fill(size_t mib) {
    Open();
    const size_t batches = mib * kMiB / kBatchBytes;
    for (size_t i = 0; i < batches; ++i)
      (void)Must(
          log_->AppendAsLeader(MakeBatch(kBatchBytes, kBatchTimeMs + int64_t(i)), LeaderEpoch(0)));
    Must(log_->Close());
    options_.clean = true;
    options_.recovery_point = log_->log_end_offset();
    Open();
    batches_ = batches;
  }
  Offset RandomOffset() {
    return Offset(
        static_cast<int64_t>(random_.Below(static_cast<uint64_t>(log_->log_end_offset().value()))));
  }
  int64_t RandomTime() { return kBatchTimeMs + static_cast<int64_t>(random_.Below(batches_)); }
  Random& random() { return random_; }

 private:
  const std::unique_ptr<FileSystem> fs_ = NewPosixFileSystem();
  const SystemClock clock_;
  Random random_{1};
  storage::LogOptions options_;
  std::unique_ptr<storage::Log> log_;
  size_t batches_ = 0;
};

// The leader's checks and the write; old segments go, so that their pages are used again.
void Append(benchmark::State& state) {
  const std::string batch = MakeBatch(static_cast<size_t>(state.range(0)));
  BenchLog bench;
  bench.options().config.segment_bytes = 64 * kMiB;
  bench.options().config.retention_bytes = 64 * kMiB;
  bench.Open();
  Partition partition(std::shared_ptr<storage::Log>(&bench.log(), [](storage::Log*) {}), 0);
  uint64_t since_retention = 0;
  for (auto _ : state) {
    partition.Append(batch);
    since_retention += batch.size();
    if (since_retention < 64 * kMiB) continue;
    (void)Must(bench.log().ApplyRetention(bench.log().log_end_offset()));
    since_retention = 0;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(batch.size()));
}
BENCHMARK(Append)->Arg(1024)->Arg(16 << 10)->Arg(1 << 20);

// A fetch of up to so many bytes somewhere in 256 MiB of page cache, and its bytes.
void Read(benchmark::State& state) {
  BenchLog bench;
  bench.Fill(256);
  const auto size_max = static_cast<size_t>(state.range(0));
  std::string bytes(size_max + kMiB, '\0');
  int64_t total = 0;
  for (auto _ : state) {
    const storage::ReadResult read = Must(bench.log().Read(
        bench.RandomOffset(), size_max, bench.log().log_end_offset(), /*one_at_least=*/true));
    for (const FileSlice& slice : read.slices)
      total += static_cast<int64_t>(
          Must(slice.file->ReadAt(slice.offset, bytes.data(), slice.size_bytes)));
  }
  state.SetBytesProcessed(total);
}
BENCHMARK(Read)->Arg(16 << 10)->Arg(1 << 20);

// Where a fetch begins: the batch that holds an offset, by the index, without reading its records.
void LookUpOffset(benchmark::State& state) {
  BenchLog bench;
  bench.Fill(256);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Must(bench.log().Read(
        bench.RandomOffset(), 1, bench.log().log_end_offset(), /*one_at_least=*/true)));
  }
}
BENCHMARK(LookUpOffset);

void LookUpTime(benchmark::State& state) {
  BenchLog bench;
  bench.Fill(256);
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        Must(bench.log().FindTimestamp(bench.RandomTime(), bench.log().log_end_offset())));
  }
}
BENCHMARK(LookUpTime);

// A start after a crash: so many MiB behind the recovery point are read and checked.
void Recover(benchmark::State& state) {
  BenchLog bench;
  const auto mib = static_cast<size_t>(state.range(0));
  bench.Fill(mib);
  bench.options().clean = false;
  bench.options().recovery_point = Offset(0);
  for (auto _ : state) bench.Open();
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(mib * kMiB));
}
BENCHMARK(Recover)->Arg(1)->Arg(64)->Unit(benchmark::kMillisecond);

// A start after a clean stop, until the first record can be appended.
void OpenClean(benchmark::State& state) {
  BenchLog bench;
  bench.Fill(64);
  for (auto _ : state) {
    bench.Open();
    benchmark::DoNotOptimize(bench.log().latest_epoch());
  }
}
BENCHMARK(OpenClean)->Unit(benchmark::kMicrosecond);

// Writes four values for each of the keys into segments of 8 MiB.
void FillKeyed(BenchLog& bench, size_t mib) {
  constexpr int kRecords = 128;
  const uint64_t keys = mib * kMiB / 4 / 128;
  const std::string value(100, 'v');
  while (bench.log().size_bytes() < mib * kMiB) {
    kafka::RecordBatchBuilder batch{kafka::RecordBatchOptions{}};
    for (int i = 0; i < kRecords; ++i) {
      const std::string key = std::to_string(bench.random().Below(keys));
      batch.Append({.timestamp_ms = kBatchTimeMs, .key = key, .value = value});
    }
    (void)Must(bench.log().AppendAsLeader(Must(batch.Build()), LeaderEpoch(0)));
  }
  const storage::FlushTarget target = bench.log().PrepareFlush();
  bench.log().OnFlushed(target.upto, target.Run());
}

// The cleaner over 64 MiB of which a quarter stays.
void Compact(benchmark::State& state) {
  constexpr size_t kMib = 64;
  BenchLog bench;
  bench.options().config.segment_bytes = 8 * kMiB;
  bench.options().config.cleanup_compact = true;
  for (auto _ : state) {
    state.PauseTiming();
    bench.Remove();
    bench.Open();
    FillKeyed(bench, kMib);
    state.ResumeTiming();
    storage::CompactionRun run(
        Must(bench.log().PlanCompaction(std::nullopt, bench.log().log_end_offset())),
        {.file_system = &bench.fs(), .hasher = storage::KeyHasher(bench.random())});
    auto progress = storage::CompactionRun::Progress::kWorking;
    while (progress != storage::CompactionRun::Progress::kDone) {
      progress = Must(run.Step(2 * kMiB));
      if (progress != storage::CompactionRun::Progress::kSegmentReady) continue;
      Must(bench.log().CommitCompaction(run.ready()));
      run.OnCommitted();
    }
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kMib * kMiB));
}
BENCHMARK(Compact)->Unit(benchmark::kMillisecond)->UseRealTime();

// A batch of 4 KiB to each of so many partitions until all are durable.
void GroupCommit(benchmark::State& state) {
  const std::string batch = MakeBatch(kBatchBytes);
  Logs logs({.directory = Directory(), .partitions = static_cast<size_t>(state.range(0))});
  std::mutex mutex;
  std::condition_variable done;
  size_t left = 0;
  logs.set_on_group([&](std::span<const storage::Flushed> group) {
    std::lock_guard lock(mutex);
    left -= group.size();
    if (left == 0) done.notify_all();
  });
  for (auto _ : state) {
    left = logs.partitions().size();
    for (const PartitionPtr& partition : logs.partitions()) partition->Append(batch);
    logs.SubmitAll();
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return left == 0; });
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  Must(NewPosixFileSystem()->RemoveAll(Directory()));
}
BENCHMARK(GroupCommit)->Arg(1)->Arg(10)->Arg(100)->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace sluice::bench

BENCHMARK_MAIN();
