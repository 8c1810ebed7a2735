// Records and partitions against those of Kafka's own coordinator (testdata/group, made by
// tests/compat/vectors), and against damage.

#include "broker/group/group_records.h"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"

namespace sluice::broker {
namespace {

constexpr const char* kGroup = "group-\xC3\xA4";
constexpr int64_t kTime = 1700000000000;

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::istringstream Golden(const std::string& name) {
  const Result<std::string> text = ReadFile(*NewPosixFileSystem(), "testdata/group/" + name);
  CHECK(text.ok()) << text.status().ToString() << "; run this in broker/";
  return std::istringstream(*text);
}

// What Kafka wrote, by the name of the case.
std::map<std::string, GroupRecord> GoldenRecords() {
  std::map<std::string, GroupRecord> records;
  std::istringstream lines = Golden("records.txt");
  for (std::string name, key, value; lines >> name >> key >> value;) {
    GroupRecord& record = records[name];
    record.key = FromHex(key);
    if (value != "-") record.value = FromHex(value);
  }
  return records;
}

Uuid Topic() {
  std::string bytes;
  for (char i = 1; i <= 16; ++i) bytes.push_back(i);
  return Uuid::FromBytes(bytes);
}

template <typename Key>
Key MemberKey() {
  Key key;
  key.group_id = kGroup;
  key.member_id = "member-1";
  return key;
}

template <typename Key>
Key GroupIdKey() {
  Key key;
  key.group_id = kGroup;
  return key;
}

kafka::OffsetCommitKey OffsetKey() {
  kafka::OffsetCommitKey key;
  key.group = kGroup;
  key.topic = "topic";
  key.partition = 7;
  return key;
}

kafka::GroupMetadataKey ClassicKey() {
  kafka::GroupMetadataKey key;
  key.group = kGroup;
  return key;
}

kafka::ConsumerGroupRegularExpressionKey ExpressionKey() {
  kafka::ConsumerGroupRegularExpressionKey key;
  key.group_id = kGroup;
  key.regular_expression = "a.*";
  return key;
}

class GroupRecordsTest : public ::testing::Test {
 protected:
  // Ours is Kafka's, byte for byte, and what Kafka wrote reads as what we meant.
  template <typename Key, typename Value>
  void ExpectGolden(const std::string& name, const Key& key, const Value& value) {
    const Result<GroupRecord> record = EncodeGroupRecord(key, value);
    ASSERT_TRUE(record.ok()) << name << ": " << record.status().ToString();
    const GroupRecord& golden = golden_.at(name);
    EXPECT_EQ(*record, golden) << name;
    EXPECT_EQ(*DecodeGroupKey(golden.key), GroupKey(key)) << name;
    EXPECT_EQ(*DecodeGroupValue<Value>(*golden.value), value) << name;
  }
  template <typename Key>
  void ExpectGoldenTombstone(const std::string& name, const Key& key) {
    EXPECT_EQ(*EncodeGroupTombstone(key), golden_.at(name)) << name;
    EXPECT_EQ(*DecodeGroupKey(golden_.at(name).key), GroupKey(key)) << name;
  }

