#include "controller/quorum_log.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "controller/testing/log_on_sim_disk.h"
#include "raft/driver.h"

namespace sluice::controller {
namespace {

using raft::Entry;
using raft::HardState;
using raft::PersistRequest;
using sluice::testing::FileOperation;

class QuorumLogTest : public ::testing::Test, protected testing::LogOnSimDisk {
 protected:
  static std::string PathOf(const SnapshotName& name) {
    return std::string(kDirectory) + "/" + SnapshotFileName(name);
  }
};

TEST_F(QuorumLogTest, AFreshLogHoldsTheBootstrapEntry) {
  Open();
  EXPECT_EQ(log_->opened().last_index, LogIndex(0));
  EXPECT_EQ(log_->opened().hard_state, HardState());
  const auto entries = log_->Read(LogIndex(0), LogIndex(1), 1);
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ(entries->front(), raft::BootstrapEntry(FirstVoters()));
  EXPECT_EQ(QuorumLog::Format(fs_, scheduler_.clock(), kDirectory, FirstVoters()).code(),
            StatusCode::kAlreadyExists);
}

TEST_F(QuorumLogTest, AnUnformattedDirectoryIsRefused) {
  ASSERT_TRUE(fs_.RemoveAll(kDirectory).ok());
  EXPECT_EQ(TryOpen().status().code(), StatusCode::kNotFound);
}

TEST_F(QuorumLogTest, EntriesAndVotesSurviveAPowerCut) {
  Open();
  Append(1, 10, 1);
  Append(11, 12, 3);
  Random random(1);
  Stop(&random);
  Open();
  EXPECT_EQ(log_->opened().last_index, LogIndex(12));
  EXPECT_EQ(log_->opened().hard_state, (HardState{Term(3), NodeId(1)}));
  const std::vector<std::pair<LogIndex, Term>> starts{
      {LogIndex(0), Term(0)}, {LogIndex(1), Term(1)}, {LogIndex(11), Term(3)}};
  EXPECT_EQ(log_->opened().term_starts, starts);
  const auto entries = log_->Read(LogIndex(9), LogIndex(13), 1 << 20);
  ASSERT_TRUE(entries.ok());
  EXPECT_EQ(*entries, (std::vector<Entry>{At(9, 1), At(10, 1), At(11, 3), At(12, 3)}));
}

TEST_F(QuorumLogTest, ReadsAreBoundedButNeverEmpty) {
  Open();
  Append(1, 10, 1);
  const auto one = log_->Read(LogIndex(3), LogIndex(11), 1);
  ASSERT_TRUE(one.ok());
  EXPECT_EQ(*one, std::vector<Entry>{At(3, 1)});
  const auto upto = log_->Read(LogIndex(3), LogIndex(6), 1 << 20);
  ASSERT_TRUE(upto.ok());
  EXPECT_EQ(upto->size(), 3U);
}

TEST_F(QuorumLogTest, TheDisksTimeIsToldOfEntriesAndOfVotes) {
  MetricsRegistry registry;
  QuorumLogMetrics metrics(registry);
  metrics_ = &metrics;
  Open();
  const uint64_t opening = metrics.entries.Read().count();
  Append(1, 10, 1);
  ASSERT_TRUE(Persist({.entries = {At(11, 1)}}).ok());
  EXPECT_EQ(metrics.entries.Read().count(), opening + 2);
  EXPECT_EQ(metrics.votes.Read().count(), 1U);
  log_.reset();
  const std::string page = registry.PrometheusText();
  EXPECT_NE(page.find("sluice_raft_log_flush_seconds_count{of=\"votes\"} 1"), std::string::npos)
      << page;
}

TEST_F(QuorumLogTest, AConflictReplacesTheTail) {
  Open();
  Append(1, 10, 1);
  ASSERT_TRUE(Persist({.hard_state = HardState{Term(2), NodeId(2)},
                       .truncate_from = LogIndex(5),
                       .entries = {At(5, 2, "new"), At(6, 2, "new")}})
                  .ok());
  Random random(1);
  Stop(&random);
  Open();
  EXPECT_EQ(log_->opened().last_index, LogIndex(6));
  EXPECT_EQ(log_->Read(LogIndex(4), LogIndex(7), 1 << 20).value(),
            (std::vector<Entry>{At(4, 1), At(5, 2, "new"), At(6, 2, "new")}));
}

TEST_F(QuorumLogTest, WhatGathersIsWrittenAsOneGroup) {
  Open();
  const uint64_t syncs = fs_.counts().file_syncs;
  int done = 0;
  for (int i = 1; i <= 100; ++i) {
    log_->Persist({.entries = {At(i, 0)}}, [&done](const Status& status) { done += status.ok(); });
  }
  scheduler_.RunForMs(10);
  EXPECT_EQ(done, 100);
  EXPECT_LE(fs_.counts().file_syncs - syncs, 4U);
}

TEST_F(QuorumLogTest, ASnapshotReplacesTheLog) {
  Open();
  Append(1, 4, 1);
  ASSERT_TRUE(Persist({.hard_state = HardState{Term(5), NodeId(2)},
                       .snapshot = SnapshotAt(50, 4),
                       .reset_log = true})
                  .ok());
  ASSERT_TRUE(Persist({.entries = {At(51, 5)}}).ok());
  Random random(1);
  Stop(&random);
  Open();
  EXPECT_EQ(log_->opened().first_index, LogIndex(51));
  EXPECT_EQ(log_->opened().last_index, LogIndex(51));
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(50));
  EXPECT_EQ(log_->opened().snapshot->members, raft::MembershipOf(FirstVoters().voters));
  EXPECT_EQ(*log_->LoadSnapshot()->data, "state at 50");
}

// Voters without addresses, as versions wrote them that knew no others.
TEST_F(QuorumLogTest, ASnapshotOfTheFirstFormatIsRead) {
  Open();
  Append(1, 4, 1);
  ByteWriter writer;
  writer.PutUint32(0x534c534e);
  writer.PutInt16(1);
  writer.PutInt64(3);
  writer.PutInt64(1);
  writer.PutInt32(3);
  for (const raft::VoterId& voter : FirstVoters().voters) {
    writer.PutInt32(voter.id.value());
    writer.PutBytes(voter.disk_id.view());
  }
  writer.PutInt64(5);
  writer.PutBytes("state");
  writer.PutUint32(Crc32c(writer.view()));
  ASSERT_TRUE(WriteFileAtomically(fs_, PathOf({LogIndex(3), Term(1)}), writer.view()).ok());
  Stop(nullptr);
  Open();
  ASSERT_TRUE(log_->opened().snapshot.has_value());
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(3));
  EXPECT_EQ(log_->opened().snapshot->members, raft::MembershipOf(FirstVoters().voters));
  EXPECT_EQ(*log_->LoadSnapshot()->data, "state");
  const Result<raft::SnapshotChunk> part = ReadSnapshot(3, 2, 2);
  ASSERT_TRUE(part.ok()) << part.status().ToString();
  EXPECT_EQ(part->data, "at");
  EXPECT_EQ(part->whole_crc, Crc32c("state"));
  EXPECT_EQ(part->meta.members, raft::MembershipOf(FirstVoters().voters));
}

