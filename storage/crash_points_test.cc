// Every crash point of short random scripts: the process stops at each change that it makes to the
// disk, the rest of the script never happens, and then either the machine lives on (SIGKILL) or the
// power is cut; half of the starts fall into a further crash. What the next start finds must be
// what was acknowledged, and go on working; a view that is put back to where it was durable must
// come out right when it reads on. SLUICE_CRASH_POINTS sets how many are tried; a failure names its
// seed and its change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "storage/testing/crash_script.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::FileFault;
using ::sluice::testing::FileOperation;
using ::sluice::testing::SimFileSystem;
using testing::Allowed;
using testing::CrashScript;
using testing::KeyedRecord;
using testing::ModelBatch;
using testing::SeenBatch;

#if defined(__SANITIZE_ADDRESS__)
constexpr int kCrashPoints = 2000;  // each takes ten times as long
#else
constexpr int kCrashPoints = 20000;
#endif

struct Range {
  int64_t start;
  int64_t end;
  bool Shows(const SeenBatch& batch) const { return batch.last >= start && batch.last < end; }
};

std::vector<SeenBatch> BatchesOf(const std::vector<ModelBatch>& batches, const Range& range) {
  std::vector<SeenBatch> shown;
  for (const ModelBatch& batch : batches) {
    if (range.Shows(batch.seen)) shown.push_back(batch.seen);
  }
  return shown;
}

std::vector<KeyedRecord> RecordsOf(const std::vector<ModelBatch>& batches, const Range& range) {
  std::vector<KeyedRecord> records;
  for (const ModelBatch& batch : batches) {
    if (range.Shows(batch.seen))
      records.insert(records.end(), batch.records.begin(), batch.records.end());
  }
  return records;
}

// Of `expected` only what a newer record of the key replaced may be gone, and old tombstones.
void CheckCompacted(const Allowed& allowed, const std::vector<KeyedRecord>& expected,
                    const std::vector<KeyedRecord>& found) {
  std::map<std::string, int64_t> last;
  for (const KeyedRecord& record : expected) {
    if (record.offset < allowed.cleaned_max) last[record.key] = record.offset;
  }
  auto next = found.begin();
  for (const KeyedRecord& record : expected) {
    if (next != found.end() && next->offset == record.offset) {
      ASSERT_EQ(*next++, record);
      continue;
    }
    ASSERT_LT(record.offset, allowed.cleaned_max) << record << " was never cleaned, and is gone";
    const bool deleted = record.offset < allowed.start;
    const bool old = !record.value && record.offset < allowed.tombstones_from;
    ASSERT_TRUE(deleted || old || last[record.key] > record.offset)
        << record << " is gone for nothing";
  }
  ASSERT_EQ(next, found.end()) << *next << " was never written there";
}

// The view, put back to its last flush, reads on.
void CheckView(const CrashScript& script, const std::vector<ModelBatch>& found, const Range& log) {
  const auto applied = script.view_applied();
  // Of deleted records it does not learn; and one that is ahead of the log is made again.
  if (!applied || *applied < log.start || *applied > log.end) return;
  testing::Entries view = script.View(), expected;
  CrashScript::Apply(found, *applied, log.end, view);
  CrashScript::Apply(script.allowed().batches, 0, log.end, expected);
  ASSERT_EQ(view, expected) << "applied up to " << *applied << ", log " << log.start << ".."
                            << log.end;
}

