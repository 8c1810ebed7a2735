#pragma once
// WireReader: decodes a Kafka message. It adds to ByteReader the protocol's lengths (fixed or
// compact), nulls and tagged fields, and knows who owns the frame, so that records point into it
// instead of being copied. Owned by whoever decodes, for the length of one message.
//
// What a hostile frame may cost is bounded three times: a count must fit into the bytes that
// remain, the elements of all arrays together take at most kMemoryFloorBytes + kMemoryPerByte *
// frame size, and a struct carries at most kTaggedFieldsMax tagged fields. A failure is final, as
// in ByteReader: later reads give zeros, and StatusOf() tells it once.
//
// Thread rule: one owner.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/output_chain.h"
#include "base/status.h"
#include "base/uuid.h"
#include "kafka/raw_tagged_field.h"
#include "kafka/records.h"

namespace sluice::kafka {

class WireReader {
 public:
  static constexpr size_t kMemoryFloorBytes = size_t{1} << 20;
  // Real messages stay below 8: their structs hold names, and a struct of many fields has many
  // bytes on the wire.
  static constexpr size_t kMemoryPerByte = 16;
  static constexpr uint32_t kTaggedFieldsMax = 64;

  // `owner` keeps `data` alive; without one, records are views that must not outlive the caller's
  // data.
  explicit WireReader(std::string_view data, std::shared_ptr<const void> owner = nullptr)
      : bytes_(data),
        data_(data),
        owner_(std::move(owner)),
        memory_left_(kMemoryFloorBytes + kMemoryPerByte * data.size()) {}

  bool ok() const { return bytes_.ok(); }
  size_t remaining() const { return bytes_.remaining(); }
  size_t position() const { return bytes_.position(); }
  // Ok, or which message was malformed.
  Status StatusOf(std::string_view message, int16_t version) const;
  void Fail() { bytes_.Fail(); }

  bool ReadBool() { return bytes_.ReadBool(); }
  int8_t ReadInt8() { return bytes_.ReadInt8(); }
  int16_t ReadInt16() { return bytes_.ReadInt16(); }
  uint16_t ReadUint16() { return bytes_.ReadUint16(); }
  int32_t ReadInt32() { return bytes_.ReadInt32(); }
  int64_t ReadInt64() { return bytes_.ReadInt64(); }
  double ReadFloat64() { return bytes_.ReadFloat64(); }
  uint32_t ReadUnsignedVarint() { return bytes_.ReadUnsignedVarint(); }
  Uuid ReadUuid();

  // Null fails where it is not allowed.
  std::string ReadString(bool compact);
  std::optional<std::string> ReadNullableString(bool compact, bool nullable);
  std::string ReadBytes(bool compact);
  std::optional<std::string> ReadNullableBytes(bool compact, bool nullable);
  Records ReadRecords(bool compact, bool nullable);
  // The byte before a struct that may be null.
  bool ReadPresence(bool nullable);
  // An array's length, or -1 for null: checked against what remains, and its memory charged.
  int32_t ReadCount(bool compact, bool nullable, size_t wire_bytes_min, size_t memory_bytes);

  void ReadUnknownTaggedFields(std::vector<RawTaggedField>* unknown);

 private:
  friend class TaggedFieldReader;

  std::optional<std::string_view> ReadSized(int64_t size, bool nullable);
  int64_t ReadStringSize(bool compact);
  int64_t ReadBytesSize(bool compact);
  bool ChargeMemory(size_t bytes);

  ByteReader bytes_;
  std::string_view data_;
  std::shared_ptr<const void> owner_;
  size_t memory_left_;
};

// Walks the tagged section of a struct. After each Next() that gives true, call payload() or
// KeepUnknown():
//   for (TaggedFieldReader tags(reader, &unknown); tags.Next();) { if (tags.tag() == 0) ... else
//   tags.KeepUnknown(); }
class TaggedFieldReader {
 public:
  TaggedFieldReader(WireReader& reader, std::vector<RawTaggedField>* unknown);
  bool Next();
  uint32_t tag() const { return tag_; }
  // Reads the field's own bytes only; they must be used up by the next call of Next().
  WireReader& payload() { return *payload_; }
  void KeepUnknown();

 private:
  void FinishPayload();

  WireReader& reader_;
  std::vector<RawTaggedField>* unknown_;
  uint32_t left_;
  uint32_t tag_ = 0;
  std::optional<WireReader> payload_;
};

// Fills `out` with `count` elements, or with null when count is -1.
template <typename T, typename ReadElement>
void ReadArray(int32_t count, std::vector<T>& out, const ReadElement& read) {
  out.clear();  // a tagged field may come twice; the last one counts, as in Kafka
  out.reserve(count);
  for (int32_t i = 0; i < count; ++i) {
    T element{};
    read(element);
    out.push_back(std::move(element));
  }
}
template <typename T, typename ReadElement>
void ReadArray(int32_t count, std::optional<std::vector<T>>& out, const ReadElement& read) {
  if (count < 0) {
    out.reset();
  } else {
    ReadArray(count, out.emplace(), read);
  }
}

Status UnsupportedMessageVersion(std::string_view message, int16_t version);

}  // namespace sluice::kafka
