// RepairIndexes: what it builds is what the server would have built, the .log files stay as they
// are, and an interruption leaves the old index or the new one.

#include <gmock/gmock.h>

#include "storage/file_names.h"
#include "storage/inspect/entry_reader.h"
#include "storage/testing/inspect_fixture.h"
#include "storage/testing/test_batches.h"

namespace sluice::storage {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class RepairTest : public testing::InspectFixture {
 protected:
  Status TryRepair(const std::string& directory) {
    return RepairIndexes(
               fs_, directory, {.index_interval_bytes = 200},
               {.index = [](const RepairedIndex&) {}, .damage = [](const UnreadableLog&) {}})
        .status();
  }
};

TEST_F(RepairTest, WhatIsWholeStaysUnchanged) {
  FillTwo();
  const auto before = Everything();
  const RepairTotals totals = Repair("/data");
  EXPECT_EQ(totals.partitions, 2);
  EXPECT_GT(totals.segments, 6);
  EXPECT_EQ(totals.unchanged, totals.segments * 2);
  EXPECT_EQ(Everything(), before);
}

TEST_F(RepairTest, ALogThatIsGoneIsToldAndItsIndexesStay) {
  FillTwo();
  ASSERT_TRUE(fs_.Remove(Path("orders-0", kLogSuffix, 1)).ok());
  const auto before = Everything();
  EXPECT_EQ(Repair("/data").damaged_logs, 1);
  EXPECT_EQ(Everything(), before);
}

TEST_F(RepairTest, AWrongSegmentCostsTheNextOneNoIndex) {
  FillTwo();
  Write(Path("orders-0", kLogSuffix, 1), Bytes(Path("orders-0", kLogSuffix, 2)));
  const auto before = Everything();
  EXPECT_EQ(Repair("/data").damaged_logs, 1);
  EXPECT_EQ(Everything(), before);
}

TEST_F(RepairTest, AnyDamageOfAnIndexIsMended) {
  FillTwo();
  const auto sound = Everything();
  for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix}) {
    const std::string index = Path("orders-0", suffix, 1);
    const std::string bytes = Bytes(index);
    const std::vector<std::string> damages = {
        "",
        bytes.substr(0, bytes.size() - 5),
        std::string(bytes.size(), '\0'),
        bytes.substr(0, 12) + std::string(bytes.size() - 12, '\0'),
        Bytes(Path("payments-0", suffix, 1)),
        Bytes(Path("orders-0", suffix, 2))};
    for (const std::string& damage : damages) {
      Write(index, damage);
      EXPECT_EQ(Repair("/data/orders-0", true).replaced, 1);
      EXPECT_EQ(Bytes(index), damage);  // a dry run
      const RepairTotals totals = Repair("/data/orders-0");
      EXPECT_EQ(totals.replaced, 1);
      EXPECT_EQ(totals.damaged_logs, 0);
      EXPECT_EQ(Everything(), sound);
    }
    ASSERT_TRUE(fs_.Remove(index).ok());
    EXPECT_EQ(Repair("/data").made, 1);
    EXPECT_EQ(Everything(), sound);
  }
}

TEST_F(RepairTest, ADamagedLogIsToldAndLeftAlone) {
  FillTwo();
  const std::string log = Path("orders-0", kLogSuffix, 1);
  fs_.FlipBit(log, 1000, 2);
  const std::string damaged = Bytes(log);
  EXPECT_EQ(Repair("/data/orders-0").damaged_logs, 1);
  EXPECT_EQ(Bytes(log), damaged);
}