  const std::map<std::string, GroupRecord> golden_ = GoldenRecords();
};

TEST_F(GroupRecordsTest, OffsetsAreKafkas) {
  kafka::OffsetCommitValue value;
  value.commit_timestamp = kTime;
  ExpectGolden("offset_commit_without_id", OffsetKey(), value);
  value.offset = 1234567890123;
  value.leader_epoch = 5;
  value.metadata = "meta";
  value.topic_id = Topic();
  ExpectGolden("offset_commit", OffsetKey(), value);
}

// Such a record has no room for the epoch and the id.
TEST_F(GroupRecordsTest, AnOffsetThatExpiresIsWrittenInVersion1) {
  kafka::OffsetCommitValue value;
  value.offset = 9;
  value.metadata = "meta";
  value.commit_timestamp = kTime;
  value.expire_timestamp = kTime + 500;
  ExpectGolden("offset_commit_that_expires", OffsetKey(), value);
  value.leader_epoch = 5;
  value.topic_id = Topic();
  EXPECT_EQ(*EncodeGroupRecord(OffsetKey(), value), golden_.at("offset_commit_that_expires"));
}

TEST_F(GroupRecordsTest, ClassicGroupsAreKafkas) {
  kafka::GroupMetadataValue value;
  value.current_state_timestamp = kTime;
  ExpectGolden("empty_group", ClassicKey(), value);
  value.protocol_type = "consumer";
  value.generation = 1;
  value.protocol = "range";
  value.leader = "member-1";
  kafka::GroupMetadataValue::MemberMetadata member;
  member.member_id = "member-1";
  member.group_instance_id = "instance-1";
  member.client_id = "client";
  member.client_host = "/127.0.0.1";
  member.rebalance_timeout = 300000;
  member.session_timeout = 45000;
  member.subscription = "\1\2\3";
  member.assignment = "\4\5";
  value.members.push_back(member);
  ExpectGolden("group", ClassicKey(), value);
}

TEST_F(GroupRecordsTest, MembersOfBothProtocolsAreKafkas) {
  const auto key = MemberKey<kafka::ConsumerGroupMemberMetadataKey>();
  kafka::ConsumerGroupMemberMetadataValue value;
  value.rack_id = "rack";
  value.client_id = "client";
  value.client_host = "/127.0.0.1";
  value.subscribed_topic_names = {"a", "b"};
  value.rebalance_timeout_ms = 300000;
  value.server_assignor = "uniform";
  value.classic_member_metadata.reset();
  ExpectGolden("member", key, value);
  value.instance_id = "instance-1";
  value.subscribed_topic_regex = "a.*";
  value.classic_member_metadata = kafka::ConsumerGroupMemberMetadataValue::ClassicMemberMetadata();
  value.classic_member_metadata->session_timeout_ms = 45000;
  value.classic_member_metadata->supported_protocols.push_back(
      {.name = "range", .metadata = "\1\2\3"});
  ExpectGolden("classic_member", key, value);
}

TEST_F(GroupRecordsTest, EpochsAndAssignmentsAreKafkas) {
  kafka::ConsumerGroupMetadataValue epoch;
  epoch.epoch = 11;
  epoch.metadata_hash = 0x1122334455667788;
  ExpectGolden("epoch", GroupIdKey<kafka::ConsumerGroupMetadataKey>(), epoch);

  kafka::ConsumerGroupTargetAssignmentMetadataValue target_metadata;
  target_metadata.assignment_epoch = 11;
  target_metadata.assignment_timestamp = kTime;
  ExpectGolden("target_metadata", GroupIdKey<kafka::ConsumerGroupTargetAssignmentMetadataKey>(),
               target_metadata);

  kafka::ConsumerGroupTargetAssignmentMemberValue target;
  target.topic_partitions.push_back({.topic_id = Topic(), .partitions = {0, 1}});
  ExpectGolden("target", MemberKey<kafka::ConsumerGroupTargetAssignmentMemberKey>(), target);

  kafka::ConsumerGroupCurrentMemberAssignmentValue current;
  current.member_epoch = 10;
  current.previous_member_epoch = 9;
  current.state = 1;
  current.assigned_partitions.push_back(
      {.topic_id = Topic(), .partitions = {0, 1}, .assignment_epochs = {{9, 10}}});
  current.partitions_pending_revocation.push_back(
      {.topic_id = Topic(), .partitions = {2}, .assignment_epochs = {{8}}});
  ExpectGolden("current", MemberKey<kafka::ConsumerGroupCurrentMemberAssignmentKey>(), current);

  kafka::ConsumerGroupRegularExpressionValue expression;
  expression.topics = {"a1", "a2"};
  expression.metadata_version = 77;
  expression.timestamp = kTime;
  ExpectGolden("regular_expression", ExpressionKey(), expression);
}

TEST_F(GroupRecordsTest, TombstonesAreKafkas) {
  ExpectGoldenTombstone("no_offset", OffsetKey());
  ExpectGoldenTombstone("no_group", ClassicKey());
  ExpectGoldenTombstone("no_epoch", GroupIdKey<kafka::ConsumerGroupMetadataKey>());
  ExpectGoldenTombstone("no_partition_metadata",
                        GroupIdKey<kafka::ConsumerGroupPartitionMetadataKey>());
  ExpectGoldenTombstone("no_member", MemberKey<kafka::ConsumerGroupMemberMetadataKey>());
  ExpectGoldenTombstone("no_target_metadata",
                        GroupIdKey<kafka::ConsumerGroupTargetAssignmentMetadataKey>());
  ExpectGoldenTombstone("no_target", MemberKey<kafka::ConsumerGroupTargetAssignmentMemberKey>());
  ExpectGoldenTombstone("no_current", MemberKey<kafka::ConsumerGroupCurrentMemberAssignmentKey>());
  ExpectGoldenTombstone("no_regular_expression", ExpressionKey());
}

TEST_F(GroupRecordsTest, TypesThatAreNotOursAreKeptAsUnknown) {
  EXPECT_EQ(*DecodeGroupKey(golden_.at("no_share_group").key), GroupKey(UnknownGroupKey{11}));
  EXPECT_EQ(*DecodeGroupKey("\x7F\xFF"), GroupKey(UnknownGroupKey{32767}));
  EXPECT_EQ(*DecodeGroupKey("\xFF\xFF of the future"), GroupKey(UnknownGroupKey{-1}));
  EXPECT_EQ(DecodeGroupKey("").status().code(), StatusCode::kInvalidArgument);
}

// Records of the first format: the key differs in its type alone, the value is version 0.
TEST_F(GroupRecordsTest, LegacyOffsetsAreRead) {
  std::string key = golden_.at("offset_commit").key;
  key[1] = 0;
  const GroupKey decoded = *DecodeGroupKey(key);
  ASSERT_TRUE(std::holds_alternative<kafka::LegacyOffsetCommitKey>(decoded));
  EXPECT_EQ(std::get<kafka::LegacyOffsetCommitKey>(decoded).topic, "topic");
  EXPECT_EQ(EncodeGroupTombstone(std::get<kafka::LegacyOffsetCommitKey>(decoded))->key, key);
  const auto value = DecodeGroupValue<kafka::OffsetCommitValue>(
      std::string("\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\x05", 20));
  EXPECT_EQ(value->offset, 9);
  EXPECT_EQ(value->commit_timestamp, 5);
  EXPECT_EQ(value->leader_epoch, -1);
}

TEST_F(GroupRecordsTest, ValuesOfTheFutureAreUnsupportedAndLongStringsRefused) {
  std::string value = *golden_.at("offset_commit").value;
  value[1] = 5;
  EXPECT_EQ(DecodeGroupValue<kafka::OffsetCommitValue>(value).status().code(),
            StatusCode::kUnsupported);
  kafka::OffsetCommitKey key = OffsetKey();
  key.group.assign(32768, 'g');
  EXPECT_FALSE(EncodeGroupRecord(key, kafka::OffsetCommitValue()).ok());
  EXPECT_FALSE(EncodeGroupTombstone(key).ok());
}

// Reads a damaged record as its key says; what is read must be written again and read as equal.
struct ReadAgain {
  const std::optional<std::string>& value;

