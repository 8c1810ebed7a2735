// A metadata log whose files are damaged: what is whole is opened, what is lost is written down
// first, whatever stops the opening, and the files stay to be looked into.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "controller/testing/log_on_sim_disk.h"
#include "kafka/record_batch.h"

namespace sluice::controller {
namespace {

using raft::HardState;
using raft::LostEntries;
using raft::PersistRequest;
using testing::LogOnSimDisk;

const std::string kLogPath = std::string(LogOnSimDisk::kDirectory) + "/00000000000000000000.log";

std::string PathOf(const SnapshotName& name) {
  return std::string(LogOnSimDisk::kDirectory) + "/" + SnapshotFileName(name);
}

class QuorumLogDamage : public ::testing::Test, protected LogOnSimDisk {
 protected:
  // Twenty entries and a vote of term 1, and the process stops.
  void WriteTwenty() {
    Open();
    Append(1, 20, 1);
    Stop(nullptr);
  }
};

TEST_F(QuorumLogDamage, WhatIsDamagedIsLostAndSaidToBe) {
  WriteTwenty();
  fs_.FlipBit(kLogPath, 700, 2);
  const std::string damaged = ReadFile(fs_, kLogPath).value();
  Open();
  const LogIndex last = log_->opened().last_index;
  EXPECT_GT(last, LogIndex(1));
  EXPECT_LT(last, LogIndex(19));
  const HardState lost{Term(1), NodeId(1), {LogIndex(20), Term(1)}};
  EXPECT_EQ(log_->opened().hard_state, lost);
  const auto aside = ReadFile(fs_, kLogPath + ".damaged");
  ASSERT_TRUE(aside.ok()) << aside.status().ToString();
  EXPECT_EQ(*aside, damaged) << "it may be looked into";
  // It is given back, and only Raft knows when that is so.
  PersistRequest request;
  for (int64_t i = last.value() + 1; i <= 21; ++i) request.entries.push_back(At(i, 1));
  ASSERT_TRUE(Persist(std::move(request)).ok());
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().last_index, LogIndex(21));
  EXPECT_EQ(log_->opened().hard_state, lost);
  ASSERT_TRUE(Persist({.hard_state = HardState{Term(1), NodeId(1), {}}}).ok());
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().hard_state, (HardState{Term(1), NodeId(1), {}}));
}

// Offset and epoch of a batch are in its header, which the batch's own checksum covers in part
// only.
TEST_F(QuorumLogDamage, EachBitOfAHeaderCounts) {
  constexpr uint64_t kHeaderBits = 61 * 8;
  for (uint64_t bit = 0; bit < kHeaderBits; ++bit) {
    LogOnSimDisk own;
    own.Open();
    own.Append(1, 3, 1);
    own.Stop(nullptr);
    own.fs_.FlipBit(kLogPath, bit / 8, static_cast<int>(bit % 8));
    own.Open();
    EXPECT_EQ(own.log_->opened().last_index, raft::kNoIndex) << "bit " << bit;
    EXPECT_EQ(own.log_->opened().hard_state.lost, (LostEntries{LogIndex(3), Term(1)}));
    own.Stop(nullptr);
  }
}

TEST_F(QuorumLogDamage, AShortenedLogIsDamaged) {
  WriteTwenty();
  const std::string whole = ReadFile(fs_, kLogPath).value();
  ASSERT_TRUE(WriteFileAtomically(fs_, kLogPath, whole.substr(0, whole.size() / 2)).ok());
  Open();
  EXPECT_LT(log_->opened().last_index, LogIndex(19));
  EXPECT_EQ(log_->opened().hard_state.lost, (LostEntries{LogIndex(20), Term(1)}));
}

TEST_F(QuorumLogDamage, AMissingSegmentTakesWithItWhatIsBehind) {
  segment_bytes_ = 1024;
  Open();
  Append(1, 100, 1);
  Stop(nullptr);
  std::vector<std::string> segments;
  const std::vector<std::string> names = fs_.List(kDirectory).value();
  for (const std::string& name : names) {
    if (name.ends_with(".log")) segments.push_back(name);
  }
  ASSERT_GT(segments.size(), 4U);
  ASSERT_TRUE(fs_.Remove(std::string(kDirectory) + "/" + segments[2]).ok());
  Open();
  EXPECT_EQ(log_->opened().last_index.value(), std::stoll(segments[2]) - 1);
  EXPECT_EQ(log_->opened().hard_state.lost, (LostEntries{LogIndex(100), Term(1)}));
}