// What the next start finds after `script` has run.
void CheckNextStart(CrashScript& script, SimFileSystem& fs, uint64_t seed, bool power_cut) {
  fs.ClearFaults();
  Random random(seed);
  const auto crash = [&](bool by_power_cut) {
    script.Die();
    if (by_power_cut)
      fs.Crash(random);
    else
      fs.KillProcess();
  };
  crash(power_cut);
  bool host_restarted = power_cut;
  if (random.Chance(1, 2)) {
    // A start that falls into the next crash. The boot id is kept only by one that came to its end.
    fs.StopAfter(static_cast<int64_t>(random.Below(12)));
    const bool started = script.Open(host_restarted).ok();
    const bool again = random.Chance(1, 3);
    crash(again);
    host_restarted = again || (host_restarted && !started);
    power_cut = power_cut || again;
  }
  const Status opened = script.Open(host_restarted);
  ASSERT_TRUE(opened.ok()) << opened.ToString();
  const Allowed& allowed = script.allowed();
  const Range log{script.log().log_start_offset().value(), script.log().log_end_offset().value()};
  EXPECT_LE(log.start, std::max(allowed.start_max, log.end));
  EXPECT_GE(log.end, power_cut ? allowed.end_min_after_power_cut : allowed.end_min_after_kill);
  const auto read = script.ReadAll();
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  const std::vector<ModelBatch>& found = *read;
  if (script.compacts())
    CheckCompacted(allowed, RecordsOf(allowed.batches, log), RecordsOf(found, log));
  else
    ASSERT_EQ(BatchesOf(found, log), BatchesOf(allowed.batches, log))
        << log.start << ".." << log.end;
  CheckView(script, found, log);
  if (::testing::Test::HasFailure()) return;

  // It goes on where it ended.
  const auto outcome = script.log().AppendAsLeader(testing::MakeBatch(), LeaderEpoch(1000));
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->info.first_offset, Offset(log.end));
  EXPECT_EQ(script.ReadAll()->back().seen.base, log.end);
}

// The process stops at change `change` of the script of `seed`.
void CrashAt(uint64_t seed, int64_t change, bool power_cut) {
  SimFileSystem fs;
  CrashScript script(seed, fs);
  script.Run({.changes = change});
  CheckNextStart(script, fs, seed * 1000003 + static_cast<uint64_t>(change), power_cut);
}

TEST(CrashPointsTest, EveryStartFindsWhatWasAcknowledged) {
  FLAGS_minloglevel = google::GLOG_FATAL;  // crashes are the subject here
  const char* wanted = std::getenv("SLUICE_CRASH_POINTS");
  const int points_wanted = wanted == nullptr ? kCrashPoints : std::atoi(wanted);
  int points = 0;
  for (uint64_t seed = 1; points < points_wanted; ++seed) {
    SimFileSystem fs;
    CrashScript whole(seed, fs);
    whole.Run({});
    const int64_t changes = whole.changes();
    for (int64_t change = 0; change < changes; ++change) {
      for (const bool power_cut : {false, true}) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", change " + std::to_string(change) +
                     (power_cut ? ", power cut" : ", kill"));
        CrashAt(seed, change, power_cut);
        if (::testing::Test::HasFailure()) return;
        ++points;
      }
    }
  }
  RecordProperty("crash_points", points);
}

// The n-th call of each kind fails, once: with EIO, after which the process ends, or for want of
// room, after which it lives on where the log does. False: the script makes no such call.
bool FailAt(uint64_t seed, const FileFault& fault, bool power_cut) {
  SimFileSystem fs;
  CrashScript script(seed, fs);
  script.Run({.fault = fault});
  if (fs.faults_left()) return false;
  CheckNextStart(script, fs, seed * 1000003 + static_cast<uint64_t>(fault.skip), power_cut);
  return true;
}

TEST(CrashPointsTest, EveryCallMayFail) {
  FLAGS_minloglevel = google::GLOG_FATAL;  // failing disks are the subject here
  constexpr uint64_t kSeeds = 24;
  int failures = 0;
  for (const FileOperation operation :
       {FileOperation::kOpen, FileOperation::kRead, FileOperation::kWrite, FileOperation::kTruncate,
        FileOperation::kSync, FileOperation::kSyncDirectory, FileOperation::kSyncFileSystem,
        FileOperation::kRename, FileOperation::kRemove, FileOperation::kList}) {
    for (const Status& status : {Status::IoError("EIO"), Status::DiskFull("ENOSPC")}) {
      for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        bool fails = true;
        for (int skip = 0; fails; ++skip) {
          for (const bool power_cut : {false, true}) {
            SCOPED_TRACE("seed " + std::to_string(seed) + ", operation " +
                         std::to_string(static_cast<int>(operation)) + ", skip " +
                         std::to_string(skip) + ", " + status.message() +
                         (power_cut ? ", power cut" : ", kill"));
            fails = FailAt(seed, {operation, "", status, skip}, power_cut);
            if (::testing::Test::HasFailure()) return;
            failures += fails ? 1 : 0;
          }
        }
      }
    }
  }
  EXPECT_GT(failures, 5000);
}

}  // namespace
}  // namespace sluice::storage
