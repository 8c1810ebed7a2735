// The bars of the storage engine that have a bare counterpart on the same disk, each side in turns
// within one run; medians of the rounds' ratios, as a table and as one line of JSON.
//
//   bench_storage_figures DIR [append] [writers] [each] [large]     all four when none is named
//   bench_storage_figures DIR smoke                                  one tiny round of each
//
// append: 1 MiB batches checked and appended, no flush, beside write(2) of the same bytes.
// writers: 64 writers of 4 KiB batches in fsync mode, beside a loop that writes and syncs the
//          groups that came of it.
// each: a 4 KiB batch to each of 100 and of 1,000 partitions until all are durable, beside one
//       write and fdatasync of one file.
// large: six writers of 1 MiB batches in fsync mode, beside write and fdatasync of each MiB.
//
// Prints numbers and asserts nothing. Thread rule: one thread, and those of what it measures.

#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>

#include "bench/storage/support.h"
#include "bench/storage/writers.h"
#include "storage/batch_header.h"

namespace sluice::bench {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr size_t kSmallBatch = 4096;
constexpr size_t kLoops = 2;  // as a broker on two cores

struct Sizes {
  size_t rounds = 15;
  size_t append_mib = 512;  // a round
  size_t writers_appends = 12800;
  size_t each_repeats = 20;  // a round
  std::vector<size_t> each_partitions = {100, 1000};
  size_t large_appends = 120;
};
constexpr size_t kWriters = 64;
constexpr size_t kLargeWriters = 6;

class Report {
 public:
  Report() { std::printf("%-58s %10s  %s\n", "what", "median", "bar"); }
  void Row(const std::string& key, const std::string& what, double value, const std::string& bar) {
    std::printf("%-58s %10.3f  %s\n", what.c_str(), value, bar.c_str());
    std::fflush(stdout);
    json_ << (json_.tellp() > 0 ? ", " : "") << '"' << key << "\": " << value;
  }
  void End() { std::printf("{%s}\n", json_.str().c_str()); }