TEST_F(QuorumLogDamage, TheWholeLogMayBeGone) {
  WriteTwenty();
  ASSERT_TRUE(fs_.Remove(kLogPath).ok());
  Open();
  EXPECT_EQ(log_->opened().last_index, raft::kNoIndex);
  EXPECT_EQ(log_->opened().hard_state.lost, (LostEntries{LogIndex(20), Term(1)}));
}

// Whole entries that are not this log's.
TEST_F(QuorumLogDamage, AnExchangedTailIsDamage) {
  WriteTwenty();
  const std::string own = ReadFile(fs_, kLogPath).value();
  LogOnSimDisk other;
  other.Open();
  other.Append(1, 10, 1);
  ASSERT_TRUE(other.Persist({.entries = {At(11, 1, "x")}}).ok());
  other.Append(12, 20, 1);
  other.Stop(nullptr);
  const std::string theirs = ReadFile(other.fs_, kLogPath).value();
  ASSERT_EQ(own.size(), theirs.size());
  const size_t half = own.size() - own.size() / 4;
  size_t from = 0;
  kafka::BatchIterator batches(own);
  for (auto batch = batches.Next(); batch.ok() && batch->has_value() && from < half;
       batch = batches.Next())
    from += (*batch)->size_bytes();
  ASSERT_TRUE(WriteFileAtomically(fs_, kLogPath, own.substr(0, from) + theirs.substr(from)).ok());
  Open();
  EXPECT_GT(log_->opened().last_index, LogIndex(11));
  EXPECT_LT(log_->opened().last_index, LogIndex(20));
  EXPECT_EQ(log_->opened().hard_state.lost, (LostEntries{LogIndex(20), Term(1)}));
}

TEST_F(QuorumLogDamage, BelowASnapshotTheLogGoesOnBehindIt) {
  segment_bytes_ = 1024;
  Open();
  Append(1, 100, 1);
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(60, 1)}).ok());
  Stop(nullptr);
  fs_.FlipBit(kLogPath, 300, 2);
  Open();
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(60));
  EXPECT_EQ(log_->opened().first_index, LogIndex(61));
  EXPECT_EQ(log_->opened().last_index, LogIndex(60));
  EXPECT_EQ(log_->opened().hard_state.lost, (LostEntries{LogIndex(100), Term(1)}));
}

// The log behind them is of no use without the state before it.
TEST_F(QuorumLogDamage, WithoutAReadableSnapshotAllIsLost) {
  segment_bytes_ = 1024;
  Open();
  Append(1, 100, 1);
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(60, 1), .drop_before = LogIndex(41)}).ok());
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(80, 1), .drop_before = LogIndex(61)}).ok());
  fs_.FlipBit(PathOf({LogIndex(60), Term(1)}), 20, 1);
  fs_.FlipBit(PathOf({LogIndex(80), Term(1)}), 20, 1);
  Stop(nullptr);
  // Who took part cannot be read: nothing is touched where nobody else is configured.
  alone_ = true;
  EXPECT_EQ(TryOpen().status().code(), StatusCode::kCorruption);
  EXPECT_EQ(SnapshotFiles(fs_, kDirectory).List()->size(), 2U);
  alone_ = false;
  Open();
  EXPECT_EQ(log_->opened().last_index, raft::kNoIndex);
  EXPECT_FALSE(log_->opened().snapshot.has_value());
  EXPECT_EQ(log_->opened().hard_state, (HardState{Term(1), NodeId(1), {LogIndex(100), Term(1)}}));
  EXPECT_TRUE(fs_.Exists(PathOf({LogIndex(60), Term(1)}) + ".damaged"));
  EXPECT_TRUE(fs_.Exists(PathOf({LogIndex(80), Term(1)}) + ".damaged"));
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(120, 2), .reset_log = true}).ok());
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(120));
  EXPECT_TRUE(log_->opened().hard_state.lost.any());
}

TEST_F(QuorumLogDamage, OfASnapshotThatWasInstalledTheOneBeforeIsLeft) {
  Open();
  Append(1, 50, 1);
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(40, 1)}).ok());
  ASSERT_TRUE(Persist({.hard_state = HardState{Term(3), NodeId(2), {}},
                       .snapshot = SnapshotAt(200, 3),
                       .reset_log = true,
                       .entries = {At(201, 3), At(202, 3)}})
                  .ok());
  fs_.FlipBit(PathOf({LogIndex(200), Term(3)}), 20, 1);
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(40));
  EXPECT_EQ(log_->opened().last_index, LogIndex(40));
  EXPECT_EQ(log_->opened().hard_state, (HardState{Term(3), NodeId(2), {LogIndex(202), Term(3)}}));
}

