// Compaction at the log against a naive twin, and through power cuts at every step of a commit.

#include <gtest/gtest.h>

#include <map>

#include "storage/testing/log_compact_fixture.h"

namespace sluice::storage {
namespace {

using testing::kLogDirectory;
using testing::Stored;
using LogCompactTest = testing::LogCompactFixture;
using ::sluice::testing::FileOperation;

// A seeded walk: appends, runs, restarts; the twin keeps of each cleaned key the last record.
class LogCompactRandomTest : public LogCompactTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  void Step(Random& random) {
    switch (random.Below(8)) {
      case 0:
        CompactToTheEnd();
        twin_ = Naive(twin_, cleaned_upto_->value());
        break;
      case 1:
        config_.segment_bytes = 400 + static_cast<int64_t>(random.Below(3000));
        log_->set_config(config_);
        if (random.Chance(1, 2)) CloseAndReopen();
        break;
      case 2:
        Flush();
        Kill(log_->flushed_offset());
        break;
      default: Append(random); break;
    }
    ASSERT_EQ(Contents(), twin_);
  }

  // With a small map one run may know of a later record only that it is there.
  void CompactToTheEnd() {
    Flush();
    std::optional<Offset> last;
    do {
      last = cleaned_upto_;
      ASSERT_TRUE(Compact().ok());
    } while (last != cleaned_upto_);
  }

  void Append(Random& random) {
    std::vector<NewRecord> records;
    for (uint64_t i = 0, count = 1 + random.Below(6); i < count; ++i) {
      const bool tombstone = random.Chance(1, 10);
      records.push_back(
          {"k" + std::to_string(random.Below(30)),
           tombstone ? std::nullopt : std::optional(std::string(random.Below(60), 'v'))});
    }
    const auto codec = static_cast<kafka::Codec>(random.Below(5));
    int64_t offset = Put(records, -1, -1, codec).value();
    for (const NewRecord& record : records) twin_.push_back({offset++, record.key, record.value});
  }

  std::vector<Stored> twin_;
};

INSTANTIATE_TEST_SUITE_P(Seeds, LogCompactRandomTest, ::testing::Range<uint64_t>(1, 9));

TEST_P(LogCompactRandomTest, AgreesWithTheTwin) {
  Random random(GetParam());
  config_.segment_bytes = 400 + static_cast<int64_t>(random.Below(1500));
  map_bytes_ = random.Chance(1, 3) ? 16 * 24 : 1 << 20;
  Open();
  for (int i = 0; i < 400 && !HasFatalFailure(); ++i) Step(random);
}

// A power cut, or a failing disk, at the n-th rename, removal, sync and write of a run, for all n:
// what is found after the restart is the log before, or after, or with some groups done.
class LogCompactCrashTest : public LogCompactTest,
                            public ::testing::WithParamInterface<FileOperation> {};

INSTANTIATE_TEST_SUITE_P(Operations, LogCompactCrashTest,
                         ::testing::Values(FileOperation::kRename, FileOperation::kRemove,
                                           FileOperation::kSync, FileOperation::kSyncDirectory,
                                           FileOperation::kWrite, FileOperation::kOpen));

TEST_P(LogCompactCrashTest, APowerCutLosesNothing) {
  for (int nth = 0;; ++nth) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(nth) + " seed " + std::to_string(seed));
      log_.reset();
      ASSERT_TRUE(!fs_.Exists(kLogDirectory) || fs_.RemoveAll(kLogDirectory).ok());
      cleaned_upto_.reset();
      config_.segment_bytes = 600;
      Open();
      for (int i = 0; i < 70; ++i) Put({{"k" + std::to_string(i % 12), std::to_string(i)}});
      Flush();
      ASSERT_TRUE(fs_.SyncFileSystem("/").ok());
      config_.segment_bytes = 2500;  // four become one
      log_->set_config(config_);
      const auto before = Contents();
      const int64_t sealed = log_->SurveyCompaction(std::nullopt, Offset(70)).upper.value();
      const auto after = Naive(before, sealed);
      fs_.InjectFault({.operation = GetParam(), .path_part = kLogDirectory, .skip = nth});
      const Status outcome = Compact();
      fs_.ClearFaults();
      Random random(seed);
      log_.reset();
      fs_.Crash(random);
      LogOptions options = Options();
      options.recovery_point = Offset(seed % 2 == 0 ? 70 : 0);
      Open(options);
      ASSERT_EQ(log_->log_end_offset(), Offset(70));
      const auto found = Contents();
      std::map<int64_t, Stored> original;
      for (const Stored& record : before) original.emplace(record.offset, record);
      for (const Stored& record : found) ASSERT_EQ(original.at(record.offset), record);
      for (const Stored& record : after)
        ASSERT_NE(std::find(found.begin(), found.end(), record), found.end()) << record;
      for (const std::string& name : Files()) {
        for (const std::string_view suffix : {kCleanedSuffix, kSwapSuffix, kDeletedSuffix})
          ASSERT_FALSE(name.ends_with(suffix)) << name;
      }
      // And it can be cleaned to the end now.
      Flush();
      cleaned_upto_.reset();
      ASSERT_TRUE(Compact().ok());
      ASSERT_EQ(Contents(), after);
      if (outcome.ok() && seed == 3) return;  // there is no n-th any more
    }
  }
}

}  // namespace
}  // namespace sluice::storage
