#include "storage/compaction/record_walk.h"

namespace sluice::storage {
namespace {

// A zigzag varint of at most `bytes_max` bytes; false when it does not end before `end`.
inline bool ReadZigzag(const char*& at, const char* end, int bytes_max, int64_t& value) {
  uint64_t raw = 0;
  for (int i = 0; i < bytes_max; ++i) {
    if (at == end) return false;
    const auto byte = static_cast<uint8_t>(*at++);
    raw |= uint64_t{byte & 0x7Fu} << (7 * i);
    if ((byte & 0x80u) == 0) {
      value = static_cast<int64_t>(raw >> 1) ^ -static_cast<int64_t>(raw & 1);
      return true;
    }
  }
  return false;
}

}  // namespace

bool RecordWalk::Next(RecordSpan& record) {
  if (at_ == end_) return false;
  const char* const begin = at_;
  int64_t length = 0;
  if (!ReadZigzag(at_, end_, 5, length) || length < 1 || length > end_ - at_) return Fail();
  const char* const record_end = at_ + length;
  record.bytes = {begin, static_cast<size_t>(record_end - begin)};
  record.attributes = static_cast<int8_t>(*at_++);
  if (!ReadZigzag(at_, record_end, 10, record.timestamp_delta)) return Fail();
  record.rest = {at_, static_cast<size_t>(record_end - at_)};
  int64_t offset_delta = 0;
  int64_t key_bytes = 0;
  int64_t value_bytes = 0;
  if (!ReadZigzag(at_, record_end, 5, offset_delta) || offset_delta < 0 ||
      offset_delta > INT32_MAX || !ReadZigzag(at_, record_end, 5, key_bytes) || key_bytes < -1 ||
      key_bytes > record_end - at_) {
    return Fail();
  }
  record.offset_delta = static_cast<int32_t>(offset_delta);
  record.has_key = key_bytes >= 0;
  record.key = {at_, record.has_key ? static_cast<size_t>(key_bytes) : 0};
  at_ += record.key.size();
  if (!ReadZigzag(at_, record_end, 5, value_bytes) || value_bytes < -1 ||
      value_bytes > record_end - at_) {
    return Fail();
  }
  record.has_value = value_bytes >= 0;
  at_ = record_end;
  return true;
}

}  // namespace sluice::storage
