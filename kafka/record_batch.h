#pragma once
// Record batches, format version 2 (docs/formats/record_batch.md): a view that reads the header in
// place, iterators over batches and records, the few changes that a broker makes to a client's
// bytes, and nothing that copies. Building batches is in kafka/record_batch_builder.h, what a
// leader checks in kafka/batch_validator.h.
//
//   BatchIterator batches(bytes);
//   while (true) {
//     SLUICE_ASSIGN_OR_RETURN(const std::optional<RecordBatchView> batch, batches.Next());
//     if (!batch) break;
//     Use(batch->base_offset(), batch->record_count());
//   }
//
// Thread rule: values over memory that the caller keeps alive and unchanged.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"
#include "kafka/compression.h"

namespace sluice::kafka {

enum class TimestampType : int8_t { kCreateTime = 0, kLogAppendTime = 1 };

inline constexpr int64_t kNoTimestamp = -1;

// Where the fields of the header stand, in bytes from the batch's start.
namespace batch_layout {
inline constexpr size_t kBaseOffset = 0;
inline constexpr size_t kBatchLength = 8;  // bytes after this field
inline constexpr size_t kPartitionLeaderEpoch = 12;
inline constexpr size_t kMagic = 16;
inline constexpr size_t kCrc = 17;
inline constexpr size_t kAttributes = 21;  // the CRC covers all from here on
inline constexpr size_t kLastOffsetDelta = 23;
inline constexpr size_t kBaseTimestamp = 27;
inline constexpr size_t kMaxTimestamp = 35;
inline constexpr size_t kProducerId = 43;
inline constexpr size_t kProducerEpoch = 51;
inline constexpr size_t kBaseSequence = 53;
inline constexpr size_t kRecordCount = 57;
inline constexpr size_t kRecords = 61;
inline constexpr size_t kLogOverhead = 12;  // base offset and length: enough to find the next batch

inline constexpr int16_t kCodecMask = 0x07;
inline constexpr int16_t kTimestampTypeBit = 0x08;
inline constexpr int16_t kTransactionalBit = 0x10;
inline constexpr int16_t kControlBit = 0x20;
inline constexpr int16_t kDeleteHorizonBit = 0x40;
}  // namespace batch_layout

// Bytes of a batch without records.
inline constexpr size_t kBatchOverhead = batch_layout::kRecords;
inline constexpr int8_t kMagicV2 = 2;

// `sequence` + `increment` in the ring of non-negative int32, as producers count their records.
int32_t IncrementSequence(int32_t sequence, int32_t increment);

class RecordBatchView {
 public:
  // The batch at the start of `bytes`; what follows it is left alone. Checks only what reading the
  // header needs: kOutOfRange when the batch goes beyond `bytes`, kUnsupported for an older magic,
  // kCorruption for anything else.
  static Result<RecordBatchView> Parse(std::string_view bytes);

  std::string_view bytes() const { return data_; }
  size_t size_bytes() const { return data_.size(); }
  std::string_view header() const { return data_.substr(0, kBatchOverhead); }
  // The records as stored: one stream of the codec, or plain.
  std::string_view records() const { return data_.substr(batch_layout::kRecords); }

  Offset base_offset() const { return Offset(Load<int64_t>(batch_layout::kBaseOffset)); }
  int32_t batch_length() const { return Load<int32_t>(batch_layout::kBatchLength); }
  LeaderEpoch partition_leader_epoch() const {
    return LeaderEpoch(Load<int32_t>(batch_layout::kPartitionLeaderEpoch));
  }
  int8_t magic() const { return static_cast<int8_t>(data_[batch_layout::kMagic]); }
  uint32_t crc() const { return Load<uint32_t>(batch_layout::kCrc); }

  int16_t attributes() const { return Load<int16_t>(batch_layout::kAttributes); }
  // May be one that is not IsKnown.
  Codec codec() const { return static_cast<Codec>(attributes() & batch_layout::kCodecMask); }
  TimestampType timestamp_type() const {
    return HasBit(batch_layout::kTimestampTypeBit) ? TimestampType::kLogAppendTime
                                                   : TimestampType::kCreateTime;
  }
  bool is_transactional() const { return HasBit(batch_layout::kTransactionalBit); }
  bool is_control() const { return HasBit(batch_layout::kControlBit); }
  // When set, base_timestamp() is the time after which a tombstone or marker may go (KIP-534).
  bool has_delete_horizon() const { return HasBit(batch_layout::kDeleteHorizonBit); }

