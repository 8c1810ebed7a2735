// Every kind of damage to every kind of file of a partition: after a clean stop, after a crash, and
// told by verify. What can be made again is, whatever is not understood is refused by name, and the
// .log files stay as they are. Rows that say kUntold are what cannot be known: Kafka's batches do
// not name their partition.

#include <gmock/gmock.h>

#include <algorithm>

#include "storage/compaction/plan.h"
#include "storage/file_names.h"
#include "storage/testing/inspect_fixture.h"
#include "storage/testing/log_fixture.h"
#include "storage/testing/test_batches.h"

namespace sluice::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

enum class Damage {
  kCut,    // to two thirds
  kZeros,  // of the same length
  kEmpty,
  kGone,
  kPeers,    // that of the partition whose batches lie alike
  kOthers,   // that of a partition of another topic, whose batches are longer
  kSibling,  // that of another segment
};
enum class Outcome {
  kServed,  // every record as it was, and what was damaged is made again
  kRefused,
  kUntold,  // other records than before
};
// What tells partitions apart that have the same offsets.
enum class Witness { kNone, kProducers, kEpochs };

struct Row {
  const char* name;
  std::vector<std::string_view> suffixes;  // of the files that are damaged
  Damage damage;
  Witness witness;
  bool newest;
  Outcome clean;
  Outcome crash;
  // Whether it has a finding.
  bool verify_clean = true;
  bool verify_crash = verify_clean;
};

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

constexpr int kBatches = 60;
constexpr std::string_view kEpochs = kEpochCheckpointName;
constexpr std::string_view kMetadata = kPartitionMetadataName;

