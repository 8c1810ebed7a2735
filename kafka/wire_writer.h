#pragma once
// WireWriter: encodes a Kafka message into an OutputChain. Small fields gather in owned strings;
// records join the chain as they are, in memory or in files, without a copy. Owned by whoever
// encodes, for one frame.
//
//   WireWriter writer;
//   writer.BeginFrame();
//   header.Encode(writer, header_version);
//   response.Encode(writer, version);
//   if (!writer.status().ok()) ...   // a field that this version cannot carry, or a string that is
//   too long OutputChain frame = writer.Finish();
//
// Thread rule: one owner.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/output_chain.h"
#include "base/status.h"
#include "base/uuid.h"
#include "kafka/raw_tagged_field.h"
#include "kafka/records.h"

namespace sluice::kafka {

class WireWriter {
 public:
  // Shorter records are copied: a segment of the chain costs more than they do.
  static constexpr size_t kCopyBelowBytes = 256;

  // Leaves room for the frame's length, which Finish() fills in. Only as the first call.
  void BeginFrame();
  OutputChain Finish();
  // The bytes of what had no frame and no records, which never left the gathering string.
  std::string FinishBytes();
  // Not ok when something could not be said in the version asked for: the bytes must then not be
  // sent.
  const Status& status() const { return status_; }
  // Notes that `field` cannot be written as it is. The first one counts.
  void Reject(std::string_view field);

  size_t size_bytes() const { return chain_.size_bytes() + tail_.size(); }

  void PutBool(bool v) { PutInt8(v ? 1 : 0); }
  void PutInt8(int8_t v) { tail_.push_back(static_cast<char>(v)); }
  void PutInt16(int16_t v) { PutFixed(v); }
  void PutUint16(uint16_t v) { PutFixed(v); }
  void PutInt32(int32_t v) { PutFixed(v); }
  void PutInt64(int64_t v) { PutFixed(v); }
  void PutFloat64(double v) { PutFixed(std::bit_cast<uint64_t>(v)); }
  void PutUnsignedVarint(uint32_t v);
  void PutUuid(const Uuid& v) { tail_.append(v.view()); }
  void PutRaw(std::string_view v) { tail_.append(v); }

  void PutString(std::string_view v, bool compact);
  void PutNullableString(const std::optional<std::string>& v, bool compact, bool nullable);
  void PutBytes(std::string_view v, bool compact);
  void PutNullableBytes(const std::optional<std::string>& v, bool compact, bool nullable);
  void PutRecords(const Records& v, bool compact, bool nullable);
  void PutPresence(bool present, bool nullable);
  void PutCount(size_t count, bool compact);
  void PutNullCount(bool compact, bool nullable);
  void PutUnknownTaggedFields(const std::vector<RawTaggedField>& unknown);

 private:
  friend class TaggedFieldWriter;

  template <typename T>
  void PutFixed(T v) {
    char bytes[sizeof(T)];
    StoreBigEndian(bytes, v);
    tail_.append(bytes, sizeof bytes);
  }
  // Moves what was gathered into the chain, so that a segment of another kind can follow.
  void FlushTail();

  std::string tail_;
  OutputChain chain_;
  bool framed_ = false;
  Status status_;
};

// Writes the tagged section of a struct: known fields between Begin and End in the order of their
// tags, unknown ones merged in.
class TaggedFieldWriter {
 public:
  TaggedFieldWriter(WireWriter& writer, const std::vector<RawTaggedField>& unknown);
  void Begin(uint32_t tag);
  void End();
  void Finish();

 private:
  void PutUnknownBelow(uint64_t tag);

  WireWriter& writer_;
  const std::vector<RawTaggedField>& unknown_;
  size_t unknown_next_ = 0;
  uint32_t count_ = 0;
  size_t count_position_;
  size_t payload_position_ = 0;
};

}  // namespace sluice::kafka