  int32_t last_offset_delta() const { return Load<int32_t>(batch_layout::kLastOffsetDelta); }
  Offset last_offset() const {
    return Offset(Load<int64_t>(batch_layout::kBaseOffset) + last_offset_delta());
  }
  // Where the next batch starts.
  Offset next_offset() const { return last_offset() + 1; }
  int64_t base_timestamp() const { return Load<int64_t>(batch_layout::kBaseTimestamp); }
  int64_t max_timestamp() const { return Load<int64_t>(batch_layout::kMaxTimestamp); }

  ProducerId producer_id() const { return ProducerId(Load<int64_t>(batch_layout::kProducerId)); }
  bool has_producer_id() const { return producer_id() > kNoProducer; }
  int16_t producer_epoch() const { return Load<int16_t>(batch_layout::kProducerEpoch); }
  int32_t base_sequence() const { return Load<int32_t>(batch_layout::kBaseSequence); }
  // -1 when the producer is not idempotent.
  int32_t last_sequence() const;
  int32_t record_count() const { return Load<int32_t>(batch_layout::kRecordCount); }

  // kCorruption when the bytes are not those that the header's checksum was made of.
  Status CheckCrc() const;

 private:
  explicit RecordBatchView(std::string_view data) : data_(data) {}
  template <typename T>
  T Load(size_t at) const {
    return LoadBigEndian<T>(data_.data() + at);
  }
  bool HasBit(int16_t bit) const { return (attributes() & bit) != 0; }

  std::string_view data_;
};

// Changes of a batch in writable memory; `batch` points at its first byte. The CRC covers neither
// of the first two.
void SetBaseOffset(char* batch, Offset offset);
void SetPartitionLeaderEpoch(char* batch, LeaderEpoch epoch);
// Sets the maximum timestamp and the timestamp type, and computes the CRC anew. `size_bytes`: of
// the batch.
void SetMaxTimestampAndType(char* batch, size_t size_bytes, int64_t timestamp_ms,
                            TimestampType type);

// Walks concatenated batches. The last may be cut short, as in a fetch response: then it is not
// given.
class BatchIterator {
 public:
  explicit BatchIterator(std::string_view bytes) : bytes_(bytes) {}
  // The next whole batch; nullopt at the end or before a partial one. kCorruption or kUnsupported
  // as Parse; then every later call fails alike.
  Result<std::optional<RecordBatchView>> Next();
  // Bytes of the whole batches given so far.
  size_t position() const { return position_; }

 private:
  std::string_view bytes_;
  size_t position_ = 0;
};

struct RecordHeader {
  std::string_view key;
  std::optional<std::string_view> value;
  friend bool operator==(const RecordHeader&, const RecordHeader&) = default;
};

// One record; its views point into the bytes that the iterator walks.
struct Record {
  Offset offset;
  int32_t offset_delta = 0;
  int64_t timestamp_ms = kNoTimestamp;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  int32_t header_count = 0;
  std::string_view header_bytes;  // checked by the iterator

  std::vector<RecordHeader> Headers() const;
};

// Walks the records of one batch, given uncompressed. Every length and count is checked against the
// bytes left.
//
//   Record record;
//   while (records.Next(record)) Use(record);
//   if (!records.status().ok()) return records.status();
class RecordIterator {
 public:
  // `records`: batch.records() when it is not compressed, else what Decompress made of it.
  RecordIterator(const RecordBatchView& batch, std::string_view records);
  // False at the end, and for good when a record is malformed.
  bool Next(Record& record);
  // kCorruption when a record was malformed, or bytes or records were missing or left over.
  const Status& status() const { return status_; }
  // Records given so far.
  int32_t index() const { return index_; }

 private:
  bool Fail(std::string_view why);
  bool ReadBody(ByteReader& body, Record& record);

  int64_t base_offset_;
  int64_t base_timestamp_;
  std::optional<int64_t> append_time_ms_;  // all records' timestamp when the broker set it
  int32_t record_count_;
  int32_t index_ = 0;
  ByteReader reader_;
  Status status_;
};

// The batch's records, plain: a view of the batch itself, or of `storage`, which receives what was
// decompressed.
Result<std::string_view> PlainRecords(const RecordBatchView& batch, size_t size_limit_bytes,
                                      std::string& storage);

}  // namespace sluice::kafka
