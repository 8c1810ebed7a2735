// VerifyDirectory against every kind of damage: what is whole has no finding, what is not has one
// that names the file and says what to do.

#include <gmock/gmock.h>

#include "storage/file_names.h"
#include "storage/testing/inspect_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class VerifyTest : public testing::InspectFixture {
 protected:
  // One fault of this file with these words, whatever else there may be.
  void ExpectFault(const std::string& file, const std::string& words) {
    EXPECT_THAT(Faults(), Contains(AllOf(StartsWith(file), HasSubstr(words))));
  }
};

TEST_F(VerifyTest, WhatWasClosedCleanlyIsWhole) {
  FillTwo();
  EXPECT_GT(Names("orders-0", kLogSuffix).size(), 3u);
  EXPECT_THAT(Verify(), IsEmpty());
  EXPECT_THAT(Verify("/data/orders-0"), IsEmpty());
  EXPECT_THAT(Verify("/data", {.records = true}), IsEmpty());
}

TEST_F(VerifyTest, ItNeverWrites) {
  FillTwo();
  Overwrite(Path("orders-0", kLogSuffix, 1), 100, std::string(50, '\0'));
  Write(Path("payments-0", kIndexSuffix), "");
  const auto before = Everything();
  const auto counts = fs_.counts();
  EXPECT_THAT(Faults(), Not(IsEmpty()));
  EXPECT_EQ(Everything(), before);
  EXPECT_EQ(fs_.counts().writes, counts.writes);
}

TEST_F(VerifyTest, ALogOfAnyDamage) {
  FillTwo();
  const std::string log = Path("orders-0", kLogSuffix, 1);
  const std::string sound = Bytes(log);
  Overwrite(log, sound.size() / 2, "\x55");
  ExpectFault(log + "@", "fails its checksum");
  Write(log, sound.substr(0, sound.size() - 10));
  ExpectFault(log + "@", "is cut short");
  Write(log, std::string(sound.size(), '\0'));
  ExpectFault(log + "@0: ", "zero bytes stand where a batch is due");
  Write(log, sound);
  Overwrite(log, 300, std::string(700, '\0'));
  ExpectFault(log + "@", "a whole batch follows at position");
  Write(log, "");
  ExpectFault("/data/orders-0/", "are missing before this");
}

TEST_F(VerifyTest, LogsOfOtherPlaces) {
  FillTwo();
  Swap(Path("orders-0", kLogSuffix), Path("payments-0", kLogSuffix));
  EXPECT_THAT(Faults("/data/orders-0"), Not(IsEmpty()));
  EXPECT_THAT(Faults("/data/payments-0"), Not(IsEmpty()));
  Swap(Path("orders-0", kLogSuffix), Path("payments-0", kLogSuffix));
  EXPECT_THAT(Faults(), IsEmpty());
  Swap(Path("orders-0", kLogSuffix, 1), Path("orders-0", kLogSuffix, 2));
  ExpectFault(Path("orders-0", kLogSuffix, 2), "below the segment's base");
}

TEST_F(VerifyTest, ASegmentThatIsGone) {
  FillTwo();
  const std::string log = Path("orders-0", kLogSuffix, 1);
  const std::string next = Path("orders-0", kLogSuffix, 2);
  const std::string indexes[] = {Path("orders-0", kIndexSuffix, 1),
                                 Path("orders-0", kTimeIndexSuffix, 1)};
  ASSERT_TRUE(fs_.Remove(log).ok());
  for (const bool compacted : {false, true}) {
    const auto findings = Verify("/data", {.compacted = compacted});
    ASSERT_EQ(findings.size(), 1u) << "told once";
    EXPECT_EQ(findings[0].file, log);
    EXPECT_THAT(findings[0].problem, HasSubstr("missing, while its index files are there"));
    EXPECT_THAT(findings[0].remedy, HasSubstr("refuses reads of what is lost"));
  }
  for (const std::string& index : indexes) ASSERT_TRUE(fs_.Remove(index).ok());
  EXPECT_THAT(Faults(), SizeIs(1));
  ExpectFault(next, "are missing before this");
  EXPECT_THAT(Verify("/data", {.compacted = true}), IsEmpty());
}

TEST_F(VerifyTest, TheNewestOrTheFirstSegmentThatIsGoneIsToldOnce) {
  FillTwo();
  for (const int n : {0, -1}) {
    const std::string log = Path("orders-0", kLogSuffix, n);
    const std::string sound = Bytes(log);
    ASSERT_TRUE(fs_.Remove(log).ok());
    EXPECT_THAT(Faults(), SizeIs(1));
    ExpectFault(log, "missing, while its index files are there");
    Write(log, sound);
  }
  // Without its indexes the newest is missed by the numbers that the stop left, once.
  for (const std::string_view suffix : {kLogSuffix, kIndexSuffix, kTimeIndexSuffix})
    ASSERT_TRUE(fs_.Remove(Path("orders-0", suffix, -1)).ok());
  EXPECT_THAT(Faults(), SizeIs(1));
  ExpectFault("/data/orders-0", "below its recovery point");
}

