// What the group commit's threshold and its number of threads were chosen by
// (docs/decisions/0006-group-commit.md).
//
//   bench_flush_sweep DIR bare     one 4 KiB append to each of N files until all are durable: by
//                                  fdatasync of each from one, two, four and eight threads, by
//                                  syncfs
//   bench_flush_sweep DIR writers  the product's flusher under closed-loop writers of 4 KiB, for
//                                  each number of threads and threshold
//   bench_flush_sweep DIR beside   the same with 64 MiB/s of other data, which nobody flushes,
//   being
//                                  written into the same file system
//
// Prints numbers and asserts nothing. Thread rule: one thread, and those of what it measures.

#include <cstdio>
#include <map>
#include <thread>

#include "bench/storage/support.h"
#include "bench/storage/writers.h"

namespace sluice::bench {
namespace {

constexpr size_t kBatchBytes = 4096;
constexpr int kNever = 1 << 30;  // a threshold that no group reaches

void SyncFrom(PlainFiles& files, size_t count, size_t threads) {
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) files[i]->Sync();
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

void Bare(const std::string& directory) {
  constexpr size_t kRounds = 60, kWarmUp = 3;
  const std::string batch = MakeBatch(kBatchBytes);
  std::printf("p50 / p99, ms\n%6s %15s %15s %15s %15s %15s\n", "files", "fdatasync", "2 threads",
              "4 threads", "8 threads", "syncfs");
  for (const size_t count : {1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 100, 300}) {
    PlainFiles files = MakePlainFiles(directory + "/plain", count);
    std::map<size_t, std::vector<double>> times;  // by threads; 0 = syncfs
    for (size_t round = 0; round < kRounds + kWarmUp; ++round) {
      for (const size_t threads : {1, 2, 4, 8, 0}) {
        const double begin = Now();
        for (const auto& file : files) file->Write(batch);
        if (threads == 0)
          files.front()->SyncFileSystem();
        else
          SyncFrom(files, count, threads);
        if (round >= kWarmUp) times[threads].push_back((Now() - begin) * 1e3);
      }
    }
    std::printf("%6zu", count);
    for (const size_t threads : {1, 2, 4, 8, 0})
      std::printf(" %7.2f/%7.2f", Median(times[threads]), Quantile(times[threads], 0.99));
    std::printf("\n");
    std::fflush(stdout);
  }
}

// Writes into a file of its own, at a steady rate, what only the kernel will bring to the disk.
class OtherData {
 public:
  OtherData(const std::string& path, size_t mib_per_s)
      : file_(path), thread_([this, mib_per_s] {
          constexpr size_t kMiB = size_t{1} << 20;
          const std::string bytes(kMiB, 'o');
          const double begin = Now();
          size_t written = 0;
          while (!stop_) {
            if (static_cast<double>(written) < (Now() - begin) * static_cast<double>(mib_per_s)) {
              if (written % 256 == 255) file_.Empty();
              file_.Write(bytes);
              ++written;
            } else {
              std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
          }
        }) {}
  ~OtherData() {
    stop_ = true;
    thread_.join();
  }

 private:
  PlainFile file_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

struct Setting {
  int threads;
  int threshold;
};

std::string NameOf(int threshold) {
  return threshold == kNever ? "never" : std::to_string(threshold);
}

void Flushers(const std::string& directory, const std::vector<Setting>& settings, size_t rounds) {
  const std::string batch = MakeBatch(kBatchBytes);
  std::printf("%7s %7s %9s %10s %10s %9s %9s\n", "writers", "threads", "threshold", "appends/s",
              "per flush", "p50 ms", "p99 ms");
  for (const size_t count : {1, 2, 4, 8, 16, 32, 64, 256}) {
    std::vector<WritersResult> sums(settings.size());
    std::vector<std::vector<double>> rates(settings.size());
    for (size_t round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < settings.size(); ++i) {
        Logs logs({.directory = directory + "/logs",
                   .partitions = count,
                   .flusher_threads = settings[i].threads,
                   .syncfs_threshold = settings[i].threshold});
        Writers writers(logs, batch, 2);
        (void)writers.Run(2 * count);
        const WritersResult result = writers.Run(400 + 20 * count);
        rates[i].push_back(static_cast<double>(result.appends) / result.seconds);
        sums[i].appends += result.appends;
        sums[i].groups.insert(sums[i].groups.end(), result.groups.begin(), result.groups.end());
        sums[i].latencies_ms.insert(sums[i].latencies_ms.end(), result.latencies_ms.begin(),
                                    result.latencies_ms.end());
      }
    }
    for (size_t i = 0; i < settings.size(); ++i) {
      const Setting& setting = settings[i];
      std::printf("%7zu %7d %9s %10.0f %10.1f %9.2f %9.2f\n", count, setting.threads,
                  NameOf(setting.threshold).c_str(), Median(rates[i]),
                  static_cast<double>(sums[i].appends) / static_cast<double>(sums[i].groups.size()),
                  Median(sums[i].latencies_ms), Quantile(sums[i].latencies_ms, 0.99));
    }
    std::fflush(stdout);
  }
}

// 20 partitions at a time, five times a second: between two groups much of the other data gathers.
void Sporadic(const std::string& directory, const std::vector<Setting>& settings) {
  constexpr size_t kPartitions = 20, kRepeats = 40;
  const std::string batch = MakeBatch(kBatchBytes);
  std::printf("now and then %zu partitions\n%7s %9s %9s %9s\n", kPartitions, "threads", "threshold",
              "p50 ms", "p99 ms");
  for (const Setting& setting : settings) {
    Logs logs({.directory = directory + "/logs",
               .partitions = kPartitions,
               .flusher_threads = setting.threads,
               .syncfs_threshold = setting.threshold});
    EachRun each(logs);
    std::vector<double> times_ms;
    for (size_t i = 0; i < kRepeats; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      times_ms.push_back(each.Run(batch) * 1e3);
    }
    std::printf("%7d %9s %9.2f %9.2f\n", setting.threads, NameOf(setting.threshold).c_str(),
                Median(times_ms), Quantile(times_ms, 0.99));
    std::fflush(stdout);
  }
}

int Run(const std::string& directory, const std::string& what) {
  Must(NewPosixFileSystem()->CreateDirectories(directory));
  if (what == "bare") {
    Bare(directory);
  } else if (what == "writers") {
    std::vector<Setting> settings;
    for (const int threads : {1, 2, 4, 8}) {
      for (const int threshold : {2, 4, 8, 16, kNever}) settings.push_back({threads, threshold});
    }
    Flushers(directory, settings, 3);
  } else if (what == "beside") {
    const OtherData other(directory + "/other", 64);
    const std::vector<Setting> settings = {{2, 2}, {2, 8}, {4, 2}, {4, kNever}, {8, kNever}};
    Flushers(directory, settings, 2);
    Sporadic(directory, settings);
  } else {
    return 2;
  }
  Must(NewPosixFileSystem()->RemoveAll(directory));
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  const int outcome = argc == 3 ? sluice::bench::Run(argv[1], argv[2]) : 2;
  if (outcome == 2) std::fprintf(stderr, "usage: bench_flush_sweep DIR bare|writers|beside\n");
  return outcome;
}
