#include "base/bytes.h"

namespace sluice {

uint64_t ByteReader::ReadLongVarlong() {
  uint64_t value = 0;
  for (int shift = 0; shift < 70; shift += 7) {
    const auto byte = static_cast<uint8_t>(ReadInt8());
    if (!ok_) return 0;
    if (shift == 63 && byte > 1) break;  // would not fit in 64 bits
    value |= uint64_t{byte & 0x7FU} << shift;
    if ((byte & 0x80) == 0) return value;
  }
  Fail();
  return 0;
}

uint32_t ByteReader::ReadLongVarint() {
  const char* const bytes = data_.data() + position_;
  const size_t size_max = std::min<size_t>(remaining(), 5);
  uint32_t value = 0;
  for (size_t i = 0; i < size_max; ++i) {
    const auto byte = static_cast<uint8_t>(bytes[i]);
    if (i == 4 && byte > 15) break;  // would not fit in 32 bits
    value |= (byte & 0x7FU) << (7 * i);
    if ((byte & 0x80) != 0) continue;
    position_ += i + 1;
    return value;
  }
  Fail();
  return 0;
}

int32_t ByteReader::CheckedCount(int64_t count, size_t element_size_min) {
  if (count == -1) return -1;
  if (count < 0 || static_cast<uint64_t>(count) > remaining() / element_size_min) {
    Fail();
    return 0;
  }
  return static_cast<int32_t>(count);
}

void ByteWriter::PutUnsignedVarlong(uint64_t v) {
  while (v >= 0x80) {
    data_.push_back(static_cast<char>(v | 0x80));
    v >>= 7;
  }
  data_.push_back(static_cast<char>(v));
}

void ByteWriter::PutVarint(int32_t v) {
  PutUnsignedVarint((static_cast<uint32_t>(v) << 1) ^ static_cast<uint32_t>(v >> 31));
}

void ByteWriter::PutVarlong(int64_t v) {
  PutUnsignedVarlong((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63));
}

size_t UnsignedVarlongSize(uint64_t v) { return (std::bit_width(v | 1) + 6) / 7; }

}  // namespace sluice
