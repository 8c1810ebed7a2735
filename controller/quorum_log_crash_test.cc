// What a crash, a failed sync and rot leave of the metadata log: a group that was torn is cut,
// what was reported is there, and damage is told from both.
#include <gtest/gtest.h>

#include "base/random.h"
#include "controller/quorum_log.h"
#include "controller/testing/log_on_sim_disk.h"
#include "kafka/record_batch.h"
#include "kafka/record_batch_builder.h"

namespace sluice::controller {
namespace {

using raft::PersistRequest;
using sluice::testing::FileOperation;
using testing::LogOnSimDisk;

const std::string kLogPath = std::string(LogOnSimDisk::kDirectory) + "/00000000000000000000.log";
const std::string kVotePath = std::string(LogOnSimDisk::kDirectory) + "/quorum-state";

// Entries of 200 bytes from `first` on, enough of them that the group spans many sectors.
PersistRequest GroupFrom(int64_t first, Random& random) {
  PersistRequest request;
  const int64_t end = first + random.Between(8, 20);
  for (int64_t i = first; i < end; ++i)
    request.entries.push_back(LogOnSimDisk::At(i, 1, std::string(200, 'x')));
  return request;
}

// The same batches as they were written before entries had a key.
std::string WithoutKeys(const std::string& bytes) {
  std::string without;
  kafka::BatchIterator batches(bytes);
  for (auto batch = batches.Next(); batch.ok() && batch->has_value(); batch = batches.Next()) {
    kafka::RecordIterator records(**batch, (*batch)->records());
    kafka::Record record;
    EXPECT_TRUE(records.Next(record));
    kafka::RecordBatchBuilder builder(
        {.base_offset = (*batch)->base_offset(),
         .partition_leader_epoch = (*batch)->partition_leader_epoch()});
    builder.Append({.timestamp_ms = record.timestamp_ms, .value = record.value});
    without += builder.Build().value();
  }
  return without;
}

class QuorumLogCrash : public ::testing::Test, protected LogOnSimDisk {};

// Runs three groups; the process stops after so many `changes` of the third, and then the power
// goes. False when the third was done before that.
bool PowerCutInAGroup(int64_t changes, uint64_t seed) {
  LogOnSimDisk disk;
  disk.segment_bytes_ = seed % 2 == 0 ? 3000 : 1 << 20;
  Random random(seed);
  disk.Open();
  disk.Append(1, 1, 1);
  int64_t reported = 1;
  bool stopped = false;
  for (int group = 0; group < 3; ++group) {
    if (group == 2) disk.fs_.StopAfter(changes);
    const PersistRequest request = GroupFrom(reported + 1, random);
    if (disk.Persist(request).ok()) reported = request.entries.back().index.value();
    stopped = disk.fs_.stopped();
  }
  disk.Stop(&random);
  const auto opened = disk.TryOpen();
  EXPECT_TRUE(opened.ok()) << "stopped after " << changes << ", seed " << seed << ": "
                           << opened.status().ToString();
  if (!opened.ok()) return false;
  EXPECT_GE((*opened)->opened().last_index.value(), reported);
  return stopped;
}

TEST_F(QuorumLogCrash, ATornGroupIsNoDamage) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    for (int64_t changes = 0; PowerCutInAGroup(changes, seed); ++changes) ASSERT_LT(changes, 100);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST_F(QuorumLogCrash, DamageBeforeALaterGroupIsNotCutWhateverTheMarkerSays) {
  Open();
  Append(1, 1, 1);
  Stop(nullptr);
  const std::string old_marker = ReadFile(fs_, kVotePath).value();
  Open();
  Append(2, 11, 1);
  Append(12, 21, 1);
  Stop(nullptr);
  ASSERT_TRUE(WriteFileAtomically(fs_, kVotePath, old_marker).ok());
  fs_.FlipBit(kLogPath, 700, 2);
  EXPECT_EQ(TryOpen().status().code(), StatusCode::kCorruption);
}

// The entries of earlier versions say nothing: there a whole entry behind the damage still proves
// it.
TEST_F(QuorumLogCrash, EntriesWithoutAKeyAreReadAndJudgedAsBefore) {
  Open();
  Append(1, 1, 1);
  Stop(nullptr);
  const std::string old_marker = ReadFile(fs_, kVotePath).value();
  Open();
  Append(2, 11, 1);
  Stop(nullptr);
  ASSERT_TRUE(WriteFileAtomically(fs_, kLogPath, WithoutKeys(*ReadFile(fs_, kLogPath))).ok());
  ASSERT_TRUE(WriteFileAtomically(fs_, kVotePath, old_marker).ok());
  Open();
  EXPECT_EQ(log_->Read(LogIndex(1), LogIndex(12), 1 << 20)->size(), 11U);
  Stop(nullptr);
  ASSERT_TRUE(WriteFileAtomically(fs_, kVotePath, old_marker).ok());
  fs_.FlipBit(kLogPath, 700, 2);
  EXPECT_EQ(TryOpen().status().code(), StatusCode::kCorruption);
}

// The marker of a log that nobody writes to any more reaches the device by itself.
TEST_F(QuorumLogCrash, DamageInTheLastGroupOfAnIdleLogIsNotCut) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    LogOnSimDisk disk;
    Random random(seed);
    disk.Open();
    disk.Append(1, 1, 1);
    disk.Append(2, 11, 1);
    disk.scheduler_.RunForMs(3000);
    disk.Stop(&random);
    disk.fs_.FlipBit(kLogPath, disk.fs_.FileSize(kLogPath).value() - 5, 2);
    EXPECT_EQ(disk.TryOpen().status().code(), StatusCode::kCorruption) << "seed " << seed;
  }
}

// After a failed sync the page cache may show bytes as clean that the device never got: opening may
// count them only once they were written again.
TEST_F(QuorumLogCrash, AFailedSyncIsNotForgivenByARestart) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    LogOnSimDisk disk;
    disk.segment_bytes_ = seed % 2 == 0 ? 3000 : 1 << 20;
    Random random(seed);
    disk.Open();
    disk.Append(1, 1, 1);
    disk.fs_.InjectFault({.operation = FileOperation::kSync, .path_part = ".log"});
    ASSERT_FALSE(disk.Persist(GroupFrom(2, random)).ok());
    disk.Stop(nullptr);
    disk.Open();
    const LogIndex counted = disk.log_->opened().last_index;
    EXPECT_GT(counted, LogIndex(1));
    disk.Stop(&random);
    const auto opened = disk.TryOpen();
    ASSERT_TRUE(opened.ok()) << "seed " << seed << ": " << opened.status().ToString();
    EXPECT_GE((*opened)->opened().last_index, counted) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice::controller
