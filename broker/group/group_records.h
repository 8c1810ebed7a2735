#pragma once
// The records of __consumer_offsets, byte for byte as Kafka's group coordinator writes them, so
// that its tools, MirrorMaker and lag exporters read the topic. A key begins with the record's type
// (int16), a value with its version; a record without value removes its key. The fields stand in
// kafka/schema/*_record.msg.
//
//   SLUICE_ASSIGN_OR_RETURN(const GroupKey key, DecodeGroupKey(record.key));
//   if (const auto* commit = std::get_if<kafka::OffsetCommitKey>(&key)) {
//     SLUICE_ASSIGN_OR_RETURN(const auto value,
//                             DecodeGroupValue<kafka::OffsetCommitValue>(*record.value));
//     ...
//   }
//
// Thread rule: pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "kafka/messages/consumer_group_current_member_assignment_record.h"
#include "kafka/messages/consumer_group_member_metadata_record.h"
#include "kafka/messages/consumer_group_metadata_record.h"
#include "kafka/messages/consumer_group_partition_metadata_record.h"
#include "kafka/messages/consumer_group_regular_expression_record.h"
#include "kafka/messages/consumer_group_target_assignment_member_record.h"
#include "kafka/messages/consumer_group_target_assignment_metadata_record.h"
#include "kafka/messages/group_metadata_record.h"
#include "kafka/messages/legacy_offset_commit_record.h"
#include "kafka/messages/offset_commit_record.h"
#include "kafka/versioned.h"

namespace sluice::broker {

struct GroupRecord {
  std::string key;
  std::optional<std::string> value;
  bool operator==(const GroupRecord&) const = default;
};

// A record of a type that this build does not know (share and streams groups, or the future). It is
// passed over and kept in the topic.
struct UnknownGroupKey {
  int16_t type = 0;
  bool operator==(const UnknownGroupKey&) const = default;
};

using GroupKey = std::variant<
    UnknownGroupKey, kafka::LegacyOffsetCommitKey, kafka::OffsetCommitKey, kafka::GroupMetadataKey,
    kafka::ConsumerGroupMetadataKey, kafka::ConsumerGroupPartitionMetadataKey,
    kafka::ConsumerGroupMemberMetadataKey, kafka::ConsumerGroupTargetAssignmentMetadataKey,
    kafka::ConsumerGroupTargetAssignmentMemberKey, kafka::ConsumerGroupCurrentMemberAssignmentKey,
    kafka::ConsumerGroupRegularExpressionKey>;

// Fails on damaged bytes only.
Result<GroupKey> DecodeGroupKey(std::string_view key);

// kUnsupported for a version that this build does not know, kInvalidArgument for damaged bytes. The
// value of a LegacyOffsetCommitKey is an OffsetCommitValue.
template <typename Value>
Result<Value> DecodeGroupValue(std::string_view value) {
  return kafka::DecodeVersioned<Value>(value);
}

// One for each record. They fail when a string is longer than Kafka's formats allow (32767 bytes).
Result<GroupRecord> EncodeGroupRecord(const kafka::OffsetCommitKey& key,
                                      const kafka::OffsetCommitValue& value);
Result<GroupRecord> EncodeGroupRecord(const kafka::GroupMetadataKey& key,
                                      const kafka::GroupMetadataValue& value);
Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupMetadataKey& key,
                                      const kafka::ConsumerGroupMetadataValue& value);
Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupMemberMetadataKey& key,
                                      const kafka::ConsumerGroupMemberMetadataValue& value);
Result<GroupRecord> EncodeGroupRecord(
    const kafka::ConsumerGroupTargetAssignmentMetadataKey& key,
    const kafka::ConsumerGroupTargetAssignmentMetadataValue& value);
Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupTargetAssignmentMemberKey& key,
                                      const kafka::ConsumerGroupTargetAssignmentMemberValue& value);
Result<GroupRecord> EncodeGroupRecord(
    const kafka::ConsumerGroupCurrentMemberAssignmentKey& key,
    const kafka::ConsumerGroupCurrentMemberAssignmentValue& value);
Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupRegularExpressionKey& key,
                                      const kafka::ConsumerGroupRegularExpressionValue& value);

// The record that removes `key`: any of the keys above but UnknownGroupKey.
template <typename Key>
Result<GroupRecord> EncodeGroupTombstone(const Key& key) {
  SLUICE_ASSIGN_OR_RETURN(std::string bytes, kafka::EncodeRecordKey(key));
  return GroupRecord{std::move(bytes), std::nullopt};
}

// What the keys of one type of record begin with.
std::string GroupKeyPrefix(int16_t record_type);

// The partition of __consumer_offsets that keeps a group, of `partition_count`: Java's
// String.hashCode of the id, as Kafka spreads them. The id is UTF-8; bytes that are not count as
// U+FFFD each.
int32_t PartitionForGroup(std::string_view group_id, int32_t partition_count);

}  // namespace sluice::broker