// "state at 50", in blocks of four bytes.
TEST_F(QuorumLogTest, AnyPartOfASnapshotIsReadAndChecked) {
  Open();
  Append(1, 60, 1);
  log_->Persist({.snapshot = SnapshotAt(50, 1)},
                [](const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); });
  // Asked for at once: it sees what was to be written before it.
  for (uint64_t offset = 0; offset <= 11; ++offset) {
    for (size_t bytes = 0; bytes <= 12; ++bytes) {
      const Result<raft::SnapshotChunk> part = ReadSnapshot(50, offset, bytes);
      ASSERT_TRUE(part.ok()) << part.status().ToString();
      EXPECT_EQ(part->data, std::string("state at 50").substr(offset, bytes));
      EXPECT_EQ(part->chunk_crc, Crc32c(part->data));
      EXPECT_EQ(part->offset, offset);
      EXPECT_EQ(part->size_total, 11U);
      EXPECT_EQ(part->whole_crc, Crc32c("state at 50"));
      EXPECT_EQ(part->meta, SnapshotAt(50, 1).meta);
    }
  }
  // The last block rots: what lies before it is whole.
  const std::string path = PathOf({LogIndex(50), Term(1)});
  fs_.FlipBit(path, *fs_.FileSize(path) - 6, 1);
  EXPECT_TRUE(ReadSnapshot(50, 0, 8).ok());
  EXPECT_EQ(ReadSnapshot(50, 0, 9).status().code(), StatusCode::kCorruption);
  EXPECT_EQ(ReadSnapshot(50, 10, 1).status().code(), StatusCode::kCorruption);
}

