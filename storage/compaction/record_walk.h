#pragma once
// RecordWalk: over the plain records of one batch, reading of each only what the cleaner needs to
// know: its key, whether it has a value, and where it lies, so that it can be copied as bytes.
//
//   RecordWalk walk(records);
//   RecordSpan record;
//   while (walk.Next(record)) Use(record);
//   if (!walk.ok()) ...   // bytes that are no record
//
// Thread rule: one owner, over memory that the caller keeps.

#include <cstdint>
#include <string_view>

namespace sluice::storage {

struct RecordSpan {
  std::string_view bytes;  // the whole record, its length too
  // What follows the timestamp delta: offset delta, key, value, headers.
  std::string_view rest;
  int8_t attributes = 0;
  int64_t timestamp_delta = 0;
  int32_t offset_delta = 0;
  std::string_view key;
  bool has_key = false;
  bool has_value = false;
};

class RecordWalk {
 public:
  explicit RecordWalk(std::string_view records)
      : at_(records.data()), end_(records.data() + records.size()) {}

  // False at the end, and for good at bytes that are no record.
  bool Next(RecordSpan& record);
  bool ok() const { return ok_; }

 private:
  bool Fail() {
    ok_ = false;
    at_ = end_;
    return false;
  }

  const char* at_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace sluice::storage