  void operator()(const UnknownGroupKey&) const {}
  void operator()(const kafka::ConsumerGroupPartitionMetadataKey& key) const { Tombstone(key); }
  void operator()(const kafka::LegacyOffsetCommitKey& key) const { Tombstone(key); }
  void operator()(const kafka::OffsetCommitKey& key) const {
    Record<kafka::OffsetCommitValue>(key);
  }
  void operator()(const kafka::GroupMetadataKey& key) const {
    Record<kafka::GroupMetadataValue>(key);
  }
  void operator()(const kafka::ConsumerGroupMetadataKey& key) const {
    Record<kafka::ConsumerGroupMetadataValue>(key);
  }
  void operator()(const kafka::ConsumerGroupMemberMetadataKey& key) const {
    Record<kafka::ConsumerGroupMemberMetadataValue>(key);
  }
  void operator()(const kafka::ConsumerGroupTargetAssignmentMetadataKey& key) const {
    Record<kafka::ConsumerGroupTargetAssignmentMetadataValue>(key);
  }
  void operator()(const kafka::ConsumerGroupTargetAssignmentMemberKey& key) const {
    Record<kafka::ConsumerGroupTargetAssignmentMemberValue>(key);
  }
  void operator()(const kafka::ConsumerGroupCurrentMemberAssignmentKey& key) const {
    Record<kafka::ConsumerGroupCurrentMemberAssignmentValue>(key);
  }
  void operator()(const kafka::ConsumerGroupRegularExpressionKey& key) const {
    Record<kafka::ConsumerGroupRegularExpressionValue>(key);
  }