TEST_F(QuorumLogTest, ASnapshotThatIsBeingSentStaysThereToTheEnd) {
  Open();
  Append(1, 60, 1);
  for (const int64_t index : {10, 20})
    ASSERT_TRUE(Persist({.snapshot = SnapshotAt(index, 1)}).ok());
  ASSERT_TRUE(ReadSnapshot(20, 0, 6).ok());
  for (const int64_t index : {30, 40}) {
    ASSERT_TRUE(Persist({.snapshot = SnapshotAt(index, 1)}).ok());
    ASSERT_TRUE(ReadSnapshot(20, 3, 3).ok());
  }
  EXPECT_FALSE(fs_.Exists(PathOf({LogIndex(20), Term(1)})));
  EXPECT_EQ(ReadSnapshot(10, 0, 6).status().code(), StatusCode::kNotFound);
  const Result<raft::SnapshotChunk> rest = ReadSnapshot(20, 6, 6);
  ASSERT_TRUE(rest.ok()) << rest.status().ToString();
  EXPECT_EQ(rest->data, "at 20");
  // Nobody reads on.
  for (const int64_t index : {50, 55})
    ASSERT_TRUE(Persist({.snapshot = SnapshotAt(index, 1)}).ok());
  EXPECT_EQ(ReadSnapshot(20, 6, 6).status().code(), StatusCode::kNotFound);
}

// "state at 50" in parts, with blocks of four bytes.
TEST_F(QuorumLogTest, ReceivingGoesOnWhereAPowerCutHasLeftIt) {
  Open();
  EXPECT_FALSE(log_->opened().received.has_value());
  ASSERT_TRUE(Receive(50, 0, 5).ok());
  ASSERT_TRUE(Receive(50, 5, 4).ok());
  Random random(1);
  Stop(&random);
  Open();
  ASSERT_TRUE(log_->opened().received.has_value());
  EXPECT_EQ(log_->opened().received->meta, SnapshotAt(50, 1).meta);
  EXPECT_EQ(log_->opened().received->size_total, 11U);
  EXPECT_EQ(log_->opened().received->whole_crc, Crc32c("state at 50"));
  EXPECT_EQ(log_->opened().received->held, 8U) << "the full blocks";
  ASSERT_TRUE(Receive(50, 8, 100).ok());
  const Result<raft::Snapshot> whole = LoadReceived();
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_EQ(*whole->data, "state at 50");
  const std::string path = PathOf({LogIndex(50), Term(1)});
  EXPECT_FALSE(fs_.Exists(path)) << "it has its name once it is checked";
  const uint64_t syncs = fs_.counts().file_syncs;
  ASSERT_TRUE(
      Persist({.hard_state = HardState{Term(1), NodeId(1)}, .snapshot = *whole, .reset_log = true})
          .ok());
  EXPECT_LE(fs_.counts().file_syncs - syncs, 3U) << "it is not written again";
  EXPECT_FALSE(fs_.Exists(path + ".part"));
  Stop(&random);
  Open();
  EXPECT_EQ(log_->opened().first_index, LogIndex(51));
  EXPECT_EQ(*log_->LoadSnapshot()->data, "state at 50");
  EXPECT_FALSE(log_->opened().received.has_value());
}

TEST_F(QuorumLogTest, WhatWasReceivedCountsAsFarAsItIsWhole) {
  const std::string part = PathOf({LogIndex(50), Term(1)}) + ".part";
  for (const int64_t from_end : {3, 13, 18}) {
    Open();
    ASSERT_TRUE(Receive(50, 0, 11).ok());
    fs_.FlipBit(part, static_cast<size_t>(*fs_.FileSize(part) - from_end), 1);
    EXPECT_EQ(LoadReceived().status().code(), StatusCode::kCorruption);
    Stop(nullptr);
    Open();
    const auto& received = log_->opened().received;
    EXPECT_EQ(received.has_value() ? received->held : 0, from_end == 3    ? 8U
                                                         : from_end == 13 ? 4U
                                                                          : 0U);
    EXPECT_EQ(fs_.Exists(part), received.has_value());
    Stop(nullptr);
  }
}

TEST_F(QuorumLogTest, WhatIsRottenGetsNoNameFromASnapshotOfItsOwn) {
  const std::string path = PathOf({LogIndex(50), Term(1)});
  Open();
  Append(1, 60, 1);
  ASSERT_TRUE(Receive(50, 0, 11).ok());
  fs_.FlipBit(path + ".part", static_cast<size_t>(*fs_.FileSize(path + ".part") - 3), 1);
  EXPECT_EQ(LoadReceived().status().code(), StatusCode::kCorruption);
  // It got there by its log, and its state machine has the same to tell.
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(50, 1)}).ok());
  Stop(nullptr);
  Open();
  const Result<raft::Snapshot> own = log_->LoadSnapshot();
  ASSERT_TRUE(own.ok()) << own.status().ToString();
  EXPECT_EQ(*own->data, "state at 50");
  EXPECT_FALSE(fs_.Exists(path + ".part"));
}