TEST_F(VerifyTest, ASegmentInTheNextOnesPlaceIsNotBlamedOnThat) {
  FillTwo();
  const std::string second = Path("orders-0", kLogSuffix, 1);
  const std::string third = Path("orders-0", kLogSuffix, 2);
  Write(second, Bytes(third));
  ExpectFault(third, "the segment before it reaches to offset");
  for (const std::string& fault : Faults())
    EXPECT_THAT(fault, Not(HasSubstr("or more is due"))) << fault;
}

TEST_F(VerifyTest, WhereNoIndexFitsARepairIsNotTheFirstAdvice) {
  FillTwo();
  Write(Path("orders-0", kLogSuffix, 1), "");
  int of_indexes = 0;
  for (const Finding& finding : Verify()) {
    of_indexes += finding.file.ends_with("index") ? 1 : 0;
    EXPECT_THAT(finding.remedy, Not(HasSubstr("repair --indexes"))) << finding.file;
  }
  EXPECT_EQ(of_indexes, 2);
}

TEST_F(VerifyTest, IndexesOfAnyDamage) {
  FillTwo();
  for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix}) {
    const std::string index = Path("orders-0", suffix, 1);
    const std::string sound = Bytes(index);
    ASSERT_GT(sound.size(), 30u);
    Write(index, sound.substr(0, sound.size() - 3));
    EXPECT_THAT(Faults(), SizeIs(1)) << suffix;
    ExpectFault(index + "@", "torn");
    Write(index, std::string(sound.size(), '\0'));
    ExpectFault(index + "@0", "zero-filled");
    Overwrite(index, 0, sound.substr(0, 12));
    ExpectFault(index + "@", "");
    Write(index, sound);
    Swap(index, Path("payments-0", suffix, 1));
    ExpectFault(index, "");
    Swap(index, Path("payments-0", suffix, 1));
    Swap(index, Path("orders-0", suffix, 2));
    ExpectFault(index, "");
    Swap(index, Path("orders-0", suffix, 2));
    ASSERT_TRUE(fs_.Remove(index).ok());
    ExpectFault(index, "missing");
    Write(index, sound);
    EXPECT_THAT(Faults(), IsEmpty());
  }
}

TEST_F(VerifyTest, ATimeIndexThatEndsTooEarlyMisleadsRetention) {
  FillTwo();
  const std::string index = Path("orders-0", kTimeIndexSuffix, 1);
  const std::string sound = Bytes(index);
  Write(index, sound.substr(0, sound.size() - 12));
  ExpectFault(index, "the entries end at time");
}

TEST_F(VerifyTest, TheNewestIndexesMayLagAndEndInZerosAsKafkaLeavesThem) {
  FillTwo();
  for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix}) {
    const size_t entry = suffix == kIndexSuffix ? 8 : 12;
    const std::string index = Path("orders-0", suffix, -1);
    const std::string sound = Bytes(index);
    Write(index, sound.substr(0, entry) + std::string(1000 * entry, '\0'));
    EXPECT_THAT(Faults(), IsEmpty());
    Write(index, sound + std::string(5 * entry, '\0') + sound.substr(0, entry));
    ExpectFault(index, "hole of zeros");
    ASSERT_TRUE(fs_.Remove(index).ok());
    EXPECT_THAT(Faults(), IsEmpty());
    Write(index, sound);
  }
}

TEST_F(VerifyTest, ASnapshotThatIsMissingBesideOthersIsNoted) {
  FillTwo();
  const std::string snapshot = Path("orders-0", kSnapshotSuffix, 1);
  ASSERT_TRUE(fs_.Remove(snapshot).ok());
  const auto findings = Verify();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].kind, Finding::Kind::kNote);
  EXPECT_EQ(findings[0].file, snapshot);
  EXPECT_THAT(findings[0].problem, HasSubstr("missing, while other segments have theirs"));
}

TEST_F(VerifyTest, SnapshotsOfAnyDamage) {
  FillTwo();
  const std::string snapshot = Path("orders-0", kSnapshotSuffix, -1);
  const std::string sound = Bytes(snapshot);
  fs_.FlipBit(snapshot, 20, 3);
  ExpectFault(snapshot, "checksum");
  Write(snapshot, sound.substr(0, 7));
  ExpectFault(snapshot, "");
  Write(snapshot, std::string(sound.size(), '\0'));
  ExpectFault(snapshot, "");
  Write(snapshot, sound);
  // Of another partition, at an offset that fits.
  Write(snapshot, Bytes(Path("payments-0", kSnapshotSuffix, 0)));
  ExpectFault(snapshot, "another partition's");
}

TEST_F(VerifyTest, EpochHistoriesOfAnyDamage) {
  FillTwo();
  const std::string epochs = "/data/orders-0/leader-epoch-checkpoint";
  const std::string sound = Bytes(epochs);
  Write(epochs, sound.substr(0, sound.size() - 6));
  ExpectFault(epochs, "");
  Write(epochs, std::string(sound.size(), '\0'));
  ExpectFault(epochs, "version");
  Write(epochs, Bytes("/data/payments-0/leader-epoch-checkpoint"));
  ExpectFault(epochs, "where a batch of epoch");
  Write(epochs, "0\n4\n1 0\n2 60\n3 120\n9 999999\n");
  ExpectFault(epochs, "");
}

