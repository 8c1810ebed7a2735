#include "kafka/wire_writer.h"

#include <limits>

#include "kafka/string_limit.h"

namespace sluice::kafka {
namespace {

// LEB128 of `v` into `to`, which holds 5 bytes; the number of bytes used.
size_t StoreVarint(char* to, uint32_t v) {
  size_t size = 0;
  while (v >= 0x80) {
    to[size++] = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  to[size++] = static_cast<char>(v);
  return size;
}

constexpr size_t kFrameSizeBytes = 4;

}  // namespace

void WireWriter::BeginFrame() {
  CHECK_EQ(size_bytes(), 0U);
  framed_ = true;
  PutInt32(0);
}

OutputChain WireWriter::Finish() {
  FlushTail();
  if (framed_) {
    const size_t body = chain_.size_bytes() - kFrameSizeBytes;
    if (body > static_cast<size_t>(std::numeric_limits<int32_t>::max())) Reject("frame size");
    StoreBigEndian(std::get<std::string>(chain_.segments().front()).data(),
                   static_cast<int32_t>(body));
  }
  return std::move(chain_);
}

std::string WireWriter::FinishBytes() {
  CHECK(!framed_ && chain_.size_bytes() == 0);
  return std::move(tail_);
}

void WireWriter::Reject(std::string_view field) {
  if (status_.ok())
    status_ = Status::Unsupported(std::string(field) + " cannot be encoded in this version");
}

void WireWriter::FlushTail() {
  chain_.Add(std::move(tail_));
  tail_.clear();
}

void WireWriter::PutUnsignedVarint(uint32_t v) {
  char bytes[5];
  tail_.append(bytes, StoreVarint(bytes, v));
}

void WireWriter::PutString(std::string_view v, bool compact) {
  if (v.size() > kStringBytesMax) {
    Reject("a string of " + std::to_string(v.size()) + " bytes");
    v = {};
  }
  if (compact) {
    PutUnsignedVarint(static_cast<uint32_t>(v.size() + 1));
  } else {
    PutInt16(static_cast<int16_t>(v.size()));
  }
  tail_.append(v);
}

void WireWriter::PutNullableString(const std::optional<std::string>& v, bool compact,
                                   bool nullable) {
  if (v.has_value()) return PutString(*v, compact);
  if (!nullable) {
    Reject("a null string");
  }
  if (compact) {
    PutUnsignedVarint(0);
  } else {
    PutInt16(-1);
  }
}

void WireWriter::PutBytes(std::string_view v, bool compact) {
  PutCount(v.size(), compact);
  tail_.append(v);
}

void WireWriter::PutNullableBytes(const std::optional<std::string>& v, bool compact,
                                  bool nullable) {
  if (v.has_value()) return PutBytes(*v, compact);
  PutNullCount(compact, nullable);
}

void WireWriter::PutRecords(const Records& v, bool compact, bool nullable) {
  if (v.is_null()) return PutNullCount(compact, nullable);
  PutCount(v.size_bytes(), compact);
  if (const std::vector<FileSlice>* slices = v.files()) {
    FlushTail();
    for (const FileSlice& slice : *slices) chain_.Add(slice);
  } else if (v.size_bytes() < kCopyBelowBytes || v.view()->owner == nullptr) {
    // Without an owner nothing promises that the bytes outlive this call.
    tail_.append(v.bytes());
  } else {
    FlushTail();
    chain_.Add(*v.view());
  }
}

void WireWriter::PutPresence(bool present, bool nullable) {
  if (!present && !nullable) Reject("a null struct");
  PutInt8(present ? 1 : -1);
}

void WireWriter::PutCount(size_t count, bool compact) {
  if (count >= static_cast<size_t>(std::numeric_limits<int32_t>::max()))
    Reject("a count of " + std::to_string(count));
  if (compact) {
    PutUnsignedVarint(static_cast<uint32_t>(count + 1));
  } else {
    PutInt32(static_cast<int32_t>(count));
  }
}

void WireWriter::PutNullCount(bool compact, bool nullable) {
  if (!nullable) Reject("a null array");
  if (compact) {
    PutUnsignedVarint(0);
  } else {
    PutInt32(-1);
  }
}

void WireWriter::PutUnknownTaggedFields(const std::vector<RawTaggedField>& unknown) {
  PutUnsignedVarint(static_cast<uint32_t>(unknown.size()));
  for (const RawTaggedField& field : unknown) {
    PutUnsignedVarint(field.tag);
    PutUnsignedVarint(static_cast<uint32_t>(field.data.size()));
    tail_.append(field.data);
  }
}

// The count becomes known at the end; it is inserted then. Nothing in a tagged section leaves the
// tail, so positions hold.
TaggedFieldWriter::TaggedFieldWriter(WireWriter& writer, const std::vector<RawTaggedField>& unknown)
    : writer_(writer), unknown_(unknown), count_position_(writer.tail_.size()) {}

void TaggedFieldWriter::Begin(uint32_t tag) {
  PutUnknownBelow(tag);
  writer_.PutUnsignedVarint(tag);
  payload_position_ = writer_.tail_.size();
}

void TaggedFieldWriter::End() {
  char size[5];
  const size_t size_bytes =
      StoreVarint(size, static_cast<uint32_t>(writer_.tail_.size() - payload_position_));
  writer_.tail_.insert(payload_position_, size, size_bytes);
  ++count_;
}

void TaggedFieldWriter::Finish() {
  PutUnknownBelow(std::numeric_limits<uint64_t>::max());
  char count[5];
  const size_t count_bytes = StoreVarint(count, count_);
  writer_.tail_.insert(count_position_, count, count_bytes);
}

void TaggedFieldWriter::PutUnknownBelow(uint64_t tag) {
  for (; unknown_next_ < unknown_.size() && unknown_[unknown_next_].tag < tag;
       ++unknown_next_, ++count_) {
    const RawTaggedField& field = unknown_[unknown_next_];
    writer_.PutUnsignedVarint(field.tag);
    writer_.PutUnsignedVarint(static_cast<uint32_t>(field.data.size()));
    writer_.tail_.append(field.data);
  }
}

}  // namespace sluice::kafka