TEST_F(QuorumLogTest, OneSnapshotIsReceivedAtATimeAndWhileItIsNeeded) {
  const auto part = [](int64_t index) { return PathOf({LogIndex(index), Term(1)}) + ".part"; };
  Open();
  Append(1, 60, 1);
  ASSERT_TRUE(Receive(70, 0, 8).ok());
  ASSERT_TRUE(Receive(50, 0, 8).ok());
  EXPECT_FALSE(fs_.Exists(part(70)));
  EXPECT_TRUE(fs_.Exists(part(50)));
  ASSERT_TRUE(Receive(50, 8, 3).ok());
  // It gets there by its log, and takes a snapshot itself.
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(55, 1)}).ok());
  EXPECT_EQ(LoadReceived().status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(fs_.Exists(part(50)));
  EXPECT_EQ(SnapshotFiles(fs_, kDirectory).List()->size(), 1U);
  // One that a crash has left where the newest stands for more.
  ASSERT_TRUE(Receive(58, 0, 8).ok());
  ASSERT_TRUE(SnapshotFiles(fs_, kDirectory).Write(SnapshotAt(59, 1)).ok());
  Stop(nullptr);
  Open();
  EXPECT_FALSE(log_->opened().received.has_value());
  EXPECT_FALSE(fs_.Exists(part(58)));
}

TEST_F(QuorumLogTest, TheMembersThatTheLogSetsAreFoundAgain) {
  raft::Membership with_learner = raft::MembershipOf(FirstVoters().voters);
  with_learner.learners.push_back(
      {{NodeId(4), Uuid::FromBytes(std::string(16, '4'))}, "host-4:9095"});
  raft::Membership with_four = with_learner;
  with_four.voters.push_back(with_four.learners.front());
  with_four.learners.clear();
  const auto setting = [](int64_t index, const raft::Membership& members) {
    return Entry{LogIndex(index), Term(1), raft::EntryType::kMembership,
                 raft::EncodeMembership(members)};
  };
  using Found = std::vector<std::pair<LogIndex, raft::Membership>>;
  const raft::Membership first = raft::MembershipOf(FirstVoters().voters);
  Open();
  EXPECT_EQ(log_->opened().memberships, (Found{{LogIndex(0), first}}));
  Append(1, 2, 1);
  ASSERT_TRUE(Persist({.entries = {setting(3, with_learner), At(4, 1)}}).ok());
  ASSERT_TRUE(Persist({.entries = {setting(5, with_four)}}).ok());
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().memberships,
            (Found{{LogIndex(0), first}, {LogIndex(3), with_learner}, {LogIndex(5), with_four}}));
  EXPECT_EQ(*raft::MembersOf(*log_, "c"), with_four);
  // The one that is cut off holds no more; a snapshot keeps learners and addresses.
  raft::Snapshot snapshot = SnapshotAt(4, 1);
  snapshot.meta.members = with_learner;
  ASSERT_TRUE(Persist({.snapshot = snapshot, .truncate_from = LogIndex(5)}).ok());
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().snapshot->members, with_learner);
  EXPECT_EQ(*raft::MembersOf(*log_, "c"), with_learner);
}

TEST_F(QuorumLogTest, AnInterruptedInstallationIsFinishedAtOpening) {
  Open();
  Append(1, 4, 1);
  // The crash comes after the snapshot has its name and before the log is emptied.
  ASSERT_TRUE(SnapshotFiles(fs_, kDirectory).Write(SnapshotAt(50, 1)).ok());
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().first_index, LogIndex(51));
  EXPECT_EQ(log_->opened().last_index, LogIndex(50));
  EXPECT_TRUE(Persist({.entries = {At(51, 1)}}).ok());
}

TEST_F(QuorumLogTest, CompactionKeepsTheSnapshotBeforeAndItsLog) {
  segment_bytes_ = 1024;
  Open();
  Append(1, 100, 1);
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(40, 1), .drop_before = LogIndex(0)}).ok());
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(60, 1), .drop_before = LogIndex(41)}).ok());
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(80, 1), .drop_before = LogIndex(61)}).ok());
  Stop(nullptr);
  Open();
  EXPECT_GT(log_->opened().first_index, LogIndex(1));
  EXPECT_LE(log_->opened().first_index, LogIndex(61));
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(80));
  EXPECT_EQ(SnapshotFiles(fs_, kDirectory).List()->size(), 2U);
  // The newest snapshot turns out to be unreadable: the one before it and the log behind that will
  // do.
  fs_.FlipBit(std::string(kDirectory) + "/" + SnapshotFileName({LogIndex(80), Term(1)}), 20, 1);
  Stop(nullptr);
  Open();
  EXPECT_EQ(log_->opened().snapshot->index, LogIndex(60));
  EXPECT_EQ(log_->opened().last_index, LogIndex(100));
}

