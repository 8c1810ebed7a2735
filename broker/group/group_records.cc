#include "broker/group/group_records.h"

#include <glog/logging.h>

#include <utility>

#include "base/bytes.h"
#include "base/utf8.h"

namespace sluice::broker {
namespace {

// The versions in which Kafka 4.3.1 writes values, whatever the cluster's metadata version is:
// GroupCoordinatorRecordHelpers of its kafka-group-coordinator jar, which made the golden records
// in broker/testdata/group.
constexpr int16_t kOffsetCommitVersion = 4;
// The only version with an expiry of its own, which OffsetCommit below version 5 may ask for.
constexpr int16_t kOffsetCommitVersionThatExpires = 1;
constexpr int16_t kGroupMetadataVersion = 3;
constexpr int16_t kConsumerGroupVersion = 0;

template <typename Key, typename Value>
Result<GroupRecord> Encode(const Key& key, const Value& value, int16_t version) {
  static_assert(Key::kRecordType == Value::kRecordType);
  SLUICE_ASSIGN_OR_RETURN(std::string key_bytes, kafka::EncodeRecordKey(key));
  SLUICE_ASSIGN_OR_RETURN(std::string value_bytes, kafka::EncodeVersioned(value, version));
  return GroupRecord{std::move(key_bytes), std::move(value_bytes)};
}

template <typename Key>
Result<GroupKey> ReadKey(kafka::WireReader& reader) {
  Key key;
  SLUICE_RETURN_IF_ERROR(key.Decode(reader, Key::kVersionMax));
  return GroupKey(std::move(key));
}

// Reads the key whose type is `type`, of the variant's alternatives from Index on.
template <size_t Index = 1>
Result<GroupKey> ReadKeyOfType(int16_t type, kafka::WireReader& reader) {
  if constexpr (Index == std::variant_size_v<GroupKey>) {
    return GroupKey(UnknownGroupKey{type});
  } else {
    using Key = std::variant_alternative_t<Index, GroupKey>;
    return type == Key::kRecordType ? ReadKey<Key>(reader) : ReadKeyOfType<Index + 1>(type, reader);
  }
}

}  // namespace

Result<GroupKey> DecodeGroupKey(std::string_view key) {
  kafka::WireReader reader(key);
  const int16_t type = reader.ReadInt16();
  SLUICE_RETURN_IF_ERROR(reader.StatusOf("key of __consumer_offsets", -1));
  return ReadKeyOfType(type, reader);
}

Result<GroupRecord> EncodeGroupRecord(const kafka::OffsetCommitKey& key,
                                      const kafka::OffsetCommitValue& value) {
  const bool expires = value.expire_timestamp != -1;
  return Encode(key, value, expires ? kOffsetCommitVersionThatExpires : kOffsetCommitVersion);
}

Result<GroupRecord> EncodeGroupRecord(const kafka::GroupMetadataKey& key,
                                      const kafka::GroupMetadataValue& value) {
  return Encode(key, value, kGroupMetadataVersion);
}

Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupMetadataKey& key,
                                      const kafka::ConsumerGroupMetadataValue& value) {
  return Encode(key, value, kConsumerGroupVersion);
}

Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupMemberMetadataKey& key,
                                      const kafka::ConsumerGroupMemberMetadataValue& value) {
  return Encode(key, value, kConsumerGroupVersion);
}

Result<GroupRecord> EncodeGroupRecord(
    const kafka::ConsumerGroupTargetAssignmentMetadataKey& key,
    const kafka::ConsumerGroupTargetAssignmentMetadataValue& value) {
  return Encode(key, value, kConsumerGroupVersion);
}

Result<GroupRecord> EncodeGroupRecord(
    const kafka::ConsumerGroupTargetAssignmentMemberKey& key,
    const kafka::ConsumerGroupTargetAssignmentMemberValue& value) {
  return Encode(key, value, kConsumerGroupVersion);
}

Result<GroupRecord> EncodeGroupRecord(
    const kafka::ConsumerGroupCurrentMemberAssignmentKey& key,
    const kafka::ConsumerGroupCurrentMemberAssignmentValue& value) {
  return Encode(key, value, kConsumerGroupVersion);
}

Result<GroupRecord> EncodeGroupRecord(const kafka::ConsumerGroupRegularExpressionKey& key,
                                      const kafka::ConsumerGroupRegularExpressionValue& value) {
  return Encode(key, value, kConsumerGroupVersion);
}

std::string GroupKeyPrefix(int16_t record_type) {
  ByteWriter bytes;
  bytes.PutInt16(record_type);
  return bytes.Take();
}

int32_t PartitionForGroup(std::string_view group_id, int32_t partition_count) {
  CHECK_GT(partition_count, 0);
  // Java hashes UTF-16 units, in wrapping 32-bit arithmetic.
  uint32_t hash = 0;
  while (!group_id.empty()) {
    const char32_t character = TakeUtf8Character(group_id);
    if (character < 0x10000) {
      hash = hash * 31 + character;
    } else {
      hash = hash * 31 + (0xD800 + ((character - 0x10000) >> 10));
      hash = hash * 31 + (0xDC00 + (character & 0x3FF));
    }
  }
  // The least int has no absolute value; Kafka takes 0 for it.
  if (hash == 0x80000000U) return 0;
  const auto sum = static_cast<int32_t>(hash);
  return (sum < 0 ? -sum : sum) % partition_count;
}

}  // namespace sluice::broker
