#include "storage/inspect/dump_log.h"

#include "kafka/record_batch.h"
#include "storage/inspect/segment_walk.h"
#include "storage/producer_state.h"

namespace sluice::storage {
namespace {

constexpr size_t kRecordsBytesMax = 256 << 20;  // of one batch, decompressed

void DamageRow(uint64_t position, std::string problem, const DumpTo& to) {
  to({"damage", {{"position", static_cast<int64_t>(position)}, {"problem", std::move(problem)}}});
}

DumpBytes Copy(std::optional<std::string_view> bytes) {
  return bytes ? DumpBytes(std::string(*bytes)) : DumpBytes();
}

void BatchRow(const SegmentWalk& walk, const DumpTo& to) {
  const BatchHeader& batch = walk.header();
  const auto codec = static_cast<kafka::Codec>(batch.attributes & kafka::batch_layout::kCodecMask);
  const bool append_time = (batch.attributes & kafka::batch_layout::kTimestampTypeBit) != 0;
  const bool horizon = (batch.attributes & kafka::batch_layout::kDeleteHorizonBit) != 0;
  to({"batch",
      {{"base_offset", batch.base_offset.value()},
       {"last_offset", batch.last_offset.value()},
       {"position", static_cast<int64_t>(walk.position())},
       {"size_bytes", int64_t{batch.size_bytes}},
       {"leader_epoch", int64_t{batch.leader_epoch.value()}},
       {"records", int64_t{batch.record_count}},
       {"codec", std::string(kafka::CodecName(codec))},
       {"timestamp_type", std::string(append_time ? "LogAppendTime" : "CreateTime")},
       {horizon ? "delete_horizon_ms" : "base_timestamp_ms", batch.base_timestamp_ms},
       {"max_timestamp_ms", batch.max_timestamp_ms},
       {"producer_id", batch.producer_id.value()},
       {"producer_epoch", int64_t{batch.producer_epoch}},
       {"base_sequence", int64_t{batch.base_sequence}},
       {"last_sequence", int64_t{batch.last_sequence()}},
       {"transactional", batch.is_transactional()},
       {"control", batch.is_control()},
       {"crc", int64_t{batch.crc}},
       {"crc_ok", walk.checksum_holds()}}});
}

// What the record of an end of transaction means.
void MarkerRow(const std::optional<EndMarker>& marker, const kafka::Record& record,
               const DumpTo& to) {
  if (!marker) {
    to({"control",
        {{"offset", record.offset.value()},
         {"key", Copy(record.key)},
         {"value", Copy(record.value)}}});
    return;
  }
  to({"marker",
      {{"offset", record.offset.value()},
       {"timestamp_ms", record.timestamp_ms},
       {"end", std::string(marker->abort ? "abort" : "commit")},
       {"coordinator_epoch", int64_t{marker->coordinator_epoch}}}});
}

void RecordRow(const kafka::Record& record, const DumpTo& to) {
  DumpHeaders headers;
  for (const kafka::RecordHeader& header : record.Headers())
    headers.emplace_back(std::string(header.key), Copy(header.value));
  to({"record",
      {{"offset", record.offset.value()},
       {"timestamp_ms", record.timestamp_ms},
       {"key", Copy(record.key)},
       {"value", Copy(record.value)},
       {"headers", std::move(headers)}}});
}

Status RecordRows(SegmentWalk& walk, const DumpTo& to) {
  const auto bytes = walk.Bytes(kRecordsBytesMax);
  if (bytes.status().code() == StatusCode::kResourceExhausted) {
    DamageRow(walk.position(), "its records are not shown: " + bytes.status().message(), to);
    return Status::Ok();
  }
  SLUICE_RETURN_IF_ERROR(bytes.status());
  const auto view = kafka::RecordBatchView::Parse(*bytes);
  std::string storage;
  if (!view.ok()) {
    DamageRow(walk.position(), view.status().message(), to);
    return Status::Ok();
  }
  const auto plain = kafka::PlainRecords(*view, kRecordsBytesMax, storage);
  if (!plain.ok()) {
    DamageRow(walk.position(), "its records cannot be read: " + plain.status().message(), to);
    return Status::Ok();
  }
  kafka::RecordIterator records(*view, *plain);
  kafka::Record record;
  while (records.Next(record)) {
    if (view->is_control())
      MarkerRow(EndMarkerOf(walk.header(), *bytes), record, to);
    else
      RecordRow(record, to);
  }
  if (!records.status().ok())
    DamageRow(walk.position(), "its records cannot be read: " + records.status().message(), to);
  return Status::Ok();
}

}  // namespace

Status DumpLog(FileSystem& fs, const std::string& path, const DumpOptions& options,
               const DumpTo& to) {
  SLUICE_ASSIGN_OR_RETURN(SegmentWalk walk, SegmentWalk::Open(fs, path));
  Offset expected(0);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, walk.Next());
    if (more) {
      BatchRow(walk, to);
      if (!walk.checksum_holds()) continue;
      expected = walk.header().last_offset + 1;
      if (options.records) SLUICE_RETURN_IF_ERROR(RecordRows(walk, to));
      continue;
    }
    if (!walk.damaged()) return Status::Ok();
    const uint64_t position = walk.next_position();
    SLUICE_ASSIGN_OR_RETURN(std::string problem, walk.DescribeDamage());
    DamageRow(position, std::move(problem), to);
    SLUICE_ASSIGN_OR_RETURN(const auto next, walk.SkipDamage(expected));
    if (!next) return Status::Ok();
  }
}

}  // namespace sluice::storage