TEST_F(QuorumLogTest, ADamagedSnapshotDoesNotPushOutAGoodOne) {
  segment_bytes_ = 1024;
  Open();
  Append(1, 100, 1);
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(60, 1), .drop_before = LogIndex(41)}).ok());
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(80, 1), .drop_before = LogIndex(61)}).ok());
  const std::string newest = PathOf({LogIndex(80), Term(1)});
  fs_.FlipBit(newest, 20, 1);
  const std::string damaged = ReadFile(fs_, newest).value();
  Stop(nullptr);
  Open();
  ASSERT_TRUE(Persist({.snapshot = SnapshotAt(90, 1)}).ok());
  const SnapshotFiles files(fs_, kDirectory);
  const std::vector<SnapshotName> kept{{LogIndex(60), Term(1)}, {LogIndex(90), Term(1)}};
  EXPECT_EQ(files.List().value(), kept);
  for (const SnapshotName& name : kept) EXPECT_TRUE(files.Load(name).ok());
  const auto aside = ReadFile(fs_, newest + ".damaged");
  ASSERT_TRUE(aside.ok()) << aside.status().ToString();
  EXPECT_EQ(*aside, damaged) << "it may be looked into";
}

TEST_F(QuorumLogTest, ASnapshotThatWasBeingWrittenIsRemoved) {
  Open();
  Append(1, 10, 1);
  fs_.InjectFault({.operation = FileOperation::kRename, .path_part = ".checkpoint"});
  EXPECT_FALSE(Persist({.snapshot = SnapshotAt(5, 1)}).ok());
  const std::string temporary = PathOf({LogIndex(5), Term(1)}) + ".tmp";
  EXPECT_TRUE(fs_.Exists(temporary));
  Stop(nullptr);
  Open();
  EXPECT_FALSE(fs_.Exists(temporary));
}

TEST_F(QuorumLogTest, AFailedSyncIsTerminal) {
  Open();
  Append(1, 2, 1);
  fs_.InjectFault({.operation = FileOperation::kSync, .path_part = ".log"});
  EXPECT_FALSE(Persist({.entries = {At(3, 1)}}).ok());
  EXPECT_FALSE(Persist({.entries = {At(4, 1)}}).ok())
      << "a second sync that succeeds proves nothing";
}

// Nobody waits for the marker of a log that is written to no more, and nobody may count on its
// disk.
TEST_F(QuorumLogTest, AFailedSyncOfAnIdleLogIsTold) {
  Open();
  Status told;
  log_->set_on_failure([&told](Status status) { told = std::move(status); });
  Append(1, 2, 1);
  fs_.InjectFault({.operation = FileOperation::kSync, .path_part = "quorum-state"});
  scheduler_.RunForMs(3000);
  EXPECT_EQ(told.code(), StatusCode::kIoError) << told.ToString();
  EXPECT_FALSE(Persist({.entries = {At(3, 1)}}).ok());
}

// Random histories with power cuts: what was reported is there, whatever else is.
TEST_F(QuorumLogTest, WhatWasReportedSurvivesEveryPowerCut) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Random random(seed);
    Open();
    int64_t last = log_->opened().last_index.value();
    HardState vote = log_->opened().hard_state;
    int64_t reported_last = last;
    HardState reported_vote = vote;
    for (int64_t steps = random.Between(1, 8); steps > 0; --steps) {
      PersistRequest request;
      if (random.Chance(1, 3)) request.hard_state = vote = {vote.term + 1, NodeId(1)};
      for (int64_t n = random.Between(0, 4); n > 0; --n)
        request.entries.push_back(At(++last, vote.term.value()));
      log_->Persist(request, [&, last, vote](const Status& status) {
        EXPECT_TRUE(status.ok()) << status.ToString();
        reported_last = last;
        reported_vote = vote;
      });
      for (uint64_t events = random.Below(3); events > 0; --events) scheduler_.Step();
    }
    Stop(&random);
    Open();
    EXPECT_GE(log_->opened().last_index.value(), reported_last) << "seed " << seed;
    EXPECT_GE(log_->opened().hard_state.term, reported_vote.term) << "seed " << seed;
    EXPECT_LE(log_->opened().last_index.value(), last);
    Stop(nullptr);
  }
}

}  // namespace
}  // namespace sluice::controller
