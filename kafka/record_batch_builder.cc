#include "kafka/record_batch_builder.h"

#include <algorithm>

#include "base/crc32c.h"

namespace sluice::kafka {
namespace {

void PutNullable(ByteWriter& writer, const std::optional<std::string_view>& bytes) {
  writer.PutVarint(bytes ? static_cast<int32_t>(bytes->size()) : -1);
  if (bytes) writer.PutBytes(*bytes);
}

}  // namespace

void RecordBatchBuilder::Append(const NewRecord& record) {
  AppendAt(options_.base_offset + last_offset_delta_ + 1, record);
}

void RecordBatchBuilder::AppendAt(Offset offset, const NewRecord& record) {
  const int64_t offset_delta = offset - options_.base_offset;
  CHECK_GT(offset_delta, last_offset_delta_);
  CHECK_LE(offset_delta, INT32_MAX);
  if (record_count_ == 0) base_timestamp_ms_ = record.timestamp_ms;
  max_timestamp_ms_ = std::max(max_timestamp_ms_, record.timestamp_ms);
  last_offset_delta_ = static_cast<int32_t>(offset_delta);
  ++record_count_;

  ByteWriter body;
  body.PutInt8(0);  // attributes: none are defined
  body.PutVarlong(record.timestamp_ms - base_timestamp_ms_);
  body.PutVarint(last_offset_delta_);
  PutNullable(body, record.key);
  PutNullable(body, record.value);
  body.PutVarint(static_cast<int32_t>(record.headers.size()));
  for (const RecordHeader& header : record.headers) {
    PutNullable(body, header.key);
    PutNullable(body, header.value);
  }
  records_.PutVarint(static_cast<int32_t>(body.size()));
  records_.PutBytes(body.view());
}

Result<std::string> RecordBatchBuilder::Build() {
  CHECK_GT(record_count_, 0);
  std::string packed;
  if (options_.codec != Codec::kNone) {
    SLUICE_ASSIGN_OR_RETURN(packed,
                            Compress(options_.codec, options_.compression_level, records_.view()));
  }
  const std::string_view records = options_.codec == Codec::kNone ? records_.view() : packed;

  namespace layout = batch_layout;
  int16_t attributes = static_cast<int16_t>(options_.codec);
  if (options_.log_append_time_ms) attributes |= layout::kTimestampTypeBit;
  if (options_.is_transactional) attributes |= layout::kTransactionalBit;
  if (options_.is_control) attributes |= layout::kControlBit;

  ByteWriter batch;
  batch.Reserve(kBatchOverhead + records.size());
  batch.PutInt64(options_.base_offset.value());
  batch.PutInt32(static_cast<int32_t>(kBatchOverhead - layout::kLogOverhead + records.size()));
  batch.PutInt32(options_.partition_leader_epoch.value());
  batch.PutInt8(kMagicV2);
  batch.PutUint32(0);  // the CRC, below
  batch.PutInt16(attributes);
  batch.PutInt32(last_offset_delta_);
  batch.PutInt64(base_timestamp_ms_);
  batch.PutInt64(options_.log_append_time_ms.value_or(max_timestamp_ms_));
  batch.PutInt64(options_.producer_id.value());
  batch.PutInt16(options_.producer_epoch);
  batch.PutInt32(options_.base_sequence);
  batch.PutInt32(record_count_);
  batch.PutBytes(records);
  const uint32_t crc = Crc32c(batch.view().substr(layout::kAttributes));
  batch.PatchInt32(layout::kCrc, static_cast<int32_t>(crc));
  return batch.Take();
}

}  // namespace sluice::kafka