class ForeignFilesTest : public testing::InspectFixture, public ::testing::WithParamInterface<Row> {
 protected:
  // orders-0 and orders-1 have batches of the same lengths and offsets; payments-0 longer ones.
  void Write() {
    const TopicId orders = Uuid::Generate(random_), payments = Uuid::Generate(random_);
    ids_ = {{"orders", orders}, {"payments", payments}};
    FillOne({"orders", PartitionIndex(0)}, 100);
    FillOne({"orders", PartitionIndex(1)}, 100);
    FillOne({"payments", PartitionIndex(0)}, 115);
  }
  void FillOne(const TopicPartition& name, size_t value_bytes) {
    const auto log = manager_->GetOrCreate(name, ids_.at(name.topic), config_).value();
    const bool peer = name.partition.value() == 1;
    const bool numbered = GetParam().witness == Witness::kProducers;
    for (int i = 0; i < kBatches; ++i) {
      testing::BatchSpec spec;
      spec.timestamp_ms = clock_.WallMs() + i * 10 + (peer ? 3 : 0);
      spec.value_bytes = value_bytes;
      spec.fill = peer ? 'p' : 'o';
      if (numbered) {
        spec.producer_id = 100 + name.partition.value();
        spec.producer_epoch = 0;
        spec.base_sequence = i;
      }
      const int epoch = GetParam().witness == Witness::kEpochs ? i / 25 + (peer ? 2 : 1) : 1;
      const auto outcome = log->AppendAsLeader(MakeBatch(spec), LeaderEpoch(epoch));
      CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone);
    }
    const FlushTarget target = log->PrepareFlush();
    log->OnFlushed(target.upto, target.Run());
  }

  void StopBy(bool crash) {
    if (!crash) return Stop();
    CHECK(manager_->WriteCheckpoints({}).ok());
    manager_.reset();
    fs_.KillProcess();
  }

  // Of the n-th segment, also where it is not there. A snapshot has the name of where it ends.
  std::string FileOf(const std::string& partition, std::string_view suffix, int n) {
    if (!suffix.starts_with(".")) return "/data/" + partition + "/" + std::string(suffix);
    if (suffix == kSnapshotSuffix) return Path(partition, suffix, n - 1);
    std::string path = Path(partition, kLogSuffix, n);
    return path.replace(path.size() - kLogSuffix.size(), kLogSuffix.size(), suffix);
  }
  void DoDamage() {
    const Row& row = GetParam();
    for (const std::string_view suffix : row.suffixes) {
      const int n = row.newest ? -1 : 1;
      const std::string file = FileOf("orders-0", suffix, n);
      // Entries of an active index may be in memory alone.
      if (!fs_.Exists(file)) continue;
      const std::string bytes = Bytes(file);
      damaged_.push_back(file);
      switch (row.damage) {
        case Damage::kCut:
          InspectFixture::Write(file, bytes.substr(0, bytes.size() * 2 / 3));
          break;
        case Damage::kZeros: InspectFixture::Write(file, std::string(bytes.size(), '\0')); break;
        case Damage::kEmpty: InspectFixture::Write(file, ""); break;
        case Damage::kGone: CHECK(fs_.Remove(file).ok()); break;
        case Damage::kPeers: Swap(file, FileOf("orders-1", suffix, n)); break;
        case Damage::kOthers: Swap(file, FileOf("payments-0", suffix, n)); break;
        case Damage::kSibling:
          damaged_.push_back(FileOf("orders-0", suffix, n - 1));
          Swap(file, damaged_.back());
          break;
      }
    }
  }

  Result<std::shared_ptr<Log>> OpenLog() {
    OpenManager();
    return manager_->GetOrCreate({"orders", PartitionIndex(0)}, ids_.at("orders"), config_);
  }
  // All that its users can ask of a log.
  struct Seen {
    Status status;
    std::string bytes;
    std::vector<int64_t> by_time;
  };
  Seen LookAt() {
    Seen seen;
    const auto log = OpenLog();
    seen.status = log.status();
    if (log.ok()) seen.status = Read(**log, seen);
    return seen;
  }
  Status Read(Log& log, Seen& seen) {
    for (int i = 0; i < kBatches; ++i) {
      SLUICE_ASSIGN_OR_RETURN(const ReadResult read, log.Read(Offset(i), 1, Offset(i + 1), true));
      seen.bytes += testing::BytesOf(read);
      SLUICE_ASSIGN_OR_RETURN(const auto found,
                              log.FindTimestamp(clock_.WallMs() + i * 10, Offset(kBatches)));
      seen.by_time.push_back(found ? found->offset.value() : -1);
    }
    // What the producers and the epochs are asked for.
    SLUICE_RETURN_IF_ERROR(log.PlanCompaction(std::nullopt, Offset(kBatches)).status());
    return Status::Ok();
  }
  std::map<std::string, std::string> Logs() {
    std::map<std::string, std::string> logs;
    for (const auto& [path, bytes] : Everything()) {
      if (path.ends_with(kLogSuffix)) logs[path] = bytes;
    }
    return logs;
  }

  void Run(bool crash) {
    FLAGS_minloglevel = google::GLOG_FATAL;
    Write();
    StopBy(crash);
    const Seen before = LookAt();
    ASSERT_TRUE(before.status.ok()) << before.status.ToString();
    StopBy(crash);
    ASSERT_THAT(Faults(), IsEmpty());
    DoDamage();
    const std::vector<std::string> faults = Faults();
    EXPECT_EQ(!faults.empty(), crash ? GetParam().verify_crash : GetParam().verify_clean)
        << ::testing::PrintToString(faults);
    const auto logs = Logs();
    const Seen after = LookAt();
    EXPECT_EQ(Logs(), logs);
    switch (crash ? GetParam().crash : GetParam().clean) {
      case Outcome::kServed:
        ASSERT_TRUE(after.status.ok()) << after.status.ToString();
        EXPECT_EQ(after.bytes, before.bytes);
        EXPECT_EQ(after.by_time, before.by_time);
        break;
      case Outcome::kUntold:
        ASSERT_TRUE(after.status.ok()) << after.status.ToString();
        EXPECT_NE(after.bytes, before.bytes);
        break;
      case Outcome::kRefused: {
        EXPECT_FALSE(after.status.ok());
        const bool named = std::any_of(damaged_.begin(), damaged_.end(), [&](const auto& file) {
          return after.status.message().find(file) != std::string::npos;
        });
        const bool fenced = after.status.code() == StatusCode::kFenced;
        EXPECT_TRUE(named || fenced) << after.status.ToString();
        break;
      }
    }
  }

  std::map<std::string, TopicId> ids_;
  std::vector<std::string> damaged_;
};

