#include "storage/testing/inspect_fixture.h"

#include <algorithm>

#include "storage/testing/test_batches.h"

namespace sluice::storage::testing {
namespace {

constexpr int kBatches = 90;

}  // namespace

InspectFixture::InspectFixture() {
  config_.segment_bytes = 4000;
  config_.index_interval_bytes = 200;
  config_.retention_ms = -1;
  DirectoryIdentity identity{.cluster_id = "AAAAAAAAAAAAAAAAAAAAAQ",
                             .node_id = NodeId(1),
                             .directory_id = Uuid::Generate(random_)};
  CHECK(LogManager::Format(fs_, kDataDirectory, identity).ok());
  OpenManager();
}

void InspectFixture::OpenManager() {
  manager_.reset();
  auto manager = LogManager::Open({.directory = kDataDirectory,
                                   .file_system = &fs_,
                                   .clock = &clock_,
                                   .config = config_,
                                   .recovery_threads = 1,
                                   .run_later = [](std::function<void()> task) { task(); }});
  CHECK(manager.ok()) << manager.status().ToString();
  manager_ = *std::move(manager);
}

std::string InspectFixture::Fill(const std::string& topic, int32_t partition, uint64_t seed) {
  const TopicPartition name{topic, PartitionIndex(partition)};
  auto log = manager_->GetOrCreate(name, Uuid::Generate(random_), config_);
  CHECK(log.ok()) << log.status().ToString();
  Random random(seed);
  int64_t time_ms = clock_.WallMs();
  int32_t sequence = 0;
  for (int i = 0; i < kBatches; ++i) {
    BatchSpec spec;
    spec.records = static_cast<int>(random.Between(1, 5));
    time_ms += random.Between(-3, 20);
    spec.timestamp_ms = time_ms;
    spec.value_bytes = static_cast<size_t>(random.Between(5, 60));
    spec.producer_id = static_cast<int64_t>(1000 + seed);
    spec.producer_epoch = 0;
    spec.base_sequence = sequence;
    sequence += spec.records;
    const auto epoch =
        LeaderEpoch(static_cast<int32_t>(i / (kBatches / 3) + static_cast<int>(seed)));
    const auto outcome = (*log)->AppendAsLeader(MakeBatch(spec), epoch);
    CHECK(outcome.ok() && outcome->error == kafka::ErrorCode::kNone);
  }
  return std::string(kDataDirectory) + "/" + name.ToString();
}

void InspectFixture::Stop() {
  CHECK(manager_->CloseCleanly({}, BrokerEpoch(7)).ok());
  manager_.reset();
}

void InspectFixture::FillTwo() {
  Fill("orders", 0, 1);
  Fill("payments", 0, 2);
  Stop();
}

std::vector<Finding> InspectFixture::Verify(const std::string& directory, VerifyOptions options) {
  std::vector<Finding> findings;
  const auto totals = VerifyDirectory(fs_, directory, options,
                                      [&](const Finding& finding) { findings.push_back(finding); });
  CHECK(totals.ok()) << totals.status().ToString();
  return findings;
}

std::vector<std::string> InspectFixture::Faults(const std::string& directory) {
  std::vector<std::string> faults;
  for (const Finding& finding : Verify(directory)) {
    if (finding.kind != Finding::Kind::kFault) continue;
    EXPECT_NE(finding.remedy, "") << finding.problem;
    faults.push_back(finding.file +
                     (finding.position ? "@" + std::to_string(*finding.position) : "") + ": " +
                     finding.problem);
  }
  return faults;
}

RepairTotals InspectFixture::Repair(const std::string& directory, bool dry_run) {
  const auto totals =
      RepairIndexes(fs_, directory, {.dry_run = dry_run, .index_interval_bytes = 200},
                    {.index = [](const RepairedIndex&) {}, .damage = [](const UnreadableLog&) {}});
  CHECK(totals.ok()) << totals.status().ToString();
  return *totals;
}

std::vector<std::string> InspectFixture::Names(const std::string& partition,
                                               std::string_view suffix) {
  std::vector<std::string> names = fs_.List(std::string(kDataDirectory) + "/" + partition).value();
  std::erase_if(names, [&](const std::string& name) { return !name.ends_with(suffix); });
  return names;
}

std::string InspectFixture::Path(const std::string& partition, std::string_view suffix, int n) {
  const auto names = Names(partition, suffix);
  const auto at = n >= 0 ? static_cast<size_t>(n) : names.size() - static_cast<size_t>(-n);
  CHECK_LT(at, names.size()) << partition << " " << suffix;
  return std::string(kDataDirectory) + "/" + partition + "/" + names[at];
}

std::string InspectFixture::Bytes(const std::string& path) { return ReadFile(fs_, path).value(); }

void InspectFixture::Write(const std::string& path, std::string_view bytes) {
  auto file = fs_.Open(path, OpenMode::kCreateTruncate).value();
  CHECK(file->WriteAt(0, bytes).ok());
}

void InspectFixture::Overwrite(const std::string& path, uint64_t position, std::string_view bytes) {
  auto file = fs_.Open(path, OpenMode::kReadWrite).value();
  CHECK(file->WriteAt(position, bytes).ok());
}

void InspectFixture::Swap(const std::string& one, const std::string& other) {
  const std::string bytes = Bytes(one);
  Write(one, Bytes(other));
  Write(other, bytes);
}

std::vector<std::pair<std::string, std::string>> InspectFixture::Everything() {
  std::vector<std::pair<std::string, std::string>> all;
  const std::vector<std::string> names = fs_.List(kDataDirectory).value();
  for (const std::string& name : names) {
    const std::string path = std::string(kDataDirectory) + "/" + name;
    if (!fs_.IsDirectory(path)) {
      all.emplace_back(path, Bytes(path));
      continue;
    }
    const std::vector<std::string> below = fs_.List(path).value();
    for (const std::string& file : below)
      all.emplace_back(path + "/" + file, Bytes(path + "/" + file));
  }
  return all;
}

}  // namespace sluice::storage::testing