 private:
  std::ostringstream json_;
};

constexpr size_t kSegmentMib = 64;

// Seconds in write(2), of a MiB each, into one file after another.
double PlainWrites(const std::string& directory, size_t mib, std::string_view batch) {
  PlainFiles files;
  const double begin = Now();
  for (size_t i = 0; i < mib; ++i) {
    if (i % kSegmentMib == 0)
      files.push_back(std::make_unique<PlainFile>(directory + "/plain-" + std::to_string(i)));
    files.back()->Write(batch);
  }
  return Now() - begin;
}

// A log that rolls at 64 MiB, and files of that size. What a round wrote is removed after it, so
// that both sides write into pages that were in use before.
void MeasureAppend(const std::string& directory, const Sizes& sizes, Report& report) {
  const std::string batch = MakeBatch(kMiB);
  LogsOptions options{.directory = directory + "/logs"};
  options.config.segment_bytes = static_cast<int64_t>(kSegmentMib * kMiB);
  Logs logs(options);
  Partition& partition = *logs.partitions().front();
  std::vector<double> ratios, crc_ratios, ours_mib_s, plain_mib_s;
  for (size_t round = 0; round <= sizes.rounds; ++round) {
    const double plain = PlainWrites(directory, sizes.append_mib, batch);
    double begin = Now();
    for (size_t i = 0; i < sizes.append_mib; ++i) {
      CHECK(storage::BatchChecksumHolds(batch));
      (void)Must(partition.log().AppendAsLeader(batch, LeaderEpoch(0)));
    }
    const double with_crc = Now() - begin;
    logs.Empty();
    begin = Now();
    for (size_t i = 0; i < sizes.append_mib; ++i) partition.Append(batch);
    const double whole = Now() - begin;
    logs.Empty();
    if (round == 0) continue;  // fills the page cache
    crc_ratios.push_back(plain / with_crc);
    ratios.push_back(plain / whole);
    ours_mib_s.push_back(static_cast<double>(sizes.append_mib) / with_crc);
    plain_mib_s.push_back(static_cast<double>(sizes.append_mib) / plain);
  }
  report.Row("append_ratio", "checksum and append, 1 MiB: rate beside plain write",
             Median(crc_ratios), ">= 0.70");
  report.Row("append_checked_ratio", "  with all of a leader's checks, records of 1 KiB",
             Median(ratios), "");
  report.Row("append_mib_per_s", "  MiB/s", Median(ours_mib_s), "");
  report.Row("append_plain_mib_per_s", "  plain MiB/s", Median(plain_mib_s), "");
}

// The same groups, written and flushed the same way by one thread that does nothing else.
double Replay(const std::vector<size_t>& groups, PlainFiles& files, std::string_view batch) {
  size_t next = 0;
  const double begin = Now();
  for (const size_t group : groups) {
    PlainFile& first = *files[next];
    for (size_t i = 0; i < group; ++i) {
      files[next]->Write(batch);
      next = (next + 1) % files.size();
    }
    if (group == 1)
      first.Sync();
    else
      first.SyncFileSystem();
  }
  return Now() - begin;
}

void MeasureWriters(const std::string& directory, const Sizes& sizes, Report& report) {
  const std::string batch = MakeBatch(kSmallBatch);
  Logs logs({.directory = directory + "/logs", .partitions = kWriters});
  PlainFiles files = MakePlainFiles(directory + "/plain", kWriters);
  Writers writers(logs, batch, kLoops);
  std::vector<double> ratios, per_flush, rates, p50, p99;
  for (size_t round = 0; round <= sizes.rounds; ++round) {
    (void)writers.Run(kWriters);  // the names of new files become durable with it
    const WritersResult ours = writers.Run(sizes.writers_appends);
    const double plain = Replay(ours.groups, files, batch);
    logs.Empty();
    for (const auto& file : files) file->Empty();
    if (round == 0) continue;
    const auto appends = static_cast<double>(ours.appends);
    ratios.push_back(plain / ours.seconds);
    per_flush.push_back(appends / static_cast<double>(ours.groups.size()));
    rates.push_back(appends / ours.seconds);
    p50.push_back(Median(ours.latencies_ms));
    p99.push_back(Quantile(ours.latencies_ms, 0.99));
  }
  report.Row("writers_per_flush", "64 writers of 4 KiB: appends in each flush", Median(per_flush),
             ">= 16");
  report.Row("writers_ratio", "  rate beside the same groups in a bare loop", Median(ratios),
             ">= 0.80");
  report.Row("writers_per_s", "  appends/s", Median(rates), "");
  report.Row("writers_p50_ms", "  p50 ms", Median(p50), "");
  report.Row("writers_p99_ms", "  p99 ms", Median(p99), "");
}

void MeasureEach(const std::string& directory, const Sizes& sizes, Report& report) {
  const std::string batch = MakeBatch(kSmallBatch);
  for (const size_t count : sizes.each_partitions) {
    Logs logs({.directory = directory + "/logs", .partitions = count});
    PlainFiles files = MakePlainFiles(directory + "/plain", count);
    EachRun each(logs);
    std::vector<double> ratios, bare_ratios, ours_ms, one_ms;
    for (size_t round = 0; round <= sizes.rounds; ++round) {
      std::vector<double> one, ours, bare;
      for (size_t i = 0; i < sizes.each_repeats; ++i) {
        double begin = Now();
        files.front()->Write(batch);
        files.front()->Sync();
        one.push_back(Now() - begin);
        ours.push_back(each.Run(batch));
        begin = Now();
        for (const auto& file : files) file->Write(batch);
        files.front()->SyncFileSystem();
        bare.push_back(Now() - begin);
      }
      if (round == 0) continue;  // the files' names become durable in it
      ratios.push_back(Median(ours) / Median(one));
      bare_ratios.push_back(Median(bare) / Median(one));
      ours_ms.push_back(Median(ours) * 1e3);
      one_ms.push_back(Median(one) * 1e3);
    }
    const std::string n = std::to_string(count);
    report.Row("each_" + n + "_ratio", "4 KiB to each of " + n + ": p50, in single fdatasyncs",
               Median(ratios), count == 1000 ? "<= 120" : "<= 16");
    report.Row("each_" + n + "_bare_ratio", "  the same by a bare loop and one syncfs",
               Median(bare_ratios), "");
    report.Row("each_" + n + "_ms", "  p50 ms", Median(ours_ms), "");
    report.Row("each_" + n + "_one_ms", "  one write and fdatasync, p50 ms", Median(one_ms), "");
  }
}

void MeasureLarge(const std::string& directory, const Sizes& sizes, Report& report) {
  const std::string batch = MakeBatch(kMiB);
  Logs logs({.directory = directory + "/logs", .partitions = kLargeWriters});
  PlainFiles files = MakePlainFiles(directory + "/plain", kLargeWriters);
  Writers writers(logs, batch, kLoops);
  std::vector<double> ratios, ours_mib_s, plain_mib_s;
  for (size_t round = 0; round <= sizes.rounds; ++round) {
    (void)writers.Run(kLargeWriters);
    const WritersResult ours = writers.Run(sizes.large_appends);
    const double begin = Now();
    for (size_t i = 0; i < ours.appends; ++i) {
      files[i % files.size()]->Write(batch);
      files[i % files.size()]->Sync();
    }
    const double plain = Now() - begin;
    logs.Empty();
    for (const auto& file : files) file->Empty();
    if (round == 0) continue;
    const auto mib = static_cast<double>(ours.appends);
    ratios.push_back(plain / ours.seconds);
    ours_mib_s.push_back(mib / ours.seconds);
    plain_mib_s.push_back(mib / plain);
  }
  report.Row("large_ratio", "1 MiB into 6 partitions: rate beside write + fdatasync",
             Median(ratios), ">= 0.85");
  report.Row("large_mib_per_s", "  MiB/s", Median(ours_mib_s), "");
  report.Row("large_plain_mib_per_s", "  plain MiB/s", Median(plain_mib_s), "");
}

int Run(const std::string& directory, std::set<std::string> wanted) {
  Sizes sizes;
  if (wanted.erase("smoke") > 0) {
    sizes = {.rounds = 1,
             .append_mib = 8,
             .writers_appends = 256,
             .each_repeats = 2,
             .each_partitions = {20},
             .large_appends = 12};
  }
  using Measure = void (*)(const std::string&, const Sizes&, Report&);
  const std::pair<const char*, Measure> all[] = {{"append", MeasureAppend},
                                                 {"writers", MeasureWriters},
                                                 {"each", MeasureEach},
                                                 {"large", MeasureLarge}};
  Report report;
  for (const auto& [name, measure] : all) {
    if (!wanted.empty() && !wanted.contains(name)) continue;
    measure(directory + "/" + name, sizes, report);
    Must(NewPosixFileSystem()->RemoveAll(directory + "/" + name));
  }
  report.End();
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  if (argc < 2) {
    std::fprintf(stderr,
                 "usage: bench_storage_figures DIR [append] [writers] [each] [large] | smoke\n");
    return 2;
  }
  return sluice::bench::Run(argv[1], {argv + 2, argv + argc});
}