TEST_F(RepairTest, TellsOfDamageInTheWordsOfVerify) {
  FillTwo();
  const std::string log = Path("orders-0", kLogSuffix, 1);
  const std::string sound = Bytes(log);
  std::string rotten = sound, cleared = sound;
  rotten[1000] ^= 4;
  cleared.replace(0, 20, 20, '\0');
  for (const std::string& bytes : {rotten, cleared, sound + sound}) {
    Write(log, bytes);
    std::vector<std::string> told;
    const RepairReport report{.index = [](const RepairedIndex&) {},
                              .damage =
                                  [&](const UnreadableLog& damage) {
                                    EXPECT_FALSE(damage.foreign);
                                    told.push_back(damage.file + "@" +
                                                   std::to_string(damage.position) + ": " +
                                                   damage.problem);
                                  }};
    const RepairOptions options{.dry_run = true, .index_interval_bytes = 200};
    ASSERT_TRUE(RepairIndexes(fs_, "/data", options, report).ok());
    ASSERT_EQ(told.size(), 1U);
    EXPECT_THAT(Faults(), ::testing::Contains(HasSubstr(told.front())));
  }
}

TEST_F(RepairTest, NotUnderARunningServer) {
  Fill("orders", 0, 1);
  EXPECT_EQ(TryRepair("/data").code(), StatusCode::kUnavailable);
  EXPECT_EQ(TryRepair("/data/orders-0").code(), StatusCode::kUnavailable);
  Stop();
  EXPECT_TRUE(TryRepair("/data").ok());
}

TEST_F(RepairTest, AnInterruptedRepairLeavesTheOldIndex) {
  using ::sluice::testing::FileOperation;
  FillTwo();
  const std::string index = Path("orders-0", kIndexSuffix, 1);
  const std::string sound = Bytes(index);
  const std::string damage = sound.substr(0, 20);
  for (const FileOperation operation :
       {FileOperation::kWrite, FileOperation::kSync, FileOperation::kRename}) {
    Write(index, damage);
    fs_.InjectFault({.operation = operation, .path_part = ".tmp"});
    EXPECT_FALSE(TryRepair("/data/orders-0").ok());
    EXPECT_EQ(Bytes(index), damage);
    fs_.ClearFaults();
    EXPECT_TRUE(TryRepair("/data/orders-0").ok());
    EXPECT_EQ(Bytes(index), sound);
  }
}

TEST_F(RepairTest, WhatWasMendedSurvivesAPowerCut) {
  FillTwo();
  ASSERT_TRUE(fs_.SyncFileSystem("/").ok());
  const std::string index = Path("orders-0", kIndexSuffix, 1);
  const std::string sound = Bytes(index);
  Write(index, "");
  ASSERT_TRUE(fs_.SyncFileSystem("/").ok());
  Repair("/data/orders-0");
  fs_.Crash(random_);
  EXPECT_EQ(Bytes(index), sound);
}

// A partition with transactions, as files alone: batches at consecutive offsets.
class TransactionFiles : public RepairTest {
 protected:
  static constexpr char kPartition[] = "/copy/ledger-0";
  static constexpr char kMarker[] = "/copy/.kafka_cleanshutdown";

  void Data(int64_t producer) {
    kafka::RecordBatchBuilder builder({.base_offset = next_,
                                       .partition_leader_epoch = LeaderEpoch(0),
                                       .producer_id = ProducerId(producer),
                                       .producer_epoch = 0,
                                       .base_sequence = sequence_++,
                                       .is_transactional = true});
    builder.Append({.timestamp_ms = 1000 + next_.value(), .key = "k", .value = "v"});
    Add(builder);
  }
  void Marker(int64_t producer, bool commit) {
    kafka::RecordBatchBuilder builder({.base_offset = next_,
                                       .partition_leader_epoch = LeaderEpoch(0),
                                       .producer_id = ProducerId(producer),
                                       .producer_epoch = 0,
                                       .is_transactional = true,
                                       .is_control = true});
    const std::string key = std::string(3, '\0') + (commit ? '\1' : '\0');
    const std::string value = std::string(2, '\0') + std::string(3, '\0') + '\5';
    builder.Append({.timestamp_ms = 1000 + next_.value(), .key = key, .value = value});
    Add(builder);
  }
  void Save() {
    ASSERT_TRUE(fs_.CreateDirectories(kPartition).ok());
    Write(std::string(kPartition) + "/" + testing::kFirstLog, bytes_);
    Write(kMarker, "{}");
  }
  std::string Aborts() const {
    return std::string(kPartition) + "/" + OffsetFileName(Offset(0), kTxnIndexSuffix);
  }