TEST_P(ForeignFilesTest, AfterACleanStop) { Run(false); }
TEST_P(ForeignFilesTest, AfterACrash) { Run(true); }

constexpr auto kServed = Outcome::kServed;
constexpr auto kRefused = Outcome::kRefused;
constexpr auto kUntold = Outcome::kUntold;
constexpr auto kNobody = Witness::kNone;
constexpr auto kProducers = Witness::kProducers;
constexpr auto kHistory = Witness::kEpochs;
constexpr bool kSealed = false;
constexpr bool kNewest = true;

INSTANTIATE_TEST_SUITE_P(
    Logs, ForeignFilesTest,
    ::testing::Values(
        Row{"cut", {kLogSuffix}, Damage::kCut, kNobody, kSealed, kRefused, kRefused},
        Row{"zeros", {kLogSuffix}, Damage::kZeros, kNobody, kSealed, kRefused, kRefused},
        Row{"empty", {kLogSuffix}, Damage::kEmpty, kNobody, kSealed, kRefused, kRefused},
        Row{"sibling", {kLogSuffix}, Damage::kSibling, kNobody, kSealed, kRefused, kRefused},
        Row{"others", {kLogSuffix}, Damage::kOthers, kNobody, kSealed, kRefused, kRefused},
        Row{"peers", {kLogSuffix}, Damage::kPeers, kProducers, kSealed, kRefused, kRefused},
        Row{"peersEpochs", {kLogSuffix}, Damage::kPeers, kHistory, kSealed, kRefused, kRefused},
        Row{"peersAlike", {kLogSuffix}, Damage::kPeers, kNobody, kSealed, kUntold, kUntold},
        Row{"newestCut", {kLogSuffix}, Damage::kCut, kNobody, kNewest, kRefused, kRefused},
        Row{"newestZeros", {kLogSuffix}, Damage::kZeros, kNobody, kNewest, kRefused, kRefused},
        Row{"newestEmpty", {kLogSuffix}, Damage::kEmpty, kNobody, kNewest, kRefused, kRefused},
        Row{"newestPeers",
            {kLogSuffix},
            Damage::kPeers,
            kProducers,
            kNewest,
            kRefused,
            kUntold,
            true,
            false},
        Row{"newestPeersEpochs",
            {kLogSuffix},
            Damage::kPeers,
            kHistory,
            kNewest,
            kRefused,
            kRefused}),
    [](const auto& row) { return row.param.name; });

constexpr std::initializer_list<std::string_view> kWhole = {kLogSuffix, kIndexSuffix,
                                                            kTimeIndexSuffix};
INSTANTIATE_TEST_SUITE_P(
    Segments, ForeignFilesTest,
    ::testing::Values(
        Row{"peers", kWhole, Damage::kPeers, kProducers, kSealed, kRefused, kRefused},
        Row{"peersEpochs", kWhole, Damage::kPeers, kHistory, kSealed, kRefused, kRefused},
        Row{"peersAlike", kWhole, Damage::kPeers, kNobody, kSealed, kUntold, kUntold, false},
        Row{"sibling", kWhole, Damage::kSibling, kNobody, kSealed, kRefused, kRefused},
        Row{"newestPeers", kWhole, Damage::kPeers, kProducers, kNewest, kRefused, kUntold, true,
            false},
        Row{"newestPeersEpochs", kWhole, Damage::kPeers, kHistory, kNewest, kRefused, kRefused}),
    [](const auto& row) { return row.param.name; });

