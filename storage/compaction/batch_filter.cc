#include "storage/compaction/batch_filter.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "kafka/record_batch.h"

namespace sluice::storage {
namespace {

namespace at = kafka::batch_layout;

// What one stored batch may inflate to at most: a guard against a hostile one, far above any
// max.message.bytes in use.
constexpr size_t kInflatedBytesMax = 256u << 20;

bool HasHorizon(const BatchHeader& batch) {
  return (batch.attributes & at::kDeleteHorizonBit) != 0;
}

// The records of `bytes`, inflated into `storage` where they are compressed.
Result<std::string_view> PlainRecordsOf(const BatchHeader& batch, std::string_view bytes,
                                        std::string& storage) {
  if ((batch.attributes & at::kCodecMask) == 0 || batch.record_count == 0)
    return bytes.substr(BatchHeader::kBytes);
  SLUICE_ASSIGN_OR_RETURN(const auto view, kafka::RecordBatchView::Parse(bytes));
  return kafka::PlainRecords(view, kInflatedBytesMax, storage);
}

Status Unreadable(const BatchHeader& batch) {
  return Status::Corruption("a record of the batch at offset " +
                            std::to_string(batch.base_offset.value()) + " cannot be read");
}

// The length and the checksum of the batch that lies at `begin` of `out`.
void Finish(std::string& out, size_t begin) {
  char* batch = out.data() + begin;
  const size_t size = out.size() - begin;
  StoreBigEndian(batch + at::kBatchLength, static_cast<int32_t>(size - at::kLogOverhead));
  StoreBigEndian(batch + at::kCrc, Crc32c({batch + at::kAttributes, size - at::kAttributes}));
}

void AppendEmpty(const BatchHeader& batch, std::string_view bytes, std::string& out) {
  constexpr int16_t kCleared = at::kCodecMask | at::kDeleteHorizonBit;
  const size_t begin = out.size();
  out.append(bytes.substr(0, BatchHeader::kBytes));
  char* header = out.data() + begin;
  StoreBigEndian(header + at::kAttributes, static_cast<int16_t>(batch.attributes & ~kCleared));
  StoreBigEndian(header + at::kBaseTimestamp, kafka::kNoTimestamp);
  StoreBigEndian(header + at::kRecordCount, int32_t{0});
  Finish(out, begin);
}

int64_t TimestampOf(const BatchHeader& batch, const RecordSpan& record) {
  const bool append_time = (batch.attributes & at::kTimestampTypeBit) != 0;
  return append_time ? batch.max_timestamp_ms : batch.base_timestamp_ms + record.timestamp_delta;
}

}  // namespace

Status BatchFilter::Read(std::string_view plain, bool hash_keys) {
  records_.clear();
  keys_.clear();
  RecordWalk walk(plain);
  RecordSpan record;
  while (walk.Next(record)) {
    KeyHash key;
    if (hash_keys && record.has_key) {
      key = rules_.hasher.Hash(record.key);
      rules_.map->Prefetch(key);
    }
    records_.push_back(record);
    keys_.push_back(key);
  }
  return walk.ok() ? Status::Ok() : Status::Corruption("");
}

bool BatchFilter::Retains(const BatchHeader& batch, const RecordSpan& record, const KeyHash& key) {
  const Offset offset = batch.base_offset + record.offset_delta;
  if (offset >= rules_.mapped_upto) return true;
  if (!record.has_key) {
    ++stats_.records_without_key;
    return false;
  }
  const auto last = rules_.map->Find(key);
  if (last && offset < *last) return false;
  if (record.has_value || offset >= rules_.tombstones_stay_from) return true;
  return !HasHorizon(batch) || rules_.now_ms < batch.base_timestamp_ms;
}

Result<FilterVerdict> BatchFilter::Filter(const BatchHeader& batch, std::string_view bytes,
                                          const BatchRetention& retention, std::string& out) {
  std::string storage;
  stats_.records_read += static_cast<uint64_t>(batch.record_count);
  size_t kept = 0;
  bool tombstones = false;
  if (!retention.drop_records && batch.record_count > 0) {
    SLUICE_ASSIGN_OR_RETURN(const std::string_view plain, PlainRecordsOf(batch, bytes, storage));
    if (!Read(plain, !batch.is_control()).ok() ||
        records_.size() != static_cast<size_t>(batch.record_count)) {
      return Unreadable(batch);
    }
    kept_.assign(records_.size(), false);
    for (size_t i = 0; i < records_.size(); ++i) {
      if (!batch.is_control() && !Retains(batch, records_[i], keys_[i])) continue;
      kept_[i] = true;
      ++kept;
      tombstones |= !records_[i].has_value;
    }
  }
  stats_.records_kept += kept;
  if (kept == 0) {
    if (!retention.keep_empty) return FilterVerdict::kDrop;
    if (batch.record_count == 0) return FilterVerdict::kKeep;
    AppendEmpty(batch, bytes, out);
    return FilterVerdict::kRewrite;
  }
  const bool set_horizon = (tombstones || retention.marker_is_done) && !HasHorizon(batch);
  if (kept == records_.size() && !set_horizon) return FilterVerdict::kKeep;
  SLUICE_RETURN_IF_ERROR(Rewrite(batch, bytes, set_horizon, out));
  return FilterVerdict::kRewrite;
}

Status BatchFilter::Rewrite(const BatchHeader& batch, std::string_view bytes, bool set_horizon,
                            std::string& out) {
  int64_t max_ms = kafka::kNoTimestamp;
  int32_t count = 0;
  for (size_t i = 0; i < records_.size(); ++i) {
    if (!kept_[i]) continue;
    max_ms = std::max(max_ms, TimestampOf(batch, records_[i]));
    ++count;
  }
  const int64_t base_ms =
      set_horizon ? rules_.now_ms + rules_.delete_retention_ms : batch.base_timestamp_ms;
  std::string records = CopyKept(batch, base_ms);
  const auto codec = static_cast<kafka::Codec>(batch.attributes & at::kCodecMask);
  if (codec != kafka::Codec::kNone) {
    SLUICE_ASSIGN_OR_RETURN(records,
                            kafka::Compress(codec, kafka::kDefaultCompressionLevel, records));
  }
  const size_t begin = out.size();
  out.append(bytes.substr(0, BatchHeader::kBytes));
  out.append(records);
  char* header = out.data() + begin;
  if (set_horizon) {
    StoreBigEndian(header + at::kAttributes,
                   static_cast<int16_t>(batch.attributes | at::kDeleteHorizonBit));
  }
  StoreBigEndian(header + at::kBaseTimestamp, base_ms);
  StoreBigEndian(header + at::kMaxTimestamp, max_ms);
  StoreBigEndian(header + at::kRecordCount, count);
  Finish(out, begin);
  return Status::Ok();
}

// Where the base timestamp stays, so do the records' bytes; where a horizon takes its place, each
// record gets a new delta and so a new length.
std::string BatchFilter::CopyKept(const BatchHeader& batch, int64_t new_base_ms) const {
  if (new_base_ms == batch.base_timestamp_ms) {
    std::string copied;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (kept_[i]) copied.append(records_[i].bytes);
    }
    return copied;
  }
  ByteWriter all;
  for (size_t i = 0; i < records_.size(); ++i) {
    if (!kept_[i]) continue;
    const RecordSpan& record = records_[i];
    ByteWriter delta;
    delta.PutVarlong(TimestampOf(batch, record) - new_base_ms);
    all.PutVarint(static_cast<int32_t>(1 + delta.size() + record.rest.size()));
    all.PutInt8(record.attributes);
    all.PutBytes(delta.view());
    all.PutBytes(record.rest);
  }
  return all.Take();
}

