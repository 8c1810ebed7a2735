// Compaction alone, without a broker: fills a log with records of 100-byte values under random
// keys, or takes one that is there, then runs the cleaner over it and prints what it took as one
// line of JSON. The directory is laid out as a broker's, so that Kafka's cleaner can be given a
// copy of it.
//
//   bench_compaction fill DIR GIB KEYS      writes DIR/bench-0
//   bench_compaction clean DIR MAP_MIB      cleans DIR/bench-0 with a map of at most so many MiB
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "kafka/record_batch_builder.h"
#include "storage/compaction/compaction_run.h"
#include "storage/log.h"

namespace sluice {
namespace {

constexpr int64_t kSegmentBytes = 256 << 20;
constexpr int kBatchRecords = 128;  // some 16 KB: the Java producer's batch.size
constexpr size_t kValueBytes = 100;
constexpr uint64_t kStepBytes = 2 << 20;

storage::LogOptions OptionsFor(const std::string& directory, FileSystem& fs, const Clock& clock) {
  storage::LogOptions options;
  options.directory = directory + "/bench-0";
  options.config.segment_bytes = kSegmentBytes;
  options.config.cleanup_compact = true;
  options.file_system = &fs;
  options.clock = &clock;
  return options;
}

Status Fill(const std::string& directory, double gib, uint64_t keys) {
  const auto fs = NewPosixFileSystem();
  const SystemClock clock;
  SLUICE_ASSIGN_OR_RETURN(const auto log, storage::Log::Open(OptionsFor(directory, *fs, clock)));
  Random random(1);
  std::string value(kValueBytes, 'v');
  while (static_cast<double>(log->size_bytes()) < gib * (1 << 30)) {
    kafka::RecordBatchBuilder batch({});
    for (int i = 0; i < kBatchRecords; ++i) {
      char key[16];
      std::snprintf(key, sizeof key, "%011llu",
                    static_cast<unsigned long long>(random.Below(keys)));
      for (size_t at = 0; at < kValueBytes; at += 8)
        value[at] = static_cast<char>('a' + random.Below(26));
      batch.Append({.timestamp_ms = clock.WallMs(), .key = key, .value = value, .headers = {}});
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, batch.Build());
    SLUICE_RETURN_IF_ERROR(log->AppendAsLeader(bytes, LeaderEpoch(0)).status());
  }
  std::printf("{\"bytes\": %llu, \"records\": %lld}\n",
              static_cast<unsigned long long>(log->size_bytes()),
              static_cast<long long>(log->log_end_offset().value()));
  return log->Close();
}

Status Clean(const std::string& directory, uint64_t map_bytes) {
  const auto fs = NewPosixFileSystem();
  const SystemClock clock;
  storage::LogOptions options = OptionsFor(directory, *fs, clock);
  options.clean = true;
  SLUICE_ASSIGN_OR_RETURN(const auto log, storage::Log::Open(std::move(options)));
  Random random = Random::FromSystem();
  const uint64_t before = log->size_bytes();
  const int64_t begin = clock.SteadyMicros();
  std::optional<Offset> cleaned_upto;
  int runs = 0;
  storage::CompactionRun::Stats stats;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(auto plan, log->PlanCompaction(cleaned_upto, log->log_end_offset()));
    if (plan.survey.cleanable_bytes == 0) break;
    storage::CompactionRun run(std::move(plan), {.file_system = fs.get(),
                                                 .map_bytes_max = map_bytes,
                                                 .hasher = storage::KeyHasher(random)});
    auto progress = storage::CompactionRun::Progress::kWorking;
    while (progress != storage::CompactionRun::Progress::kDone) {
      SLUICE_ASSIGN_OR_RETURN(progress, run.Step(kStepBytes));
      if (progress != storage::CompactionRun::Progress::kSegmentReady) continue;
      SLUICE_RETURN_IF_ERROR(log->CommitCompaction(run.ready()));
      run.OnCommitted();
    }
    cleaned_upto = run.cleaned_upto();
    stats.bytes_read += run.stats().bytes_read;
    stats.bytes_written += run.stats().bytes_written;
    ++runs;
  }
  const double seconds = static_cast<double>(clock.SteadyMicros() - begin) / 1e6;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"seconds\": %.2f, \"runs\": %d, \"bytes_before\": %llu, \"bytes_after\": %llu, "
      "\"bytes_read\": %llu, \"bytes_written\": %llu, \"log_mb_per_s\": %.1f, "
      "\"peak_rss_mb\": %.1f}\n",
      seconds, runs, static_cast<unsigned long long>(before),
      static_cast<unsigned long long>(log->size_bytes()),
      static_cast<unsigned long long>(stats.bytes_read),
      static_cast<unsigned long long>(stats.bytes_written),
      static_cast<double>(before) / 1e6 / seconds, static_cast<double>(usage.ru_maxrss) / 1024);
  return log->Close();
}

Status Run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 4 && arguments[0] == "fill")
    return Fill(arguments[1], std::stod(arguments[2]), std::stoull(arguments[3]));
  if (arguments.size() == 3 && arguments[0] == "clean")
    return Clean(arguments[1], std::stoull(arguments[2]) << 20);
  return Status::InvalidArgument("bench_compaction fill DIR GIB KEYS | clean DIR MAP_MIB");
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  const sluice::Status outcome = sluice::Run({argv + 1, argv + argc});
  if (outcome.ok()) return 0;
  std::fprintf(stderr, "%s\n", outcome.ToString().c_str());
  return 1;
}