TEST_F(VerifyTest, TopicIds) {
  FillTwo();
  const std::string metadata = "/data/orders-0/partition.metadata";
  const std::string sound = Bytes(metadata);
  Write(metadata, "version: 0\ntopic_id: !!!!!!!!!!!!!!!!!!!!!!");
  ExpectFault(metadata, "");
  Write(metadata, Bytes("/data/payments-0/partition.metadata"));
  ExpectFault("/data/payments-0/partition.metadata", "is also that of topic orders");
  Write(metadata, std::string(43, '\0'));
  EXPECT_THAT(Faults(), IsEmpty());  // the server writes it again
  EXPECT_THAT(Verify(), SizeIs(1));
}

TEST_F(VerifyTest, PartitionsOfOneTopicWithDifferentIds) {
  Fill("orders", 0, 1);
  Fill("orders", 1, 2);
  Stop();
  ExpectFault("/data/orders-", "different topic ids");
}

TEST_F(VerifyTest, CheckpointsAndIdentity) {
  FillTwo();
  Write("/data/recovery-point-offset-checkpoint", "0\n2\norders 0 999999\npayments 0 5\n");
  ExpectFault("/data/orders-0", "below its recovery point 999999");
  Write("/data/recovery-point-offset-checkpoint", "0\n7\norders 0 5\n");
  ExpectFault("/data/recovery-point-offset-checkpoint", "announces 7 entries");
  Write("/data/recovery-point-offset-checkpoint", "0\n1\ngone 0 5\n");
  EXPECT_THAT(Faults(), IsEmpty());
  Write("/data/recovery-point-offset-checkpoint", "");
  EXPECT_THAT(Faults(), IsEmpty());  // as Kafka makes them
  Write("/data/meta.properties", "version=1\n");
  ExpectFault("/data/meta.properties", "");
}

TEST_F(VerifyTest, WhatAServerIsWritingMayLookTorn) {
  Fill("orders", 0, 1);
  const std::string log = Path("orders-0", kLogSuffix, -1);
  Write(log, Bytes(log) + std::string(20, '\7'));
  EXPECT_THAT(Faults(), IsEmpty());
  EXPECT_THAT(Verify(), Not(IsEmpty()));
  fs_.KillProcess();
  ExpectFault(log, "cut short");
}

// It has a meta.properties of its own, and moved away it would take the node's votes with it.
TEST_F(VerifyTest, TheMetadataLogIsAPartitionThatStaysWhereItIs) {
  Fill("__cluster_metadata", 0, 2);
  const std::string directory = "/data/__cluster_metadata-0";
  Write(directory + "/meta.properties", Bytes("/data/meta.properties"));
  EXPECT_THAT(Faults(directory), IsEmpty());
  const std::string log = Path("__cluster_metadata-0", kLogSuffix);
  Overwrite(log, Bytes(log).size() / 2, "\x55");
  for (const std::string& asked : {directory, std::string("/data")}) {
    std::vector<std::string> remedies;
    const Report report = [&](const Finding& finding) {
      if (finding.kind == Finding::Kind::kFault) remedies.push_back(finding.remedy);
    };
    ASSERT_TRUE(VerifyDirectory(fs_, asked, {}, report).ok());
    EXPECT_THAT(remedies, AllOf(SizeIs(1), Each(StartsWith("start the node and leave"))));
  }
}

TEST_F(VerifyTest, WhatIsNoLogDirectory) {
  const Report report = [](const Finding&) {};
  ASSERT_TRUE(fs_.CreateDirectories("/other").ok());
  EXPECT_EQ(VerifyDirectory(fs_, "/nothing", {}, report).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(VerifyDirectory(fs_, "/other", {}, report).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(VerifyTest, EveryFlippedBitIsFound) {
  FillTwo();
  std::vector<std::string> files;
  for (const auto& [path, bytes] : Everything()) {
    const bool checked = path.ends_with(kLogSuffix) || path.ends_with(kIndexSuffix) ||
                         path.ends_with(kTimeIndexSuffix) || path.ends_with(kSnapshotSuffix);
    if (checked && !bytes.empty()) files.push_back(path);
  }
  Random random(11);
  for (int i = 0; i < 500; ++i) {
    const std::string& path = files[random.Below(files.size())];
    const uint64_t at = random.Below(Bytes(path).size());
    const int bit = static_cast<int>(random.Below(8));
    fs_.FlipBit(path, at, bit);
    EXPECT_THAT(Faults(), Not(IsEmpty())) << path << " byte " << at << " bit " << bit;
    fs_.FlipBit(path, at, bit);
  }
  EXPECT_THAT(Faults(), IsEmpty());
}

}  // namespace
}  // namespace sluice::storage
