#pragma once
// RecordBatchBuilder: makes one record batch (format version 2). The product builds batches for the
// metadata log and for internal topics; clients' batches are stored as they come.
//
//   RecordBatchBuilder builder({.codec = Codec::kZstd});
//   builder.Append({.timestamp_ms = now_ms, .key = "k", .value = "v"});
//   SLUICE_ASSIGN_OR_RETURN(const std::string batch, builder.Build());
//
// Thread rule: one owner.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/status.h"
#include "kafka/record_batch.h"

namespace sluice::kafka {

struct RecordBatchOptions {
  Offset base_offset{0};
  LeaderEpoch partition_leader_epoch = kNoEpoch;
  Codec codec = Codec::kNone;
  int compression_level = kDefaultCompressionLevel;
  // With a value the batch is of type LogAppendTime and all its records get this time.
  std::optional<int64_t> log_append_time_ms;
  ProducerId producer_id = kNoProducer;
  int16_t producer_epoch = -1;
  int32_t base_sequence = -1;
  bool is_transactional = false;
  bool is_control = false;
};

struct NewRecord {
  int64_t timestamp_ms = kNoTimestamp;
  std::optional<std::string_view> key;
  std::optional<std::string_view> value;
  std::span<const RecordHeader> headers;
};

class RecordBatchBuilder {
 public:
  explicit RecordBatchBuilder(RecordBatchOptions options) : options_(options) {}

  // Adds a record at the offset after the last one's.
  void Append(const NewRecord& record);
  // Adds a record at `offset`, which must be greater than the last one's: compaction leaves such
  // gaps.
  void AppendAt(Offset offset, const NewRecord& record);

  int32_t record_count() const { return record_count_; }
  // Bytes of the batch if nothing more comes and it is not compressed.
  size_t size_bytes() const { return kBatchOverhead + records_.size(); }
  // The finished batch; the builder is then used up. CHECKs that there is a record. Fails only when
  // the codec does.
  Result<std::string> Build();

 private:
  RecordBatchOptions options_;
  ByteWriter records_;
  int32_t record_count_ = 0;
  int32_t last_offset_delta_ = -1;
  int64_t base_timestamp_ms_ = kNoTimestamp;  // the first record's
  int64_t max_timestamp_ms_ = kNoTimestamp;
};

}  // namespace sluice::kafka
