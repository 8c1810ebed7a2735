#include "raft/raft_log.h"

#include <gtest/gtest.h>

#include "base/testing/sim_event_loop.h"
#include "raft/testing/sim_log_store.h"

namespace sluice::raft::testing {
namespace {

Entry At(int64_t index, int64_t term) {
  return {LogIndex(index), Term(term), EntryType::kNormal, "d" + std::to_string(index)};
}

VoterId Voter(int id) { return {NodeId(id), Uuid()}; }

Entry First() { return BootstrapEntry({.cluster_id = "c", .voters = {Voter(1)}}); }

// A log over a disk that executes at once what the log hands over.
class RaftLogTest : public ::testing::Test {
 protected:
  RaftLogTest() { disk_.entries.push_back(First()); }
  void Open(size_t cache_bytes = 1 << 20) {
    store_ = std::make_unique<SimLogStore>(disk_, loop_, Random(1), SimDiskLatency{});
    log_ = std::make_unique<RaftLog>(*store_, cache_bytes);
  }
  void Sync() {
    PersistRequest request;
    if (!log_->HandOver(request)) return;
    disk_.Execute(request);
    log_->Durable(log_->handed_index());
  }

  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimEventLoop loop_{scheduler_};
  SimDisk disk_;
  std::unique_ptr<SimLogStore> store_;
  std::unique_ptr<RaftLog> log_;
};

TEST_F(RaftLogTest, HandsOverEachEntryOnce) {
  Open();
  log_->Append(At(1, 1));
  log_->Append(At(2, 1));
  PersistRequest request;
  EXPECT_TRUE(log_->HandOver(request));
  EXPECT_EQ(request.entries.size(), 2U);
  EXPECT_FALSE(request.truncate_from.has_value());
  PersistRequest again;
  EXPECT_FALSE(log_->HandOver(again));
  EXPECT_EQ(log_->durable_index(), LogIndex(0));
}

TEST_F(RaftLogTest, TruncationReachesTheStoreOnlyWhenItHasTheEntries) {
  Open();
  log_->Append(At(1, 1));
  log_->TruncateFrom(LogIndex(1));
  log_->Append(At(1, 2));
  PersistRequest fresh;
  EXPECT_TRUE(log_->HandOver(fresh));
  EXPECT_FALSE(fresh.truncate_from.has_value());
  log_->TruncateFrom(LogIndex(1));
  log_->Append(At(1, 3));
  PersistRequest replaced;
  EXPECT_TRUE(log_->HandOver(replaced));
  EXPECT_EQ(replaced.truncate_from, LogIndex(1));
}

TEST_F(RaftLogTest, ReadsOldEntriesFromTheStoreAndNewOnesFromMemory) {
  Open(/*cache_bytes=*/1);
  for (int64_t i = 1; i <= 10; ++i) log_->Append(At(i, 1));
  Sync();
  for (int64_t i = 11; i <= 12; ++i) log_->Append(At(i, 2));
  std::vector<Entry> read;
  while (read.size() < 10) {
    const LogIndex from(3 + static_cast<int64_t>(read.size()));
    for (const Entry& entry : log_->Entries(from, LogIndex(13), 300)) read.push_back(entry);
  }
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(read[i], At(3 + static_cast<int64_t>(i), i < 8 ? 1 : 2));
  }
}

TEST_F(RaftLogTest, OneEntryIsGivenHoweverLarge) {
  Open();
  log_->Append(At(1, 1));
  log_->Append(At(2, 1));
  EXPECT_EQ(log_->Entries(LogIndex(1), LogIndex(3), 1).size(), 1U);
}

// Against a naive twin: a vector of terms.
TEST_F(RaftLogTest, TermsAgreeWithTheNaiveTwin) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    disk_ = {};
    disk_.entries.push_back(First());
    Open(static_cast<size_t>(random.Between(1, 3000)));
    std::vector<int64_t> terms{0};
    int64_t first = 0;
    int64_t snapshot = -1;
    for (int step = 0; step < 60; ++step) {
      const auto last = static_cast<int64_t>(terms.size()) - 1;
      switch (random.Below(5)) {
        case 0:
        case 1:
          terms.push_back(terms.back() + random.Between(0, 1));
          log_->Append(At(last + 1, terms.back()));
          break;
        case 2:
          if (last <= std::max<int64_t>(snapshot, 0)) break;
          terms.resize(
              static_cast<size_t>(random.Between(std::max<int64_t>(snapshot, 0) + 1, last)));
          log_->TruncateFrom(LogIndex(static_cast<int64_t>(terms.size())));
          break;
        case 3: Sync(); break;
        default: {
          Sync();
          if (last <= snapshot) break;
          const int64_t at = random.Between(snapshot + 1, last);
          log_->SnapshotTaken({LogIndex(at), Term(terms[static_cast<size_t>(at)]), {}},
                              LogIndex(snapshot + 1));
          first = std::max(first, snapshot + 1);
          disk_.Execute({.drop_before = LogIndex(first)});
          snapshot = at;
        }
      }
      ASSERT_EQ(log_->first_index(), LogIndex(first)) << "seed " << seed;
      ASSERT_EQ(log_->last_index(), LogIndex(static_cast<int64_t>(terms.size()) - 1));
      for (int64_t i = first; i < static_cast<int64_t>(terms.size()); ++i) {
        ASSERT_EQ(log_->TermAt(LogIndex(i)), Term(terms[static_cast<size_t>(i)]))
            << "seed " << seed << " index " << i;
      }
      ASSERT_FALSE(log_->TermAt(LogIndex(static_cast<int64_t>(terms.size()))).has_value());
    }
  }
}

TEST_F(RaftLogTest, FindsWhereTwoLogsMayAgree) {
  Open();
  for (const int64_t term : {1, 1, 3, 3, 5}) log_->Append(At(log_->last_index().value() + 1, term));
  EXPECT_EQ(log_->LastIndexWithTermAtMost(LogIndex(9), Term(9)), LogIndex(5));
  EXPECT_EQ(log_->LastIndexWithTermAtMost(LogIndex(5), Term(4)), LogIndex(4));
  EXPECT_EQ(log_->LastIndexWithTermAtMost(LogIndex(4), Term(2)), LogIndex(2));
  EXPECT_EQ(log_->LastIndexWithTermAtMost(LogIndex(1), Term(3)), LogIndex(1));
}

TEST_F(RaftLogTest, ASnapshotFromTheLeaderReplacesEverything) {
  Open();
  for (int64_t i = 1; i <= 4; ++i) log_->Append(At(i, 1));
  log_->Reset({LogIndex(50), Term(7), {}});
  EXPECT_EQ(log_->first_index(), LogIndex(51));
  EXPECT_EQ(log_->last_term(), Term(7));
  log_->Append(At(51, 7));
  EXPECT_EQ(log_->Entries(LogIndex(51), LogIndex(52), 1), std::vector<Entry>{At(51, 7)});
}

}  // namespace
}  // namespace sluice::raft::testing
