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

TEST_F(QuorumLogCrash, DamageBeforeALaterGroupIsSeenWhateverTheMarkerSays) {
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
  Open();
  EXPECT_EQ(log_->opened().hard_state.lost.upto, LogIndex(21));
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
  Open();
  EXPECT_EQ(log_->opened().hard_state.lost.upto, LogIndex(11));
}

// The marker of a log that nobody writes to any more reaches the device by itself.
TEST_F(QuorumLogCrash, DamageInTheLastGroupOfAnIdleLogIsSeen) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    LogOnSimDisk disk;
    Random random(seed);
    disk.Open();
    disk.Append(1, 1, 1);
    disk.Append(2, 11, 1);
    disk.scheduler_.RunForMs(3000);
    disk.Stop(&random);
    disk.fs_.FlipBit(kLogPath, disk.fs_.FileSize(kLogPath).value() - 5, 2);
    disk.Open();
    EXPECT_EQ(disk.log_->opened().hard_state.lost.upto, LogIndex(11)) << "seed " << seed;
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

// The directory that a log lies in was not synced, and was gone after a power cut.
TEST(QuorumLogPowerCut, Etcd6368_AFormattedLogIsThere) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    sluice::testing::SimScheduler scheduler;
    sluice::testing::SimEventLoop loop(scheduler);
    sluice::testing::SimFileSystem fs;
    ASSERT_TRUE(fs.CreateDirectories("/data").ok());
    ASSERT_TRUE(fs.SyncFileSystem("/").ok());
    const std::string directory = LogOnSimDisk::kDirectory;
    ASSERT_TRUE(
        QuorumLog::Format(fs, scheduler.clock(), directory, LogOnSimDisk::FirstVoters()).ok());
    fs.Crash(random);
    const auto log = QuorumLog::Open({.directory = directory,
                                      .file_system = &fs,
                                      .clock = &scheduler.clock(),
                                      .loop = &loop,
                                      .io_loop = &loop});
    ASSERT_TRUE(log.ok()) << "seed " << seed << ": " << log.status().ToString();
    EXPECT_EQ((*log)->opened().last_index, LogIndex(0));
  }
}

// The same of the files that a log goes on in.
TEST(QuorumLogPowerCut, Etcd6368_NewSegmentsAreThere) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    LogOnSimDisk disk;
    disk.segment_bytes_ = 500;
    disk.Open();
    disk.Append(1, 20, 1);
    disk.Stop(&random);
    const auto log = disk.TryOpen();
    ASSERT_TRUE(log.ok()) << "seed " << seed << ": " << log.status().ToString();
    EXPECT_EQ((*log)->opened().last_index, LogIndex(20)) << "seed " << seed;
  }
}

// Files reach the disk in any order: entries of a term were there, the vote in that term was not.
TEST(QuorumLogPowerCut, Etcd6378_NoEntryIsOlderThanItsTerm) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    for (int64_t changes = 0; changes < 8; ++changes) {
      Random random(seed);
      LogOnSimDisk disk;
      disk.Open();
      disk.Append(1, 3, 1);
      disk.fs_.StopAfter(changes);
      static_cast<void>(
          disk.Persist({.hard_state = raft::HardState{Term(5), NodeId(2)},
                        .entries = {LogOnSimDisk::At(4, 5), LogOnSimDisk::At(5, 5)}}));
      disk.Stop(&random);
      const auto log = disk.TryOpen();
      ASSERT_TRUE(log.ok()) << "seed " << seed << ": " << log.status().ToString();
      const raft::OpenedLog& opened = (*log)->opened();
      EXPECT_GE(opened.last_index, LogIndex(3));
      EXPECT_GE(opened.hard_state.term, opened.term_starts.back().second);
    }
  }
}

}  // namespace
}  // namespace sluice::controller
