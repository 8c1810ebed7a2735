// cold_look_up: how many bytes a look-up by time, and one by offset, takes from the disk when
// nothing of the log is in memory. Prints numbers and asserts nothing.
//
//   bench_cold_look_up DIR [BATCH_BYTES [LOOK_UPS]]
//
// Writes a segment of 1 GiB in DIR (which it empties) and asks as the broker does: whatever is
// lacking is read by somebody else, then asked again. "read" is read_bytes of /proc/self/io, "asked
// for" what the look-up said to be lacking; "clean start" includes what opening the segment takes.
//
// Thread rule: one thread.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "kafka/record_batch_builder.h"
#include "storage/log.h"
#include "storage/no_waiting.h"

namespace sluice::storage {
namespace {

constexpr int64_t kSegmentBytes = 1 << 30;
constexpr int64_t kStartMs = 1'700'000'000'000;

template <typename T>
T Must(Result<T> result) {
  CHECK(result.ok()) << result.status().ToString();
  return std::move(*result);
}
void Must(const Status& status) { CHECK(status.ok()) << status.ToString(); }

uint64_t BytesReadFromDisk() {
  std::ifstream io("/proc/self/io");
  for (std::string line; std::getline(io, line);) {
    if (line.rfind("read_bytes: ", 0) == 0) return std::strtoull(line.c_str() + 12, nullptr, 10);
  }
  return 0;
}

struct Cost {
  uint64_t read_bytes = 0;
  uint64_t asked_bytes = 0;
  int rounds = 0;
  int64_t micros = 0;
};

class Bench {
 public:
  Bench(std::string directory, size_t batch_bytes)
      : directory_(std::move(directory)), batch_bytes_(batch_bytes) {}

  void Fill() {
    Must(fs_->RemoveAll(directory_));
    Open(/*clean=*/false);
    Random random(1);
    // Records of 1,000 bytes, or one of less.
    const size_t records = std::max<size_t>(1, batch_bytes_ / 1000);
    const std::string value(batch_bytes_ / records - 10, 'v');
    while (log_->size_bytes() + 2 * batch_bytes_ < static_cast<uint64_t>(kSegmentBytes)) {
      kafka::RecordBatchBuilder builder{kafka::RecordBatchOptions{}};
      for (size_t i = 0; i < records; ++i) {
        last_ms_ += random.Between(0, 20);
        builder.Append({.timestamp_ms = last_ms_, .value = value});
      }
      Must(log_->AppendAsLeader(Must(builder.Build()), LeaderEpoch(0)));
    }
    std::printf("%llu bytes, %lld records in batches of about %zu bytes\n",
                static_cast<unsigned long long>(log_->size_bytes()),
                static_cast<long long>(log_->log_end_offset().value()), batch_bytes_);
    Reopen();
  }

  void Measure(int look_ups, bool reopen) {
    Random random(2);
    std::vector<Cost> by_time, by_offset;
    for (int i = 0; i < look_ups; ++i) {
      const int64_t wanted_ms = random.Between(kStartMs, last_ms_);
      by_time.push_back(CostOf(
          reopen, [&] { return log_->FindTimestamp(wanted_ms, Offset(INT64_MAX)).status(); }));
      const Offset wanted(random.Between(0, log_->log_end_offset().value() - 1));
      by_offset.push_back(CostOf(
          reopen, [&] { return log_->Read(wanted, 1 << 20, Offset(INT64_MAX), true).status(); }));
    }
    const char* const when = reopen ? "after a clean start" : "segment known";
    Print(std::string("by time, ") + when, by_time);
    Print(std::string("by offset, ") + when, by_offset);
  }

 private:
  void Open(bool clean) {
    LogOptions options;
    options.directory = directory_;
    options.topic_id = Uuid::FromBytes("0123456789abcdef");
    options.config.segment_bytes = kSegmentBytes;
    options.file_system = fs_.get();
    options.clock = &clock_;
    options.clean = clean;
    if (clean) options.recovery_point = end_;
    log_ = Must(Log::Open(std::move(options)));
  }
  void Reopen() {
    Must(log_->Close());
    end_ = log_->log_end_offset();
    log_.reset();
    Open(/*clean=*/true);
  }
  void DropCaches() {
    for (const std::string& name : Must(fs_->List(directory_))) {
      const auto file = Must(fs_->Open(directory_ + "/" + name, OpenMode::kReadWrite));
      const uint64_t size = Must(file->Size());
      Must(file->Sync());
      file->WontRead(0, (size / 4096 + 1) * 4096);
      CHECK(size == 0 || !file->InMemory(0, size)) << name << " stays in memory";
    }
  }
  Cost CostOf(bool reopen, const std::function<Status()>& ask) {
    if (reopen) Reopen();
    DropCaches();
    Cost cost;
    const uint64_t read_before = BytesReadFromDisk();
    const int64_t start = clock_.SteadyMicros();
    for (;; ++cost.rounds) {
      Lacking lacking;
      {
        const NoWaiting scope(*log_, &lacking);
        const Status status = ask();
        if (status.ok()) break;
        CHECK(status.code() == StatusCode::kWouldWait) << status.ToString();
      }
      cost.asked_bytes += lacking.slice.size_bytes;
      std::string bytes(lacking.slice.size_bytes, '\0');
      lacking.slice.file->WillRead(lacking.slice.offset, lacking.slice.size_bytes);
      Must(lacking.slice.file->ReadAt(lacking.slice.offset, bytes.data(), bytes.size()).status());
    }
    cost.micros = clock_.SteadyMicros() - start;
    cost.read_bytes = BytesReadFromDisk() - read_before;
    return cost;
  }
  static void Print(const std::string& what, std::vector<Cost> costs) {
    const auto line = [&](const char* name, auto field, double unit) {
      std::vector<double> values;
      for (const Cost& cost : costs) values.push_back(static_cast<double>(cost.*field) / unit);
      std::sort(values.begin(), values.end());
      std::printf("  %s %.1f / %.1f", name, values[values.size() / 2], values.back());
    };
    std::printf("%-32s median / most:", what.c_str());
    line("read KiB", &Cost::read_bytes, 1024);
    line(" asked for KiB", &Cost::asked_bytes, 1024);
    line(" reads", &Cost::rounds, 1);
    line(" ms", &Cost::micros, 1000);
    std::printf("\n");
  }

  const std::string directory_;
  const size_t batch_bytes_;
  const std::unique_ptr<FileSystem> fs_ = NewPosixFileSystem();
  const SystemClock clock_;
  std::unique_ptr<Log> log_;
  Offset end_;
  int64_t last_ms_ = kStartMs;
};

}  // namespace
}  // namespace sluice::storage

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: bench_cold_look_up DIR [BATCH_BYTES [LOOK_UPS]]\n");
    return 2;
  }
  const size_t batch_bytes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 16384;
  const int look_ups = argc > 3 ? std::atoi(argv[3]) : 100;
  sluice::storage::Bench bench(std::string(argv[1]) + "/old-0", batch_bytes);
  bench.Fill();
  bench.Measure(look_ups, /*reopen=*/false);
  bench.Measure(look_ups, /*reopen=*/true);
  return 0;
}