constexpr std::initializer_list<std::string_view> kBothIndexes = {kIndexSuffix, kTimeIndexSuffix};
INSTANTIATE_TEST_SUITE_P(
    Indexes, ForeignFilesTest,
    ::testing::Values(
        Row{"cut", {kIndexSuffix}, Damage::kCut, kNobody, kSealed, kServed, kServed},
        Row{"zeros", {kIndexSuffix}, Damage::kZeros, kNobody, kSealed, kServed, kServed},
        Row{"empty", {kIndexSuffix}, Damage::kEmpty, kNobody, kSealed, kServed, kServed, false},
        Row{"gone", {kIndexSuffix}, Damage::kGone, kNobody, kSealed, kServed, kServed},
        Row{"others", {kIndexSuffix}, Damage::kOthers, kNobody, kSealed, kServed, kServed},
        // Of batches that lie alike it is the same file.
        Row{"peers", {kIndexSuffix}, Damage::kPeers, kNobody, kSealed, kServed, kServed, false},
        Row{"timesCut", {kTimeIndexSuffix}, Damage::kCut, kNobody, kSealed, kServed, kServed},
        Row{"timesZeros", {kTimeIndexSuffix}, Damage::kZeros, kNobody, kSealed, kServed, kServed},
        Row{"timesEmpty", {kTimeIndexSuffix}, Damage::kEmpty, kNobody, kSealed, kServed, kServed},
        Row{"timesGone", {kTimeIndexSuffix}, Damage::kGone, kNobody, kSealed, kServed, kServed},
        Row{"timesPeers", {kTimeIndexSuffix}, Damage::kPeers, kNobody, kSealed, kServed, kServed},
        Row{"timesSibling",
            {kTimeIndexSuffix},
            Damage::kSibling,
            kNobody,
            kSealed,
            kServed,
            kServed},
        // Two against one: the .log or both of them.
        Row{"bothOthers", kBothIndexes, Damage::kOthers, kNobody, kSealed, kRefused, kRefused},
        Row{"bothOthersKnown", kBothIndexes, Damage::kOthers, kProducers, kSealed, kRefused,
            kRefused},
        Row{"newestGone", kBothIndexes, Damage::kGone, kNobody, kNewest, kServed, kServed, false},
        Row{"newestZeros", kBothIndexes, Damage::kZeros, kNobody, kNewest, kServed, kServed, false},
        Row{"newestTimesPeers",
            {kTimeIndexSuffix},
            Damage::kPeers,
            kNobody,
            kNewest,
            kServed,
            kServed,
            true,
            false}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Others, ForeignFilesTest,
    ::testing::Values(
        Row{"snapshotCut", {kSnapshotSuffix}, Damage::kCut, kProducers, kSealed, kServed, kServed},
        Row{"snapshotZeros",
            {kSnapshotSuffix},
            Damage::kZeros,
            kProducers,
            kSealed,
            kServed,
            kServed},
        Row{"snapshotGone",
            {kSnapshotSuffix},
            Damage::kGone,
            kProducers,
            kSealed,
            kServed,
            kServed,
            false},
        Row{"snapshotPeers",
            {kSnapshotSuffix},
            Damage::kPeers,
            kProducers,
            kSealed,
            kRefused,
            kRefused},
        Row{"epochsCut", {kEpochs}, Damage::kCut, kHistory, kSealed, kServed, kServed},
        Row{"epochsZeros", {kEpochs}, Damage::kZeros, kHistory, kSealed, kServed, kServed},
        Row{"epochsGone", {kEpochs}, Damage::kGone, kHistory, kSealed, kServed, kServed, false},
        Row{"epochsPeers", {kEpochs}, Damage::kPeers, kHistory, kSealed, kRefused, kRefused},
        Row{"metadataZeros",
            {kMetadata},
            Damage::kZeros,
            kNobody,
            kSealed,
            kServed,
            kServed,
            false},
        Row{"metadataGone", {kMetadata}, Damage::kGone, kNobody, kSealed, kServed, kServed, false},
        Row{"metadataCut", {kMetadata}, Damage::kCut, kNobody, kSealed, kServed, kServed, false},
        Row{"metadataOthers", {kMetadata}, Damage::kOthers, kNobody, kSealed, kRefused, kRefused}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace sluice::storage