// By the newest configuration that can be read, which may lie behind the damage.
TEST_F(QuorumLogDamage, NothingIsTouchedThatNobodyCouldGiveBack) {
  Open();
  Append(1, 20, 1);
  raft::Membership members = raft::MembershipOf({FirstVoters().voters.front()});
  members.learners = {{FirstVoters().voters.back(), "host:1"}};
  ASSERT_TRUE(Persist({.entries = {{LogIndex(21), Term(1), raft::EntryType::kMembership,
                                    raft::EncodeMembership(members)}}})
                  .ok());
  Stop(nullptr);
  fs_.FlipBit(kLogPath, 700, 2);
  const std::string damaged = ReadFile(fs_, kLogPath).value();
  EXPECT_EQ(TryOpen().status().code(), StatusCode::kCorruption);
  EXPECT_EQ(ReadFile(fs_, kLogPath).value(), damaged);
  EXPECT_FALSE(fs_.Exists(kLogPath + ".damaged"));
}

// Another version that does not know of lost entries takes such a slot for none, and does not vote.
TEST_F(QuorumLogDamage, TheSlotsSayThatTheyAreOfAnotherFormat) {
  WriteTwenty();
  const std::string path = std::string(kDirectory) + "/quorum-state";
  EXPECT_EQ(ReadFile(fs_, path).value()[5], 1);
  fs_.FlipBit(kLogPath, 700, 2);
  Open();
  EXPECT_EQ(ReadFile(fs_, path).value()[5], 2);
  EXPECT_EQ(ReadFile(fs_, path).value()[VoteSlots::kSlotBytes + 5], 2);
  ASSERT_TRUE(Persist({.hard_state = HardState{Term(1), NodeId(1), {}}}).ok());
  EXPECT_EQ(ReadFile(fs_, path).value()[5], 1);
}

// Damages a log and opens it; the process stops after so many changes, or the power goes, and it is
// opened again. False when the opening was done before that.
bool StopInAnOpening(int64_t changes, uint64_t seed) {
  Random random(seed);
  LogOnSimDisk disk;
  disk.segment_bytes_ = 1500;
  disk.Open();
  disk.Append(1, 30, 1);
  if (seed % 3 == 0) {
    EXPECT_TRUE(disk.Persist({.snapshot = disk.SnapshotAt(20, 1)}).ok());
  }
  disk.Append(31, 40, 2);
  disk.scheduler_.RunForMs(3000);
  disk.Stop(nullptr);
  std::vector<std::string> segments;
  const std::vector<std::string> names = disk.fs_.List(LogOnSimDisk::kDirectory).value();
  for (const std::string& name : names) {
    if (name.ends_with(".log")) segments.push_back(LogOnSimDisk::kDirectory + ("/" + name));
  }
  const std::string& struck = segments[random.Below(segments.size())];
  const uint64_t size = disk.fs_.FileSize(struck).value();
  if (size == 0) return false;
  disk.fs_.FlipBit(struck, random.Below(size), static_cast<int>(random.Below(8)));
  const std::string damaged = ReadFile(disk.fs_, struck).value();
  disk.fs_.StopAfter(changes);
  static_cast<void>(disk.TryOpen());
  const bool stopped = disk.fs_.stopped();
  disk.Stop(seed % 2 == 0 ? &random : nullptr);
  disk.Open();
  if (disk.log_ == nullptr) return false;
  const raft::OpenedLog& opened = disk.log_->opened();
  const std::string where =
      "stopped after " + std::to_string(changes) + ", seed " + std::to_string(seed) + ", " + struck;
  EXPECT_EQ(opened.hard_state, (HardState{Term(2), NodeId(1), {LogIndex(40), Term(2)}})) << where;
  EXPECT_LT(opened.last_index, LogIndex(40)) << where;
  const auto aside = ReadFile(disk.fs_, struck + ".damaged");
  EXPECT_TRUE(aside.ok() && *aside == damaged) << where;
  return stopped && !::testing::Test::HasFailure();
}

TEST(QuorumLogDamageCrash, ItIsDurableThatEntriesAreLostBeforeTheyAreCut) {
  for (uint64_t seed = 1; seed <= 24; ++seed) {
    for (int64_t changes = 0; StopInAnOpening(changes, seed); ++changes) ASSERT_LT(changes, 200);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::controller
