// write_log DIRECTORY: writes partitions as the product does, for Kafka's DumpLogSegments to judge:
// rolled, truncated, stopped without a close (as by SIGKILL), recovered from that, and deleted from
// the front. Prints the next offset of each: "<partition> <log start> <log end>".

#include <cstdio>
#include <map>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/random.h"
#include "kafka/record_batch_builder.h"
#include "storage/log.h"

namespace sluice::storage {
namespace {

constexpr kafka::Codec kCodecs[] = {kafka::Codec::kNone, kafka::Codec::kGzip, kafka::Codec::kSnappy,
                                    kafka::Codec::kLz4, kafka::Codec::kZstd};

class Writer {
 public:
  explicit Writer(std::string root) : root_(std::move(root)), fs_(NewPosixFileSystem()) {}

  void Rolled() {
    auto log = Open("rolled-0", 65536);
    Fill(*log, 400, LeaderEpoch(0));
    Fill(*log, 100, LeaderEpoch(3));
    Finish(*log, "rolled-0");
  }

  void OneLargeSegment() {
    auto log = Open("large-0", 1 << 30);
    Fill(*log, 3000, LeaderEpoch(1));
    Finish(*log, "large-0");
  }

  void Truncated() {
    auto log = Open("truncated-0", 65536);
    Fill(*log, 300, LeaderEpoch(0));
    CHECK(log->TruncateTo(log->log_end_offset() - 700).ok());
    Fill(*log, 200, LeaderEpoch(1));
    CHECK(log->TruncateTo(log->log_end_offset() - 3).ok());
    Finish(*log, "truncated-0");
  }

  // No close: indexes and files are as a killed process leaves them.
  void Killed(const char* partition) {
    auto log = Open(partition, 65536);
    Fill(*log, 300, LeaderEpoch(2));
    Report(*log, partition);
  }

  void KilledAndRecovered() {
    Killed("recovered-0");
    // A torn tail: the first bytes of a batch that never came.
    const std::string last = LastSegment("recovered-0");
    auto file = fs_->Open(last, OpenMode::kReadWrite);
    CHECK(file.ok() && (*file)->WriteAt((*file)->Size().value(), std::string(100, '\7')).ok());
    auto log = Open("recovered-0", 65536);
    CHECK(!log->recovery().message.empty());
    Fill(*log, 50, LeaderEpoch(4));
    Finish(*log, "recovered-0");
  }

  // Two producers whose transactions overlap; the second one's are aborted.
  void Transactions() {
    auto log = Open("transactions-0", 65536);
    for (int i = 0; i < 300; ++i) {
      for (const int64_t producer : {501, 502, 501, 502})
        Transactional(*log, producer, false, false);
      Transactional(*log, 502, true, false);
      Transactional(*log, 501, true, true);
    }
    Finish(*log, "transactions-0");
  }

  void StartAdvanced() {
    auto log = Open("advanced-0", 65536);
    Fill(*log, 300, LeaderEpoch(0));
    CHECK(log->AdvanceLogStart(log->log_end_offset() - 500).ok());
    Fill(*log, 20, LeaderEpoch(0));
    Finish(*log, "advanced-0");
  }

 private:
  std::unique_ptr<Log> Open(const std::string& partition, int64_t segment_bytes) {
    LogOptions options;
    options.directory = root_ + "/" + partition;
    options.topic_id = Uuid::Generate(random_);
    if (fs_->Exists(options.directory)) options.topic_id = TopicId();
    options.config.segment_bytes = segment_bytes;
    options.file_system = fs_.get();
    options.clock = &clock_;
    auto log = Log::Open(std::move(options));
    CHECK(log.ok()) << log.status().ToString();
    return *std::move(log);
  }

  std::string LastSegment(const std::string& partition) {
    std::string last;
    const auto names = fs_->List(root_ + "/" + partition);
    for (const std::string& name : *names) {
      if (name.ends_with(".log")) last = name;
    }
    return root_ + "/" + partition + "/" + last;
  }

  // Batches of 1 to 20 records, in every codec, from one idempotent producer, with timestamps that
  // mostly but not always grow.
  void Fill(Log& log, int batches, LeaderEpoch epoch) {
    ++producer_;
    int32_t sequence = 0;
    for (int i = 0; i < batches; ++i) {
      kafka::RecordBatchBuilder builder({.codec = kCodecs[random_.Below(5)],
                                         .producer_id = ProducerId(producer_),
                                         .producer_epoch = 0,
                                         .base_sequence = sequence});
      const int64_t records = random_.Between(1, 20);
      for (int64_t r = 0; r < records; ++r) {
        const std::string value(random_.Below(400), static_cast<char>('a' + random_.Below(26)));
        time_ms_ += random_.Between(-2, 10);
        builder.Append({.timestamp_ms = time_ms_, .key = "key", .value = value});
      }
      auto batch = builder.Build();
      CHECK(batch.ok());
      auto outcome = log.AppendAsLeader(*batch, epoch);
      CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone)
          << outcome.status().ToString();
      sequence += static_cast<int32_t>(records);
    }
  }

  // A record of an open transaction, or the marker that ends it.
  void Transactional(Log& log, int64_t producer, bool marker, bool commit) {
    kafka::RecordBatchOptions options;
    options.producer_id = ProducerId(producer);
    options.producer_epoch = 0;
    options.is_transactional = true;
    options.is_control = marker;
    if (!marker) options.base_sequence = sequences_[producer]++;
    ByteWriter key, value;
    if (marker) {
      key.PutInt16(0);  // version
      key.PutInt16(commit ? 1 : 0);
      value.PutInt16(0);  // version
      value.PutInt32(7);  // coordinator epoch
    } else {
      value.PutBytes(std::string(random_.Below(100), 't'));
    }
    kafka::RecordBatchBuilder builder(options);
    builder.Append({++time_ms_, key.view(), value.view(), {}});
    auto batch = builder.Build();
    CHECK(batch.ok());
    auto outcome = log.AppendAsLeader(*batch, LeaderEpoch(5));
    CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone) << outcome.status().ToString();
  }

  void Report(const Log& log, const char* partition) {
    std::printf("%s %lld %lld\n", partition, static_cast<long long>(log.log_start_offset().value()),
                static_cast<long long>(log.log_end_offset().value()));
  }

  void Finish(Log& log, const char* partition) {
    Report(log, partition);
    CHECK(log.Close().ok());
  }

  const std::string root_;
  std::unique_ptr<FileSystem> fs_;
  SystemClock clock_;
  Random random_{20};
  int64_t time_ms_ = clock_.WallMs();  // of a producer long silent no snapshot tells
  int64_t producer_ = 1000;
  std::map<int64_t, int32_t> sequences_;  // of the transactional ones
};

}  // namespace
}  // namespace sluice::storage

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_log DIRECTORY\n");
    return 2;
  }
  sluice::storage::Writer writer(argv[1]);
  writer.Rolled();
  writer.OneLargeSegment();
  writer.Truncated();
  writer.Killed("killed-0");
  writer.KilledAndRecovered();
  writer.StartAdvanced();
  writer.Transactions();
  return 0;
}