  template <typename Key>
  void Tombstone(const Key& key) const {
    EXPECT_EQ(*DecodeGroupKey(EncodeGroupTombstone(key)->key), GroupKey(key));
  }
  template <typename Value, typename Key>
  void Record(const Key& key) const {
    Tombstone(key);
    if (!value.has_value()) return;
    const Result<Value> read = DecodeGroupValue<Value>(*value);
    if (!read.ok()) return;
    // The version written may lack what the damaged one carried, but once written it holds still.
    const Result<GroupRecord> written = EncodeGroupRecord(key, *read);
    if (!written.ok()) return;
    const Result<Value> again = DecodeGroupValue<Value>(*written->value);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(*EncodeGroupRecord(key, *again), *written);
  }
};

std::string Damage(std::string bytes, Random& random) {
  constexpr unsigned char kDangerous[] = {0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF};
  for (uint64_t left = random.Below(4); left > 0 && !bytes.empty(); --left) {
    const auto value = random.Chance(1, 2)
                           ? static_cast<char>(kDangerous[random.Below(std::size(kDangerous))])
                           : static_cast<char>(random.Next());
    const size_t at = random.Below(bytes.size());
    switch (random.Below(4)) {
      case 0: bytes.insert(at, random.Below(5), value); break;
      case 1: bytes.resize(at); break;
      default: bytes[at] = value;
    }
  }
  return bytes;
}

TEST_F(GroupRecordsTest, DamagedRecordsNeverCrash) {
  constexpr int kMutationsOfEach = 3000;
  Random random(20260718);
  for (const auto& [name, record] : golden_) {
    for (int i = 0; i < kMutationsOfEach; ++i) {
      const Result<GroupKey> key = DecodeGroupKey(Damage(record.key, random));
      if (!key.ok()) continue;
      std::optional<std::string> value = record.value;
      if (value.has_value()) value = Damage(*value, random);
      std::visit(ReadAgain{value}, *key);
    }
  }
}

TEST(PartitionForGroupTest, IsJavas) {
  std::istringstream lines = Golden("partitions.txt");
  int cases = 0;
  std::string group;
  for (int32_t count = 0, partition = 0; lines >> group >> count >> partition; ++cases) {
    EXPECT_EQ(PartitionForGroup(group == "-" ? "" : FromHex(group), count), partition)
        << group << " of " << count;
  }
  EXPECT_EQ(cases, 36);
}

TEST(PartitionForGroupTest, BytesThatAreNoTextCountAsReplacements) {
  constexpr int32_t kMany = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(PartitionForGroup("a\xFFz", kMany), PartitionForGroup("a\xEF\xBF\xBDz", kMany));
}

}  // namespace
}  // namespace sluice::broker