Result<bool> MapBatch(const BatchHeader& batch, std::string_view bytes, Offset from,
                      const KeyHasher& hasher, OffsetMap& map) {
  constexpr size_t kAhead = 32;  // keys hashed before the first is put: memory answers meanwhile
  struct Pending {
    KeyHash key;
    Offset offset;
  };
  Pending pending[kAhead];
  std::string storage;
  SLUICE_ASSIGN_OR_RETURN(const std::string_view plain, PlainRecordsOf(batch, bytes, storage));
  RecordWalk walk(plain);
  RecordSpan record;
  size_t count = 0;
  int32_t seen = 0;
  const auto put_all = [&] {
    for (size_t i = 0; i < count; ++i) {
      if (!map.Put(pending[i].key, pending[i].offset)) return false;
    }
    count = 0;
    return true;
  };
  while (walk.Next(record)) {
    ++seen;
    const Offset offset = batch.base_offset + record.offset_delta;
    if (!record.has_key || offset < from) continue;
    pending[count] = {hasher.Hash(record.key), offset};
    map.Prefetch(pending[count].key);
    if (++count == kAhead && !put_all()) return false;
  }
  if (!walk.ok() || seen != batch.record_count) return Unreadable(batch);
  return put_all();
}

}  // namespace sluice::storage
