#pragma once
// ByteReader and ByteWriter: the wire's and the files' primitive types, all in network (big-endian)
// order, and Kafka's varints (LEB128; zigzag where signed). The reader never throws and never reads
// past its end: the first short or absurd read makes it fail for good, later reads give zeros, and
// the caller checks ok() once.
//
// Thread rule: one owner each.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice {

// A loaded or stored integer in network order.
template <typename T>
T LoadBigEndian(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(static_cast<uint16_t>(value)));
  if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(value)));
  if constexpr (sizeof(T) == 8)
    return static_cast<T>(__builtin_bswap64(static_cast<uint64_t>(value)));
  return value;
}

template <typename T>
void StoreBigEndian(char* to, T value) {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (sizeof(T) == 2)
    value = static_cast<T>(__builtin_bswap16(static_cast<uint16_t>(value)));
  if constexpr (sizeof(T) == 4)
    value = static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(value)));
  if constexpr (sizeof(T) == 8)
    value = static_cast<T>(__builtin_bswap64(static_cast<uint64_t>(value)));
  std::memcpy(to, &value, sizeof value);
}

class ByteReader {
 public:
  explicit ByteReader(std::string_view data) : data_(data) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return data_.size() - position_; }
  size_t position() const { return position_; }
  // Marks the input as bad: for checks that only the caller can make.
  void Fail() {
    ok_ = false;
    position_ = data_.size();
  }

  int8_t ReadInt8() { return ReadFixed<int8_t>(); }
  int16_t ReadInt16() { return ReadFixed<int16_t>(); }
  uint16_t ReadUint16() { return ReadFixed<uint16_t>(); }
  int32_t ReadInt32() { return ReadFixed<int32_t>(); }
  uint32_t ReadUint32() { return ReadFixed<uint32_t>(); }
  int64_t ReadInt64() { return ReadFixed<int64_t>(); }
  double ReadFloat64() { return std::bit_cast<double>(ReadFixed<uint64_t>()); }
  bool ReadBool() { return ReadInt8() != 0; }
  // At most 5 bytes. One or two of them, as of nearly all lengths and deltas, are read in line: the
  // records of a batch have six such fields each.
  uint32_t ReadUnsignedVarint() {
    uint32_t value = 0;
    return ReadShortVarint(value) ? value : ReadLongVarint();
  }
  // At most 10 bytes.
  uint64_t ReadUnsignedVarlong() {
    uint32_t value = 0;
    return ReadShortVarint(value) ? value : ReadLongVarlong();
  }
  int32_t ReadVarint() {  // zigzag
    const uint32_t raw = ReadUnsignedVarint();
    return static_cast<int32_t>((raw >> 1) ^ (~(raw & 1) + 1));
  }
  int64_t ReadVarlong() {  // zigzag
    const uint64_t raw = ReadUnsignedVarlong();
    return static_cast<int64_t>((raw >> 1) ^ (~(raw & 1) + 1));
  }
  // A view into the input; empty and failed when fewer than `size` bytes remain.
  std::string_view ReadBytes(size_t size) {
    if (remaining() < size) {
      Fail();
      return {};
    }
    const std::string_view view(data_.data() + position_, size);
    position_ += size;
    return view;
  }

  // A count of elements that each take at least `element_size_min` bytes (>= 1): fails unless they
  // can fit in what remains, so that nobody reserves memory on a liar's word. -1 stays -1 (null);
  // other negatives fail.
  int32_t CheckedCount(int64_t count, size_t element_size_min);

 private:
  // False, and nothing read, unless a varint of one or two bytes is next.
  bool ReadShortVarint(uint32_t& value) {
    const char* const bytes = data_.data() + position_;
    if (remaining() < 1) return false;
    const auto low = static_cast<uint8_t>(bytes[0]);
    if (low < 0x80) {
      value = low;
      position_ += 1;
      return true;
    }
    if (remaining() < 2) return false;
    const auto high = static_cast<uint8_t>(bytes[1]);
    if (high >= 0x80) return false;
    value = (low & 0x7FU) | uint32_t{high} << 7;
    position_ += 2;
    return true;
  }
  uint32_t ReadLongVarint();
  uint64_t ReadLongVarlong();

  template <typename T>
  T ReadFixed() {
    if (remaining() < sizeof(T)) {
      Fail();
      return 0;
    }
    const T value = LoadBigEndian<T>(data_.data() + position_);
    position_ += sizeof(T);
    return value;
  }

  std::string_view data_;
  size_t position_ = 0;
  bool ok_ = true;
};

// Appends to a string that it owns until Take().
class ByteWriter {
 public:
  size_t size() const { return data_.size(); }
  std::string_view view() const { return data_; }
  std::string Take() { return std::move(data_); }
  void Reserve(size_t bytes) { data_.reserve(bytes); }

  void PutInt8(int8_t v) { data_.push_back(static_cast<char>(v)); }
  void PutInt16(int16_t v) { PutFixed(v); }
  void PutUint16(uint16_t v) { PutFixed(v); }
  void PutInt32(int32_t v) { PutFixed(v); }
  void PutUint32(uint32_t v) { PutFixed(v); }
  void PutInt64(int64_t v) { PutFixed(v); }
  void PutFloat64(double v) { PutFixed(std::bit_cast<uint64_t>(v)); }
  void PutBool(bool v) { PutInt8(v ? 1 : 0); }
  void PutUnsignedVarint(uint32_t v) { PutUnsignedVarlong(v); }
  void PutUnsignedVarlong(uint64_t v);
  void PutVarint(int32_t v);   // zigzag
  void PutVarlong(int64_t v);  // zigzag
  void PutBytes(std::string_view v) { data_.append(v); }
  // Overwrites four bytes written before, for lengths known afterwards.
  void PatchInt32(size_t position, int32_t v) { StoreBigEndian(data_.data() + position, v); }

 private:
  template <typename T>
  void PutFixed(T v) {
    char bytes[sizeof(T)];
    StoreBigEndian(bytes, v);
    data_.append(bytes, sizeof bytes);
  }

  std::string data_;
};

// Bytes that PutUnsignedVarlong would write for `v`.
size_t UnsignedVarlongSize(uint64_t v);

}  // namespace sluice