 private:
  void Add(kafka::RecordBatchBuilder& builder) {
    bytes_ += builder.Build().value();
    next_ = next_ + 1;
  }

  Offset next_{0};
  int32_t sequence_ = 0;
  std::string bytes_;
};

TEST_F(TransactionFiles, AbortedTransactionsAreFoundAgain) {
  Data(7);           // 0
  Data(8);           // 1
  Marker(7, false);  // 2: aborted from 0 on, while 8 is open since 1
  Data(7);           // 3
  Marker(8, true);   // 4
  Marker(7, false);  // 5: aborted from 3 on, nothing else open
  Marker(9, false);  // 6: of a transaction that left nothing here
  Save();
  EXPECT_THAT(Faults(kPartition), ::testing::Contains(HasSubstr("aborted transactions")));
  Repair(kPartition);
  EXPECT_THAT(Faults(kPartition), IsEmpty());
  auto reader = EntryReader::Open(fs_, Aborts(), kTxnEntryBytes).value();
  std::vector<TxnEntry> entries;
  while (true) {
    const std::string_view entry = reader->Next().value();
    if (entry.empty()) break;
    entries.push_back(DecodeTxnEntry(entry));
  }
  EXPECT_EQ(entries, (std::vector<TxnEntry>{{0, ProducerId(7), Offset(0), Offset(2), Offset(1)},
                                            {0, ProducerId(7), Offset(3), Offset(5), Offset(6)}}));
}

TEST_F(TransactionFiles, AfterACrashTheNewestEntriesMayBeMissing) {
  for (int i = 0; i < 5; ++i) {
    Data(7 + i);
    Marker(7 + i, false);
  }
  Save();
  ASSERT_TRUE(fs_.Remove(kMarker).ok());
  EXPECT_THAT(Faults(kPartition), IsEmpty());
  Repair(kPartition);
  const std::string sound = Bytes(Aborts());
  Write(Aborts(), sound.substr(0, 2 * kTxnEntryBytes));
  EXPECT_THAT(Faults(kPartition), IsEmpty());
  Write(Aborts(), sound.substr(2 * kTxnEntryBytes));
  EXPECT_THAT(Faults(kPartition), Not(IsEmpty()));
}

TEST_F(TransactionFiles, AnIndexOfAbortsOfAnyDamage) {
  for (int i = 0; i < 5; ++i) {
    Data(7 + i);
    Marker(7 + i, i == 2);
  }
  Save();
  Repair(kPartition);
  const std::string sound = Bytes(Aborts());
  ASSERT_EQ(sound.size(), 4 * kTxnEntryBytes);
  const std::string cut = sound.substr(0, 2 * kTxnEntryBytes);
  for (const std::string& damage : {cut, sound.substr(0, 40), std::string(sound.size(), '\0'),
                                    sound + sound, sound.substr(kTxnEntryBytes), std::string()}) {
    Write(Aborts(), damage);
    EXPECT_THAT(Faults(kPartition), Not(IsEmpty())) << damage.size();
    Repair(kPartition);
    EXPECT_EQ(Bytes(Aborts()), sound);
  }
  for (size_t at = 0; at < sound.size(); ++at) {
    // The last stable offset only tells a search when to stop.
    if (at % kTxnEntryBytes >= 26) continue;
    fs_.FlipBit(Aborts(), at, 0);
    EXPECT_THAT(Faults(kPartition), Not(IsEmpty())) << at;
    fs_.FlipBit(Aborts(), at, 0);
  }
}

}  // namespace
}  // namespace sluice::storage
