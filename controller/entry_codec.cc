#include "controller/entry_codec.h"

#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "kafka/record_batch_builder.h"

namespace sluice::controller {
namespace {

constexpr int8_t kFormat = 1;

Status Damaged(const kafka::RecordBatchView& batch, const std::string& what) {
  return Status::Corruption("metadata log, offset " + std::to_string(batch.base_offset().value()) +
                            ": " + what);
}

}  // namespace

EncodedEntry EncodeEntry(const raft::Entry& entry, const EntryContext& context) {
  CHECK_LE(entry.term.value(), INT32_MAX) << "a leader epoch has 32 bits";
  ByteWriter value;
  value.Reserve(entry.data.size() + 32);
  value.PutInt64(entry.index.value());
  value.PutInt32(static_cast<int32_t>(entry.term.value()));
  value.PutUint32(context.previous_chain);
  value.PutInt8(kFormat);
  value.PutInt8(static_cast<int8_t>(entry.type));
  value.PutBytes(entry.data);
  kafka::RecordBatchBuilder builder(
      {.base_offset = Offset(entry.index.value()),
       .partition_leader_epoch = LeaderEpoch(static_cast<int32_t>(entry.term.value()))});
  ByteWriter key;
  key.PutInt64(context.synced_end.value());
  builder.Append({.timestamp_ms = context.timestamp_ms, .key = key.view(), .value = value.view()});
  Result<std::string> batch = builder.Build();
  CHECK(batch.ok()) << batch.status().ToString();  // only a codec can fail, and there is none
  return {*std::move(batch), Crc32c(value.view())};
}

Result<DecodedEntry> DecodeEntry(const kafka::RecordBatchView& batch) {
  SLUICE_RETURN_IF_ERROR(batch.CheckCrc());
  if (batch.record_count() != 1 || batch.codec() != kafka::Codec::kNone)
    return Damaged(batch, "not one plain record");
  kafka::RecordIterator records(batch, batch.records());
  kafka::Record record;
  if (!records.Next(record)) return records.status();
  if (!record.value.has_value()) return Damaged(batch, "the record has no value");
  ByteReader reader(*record.value);
  DecodedEntry decoded;
  decoded.entry.index = LogIndex(reader.ReadInt64());
  decoded.entry.term = Term(reader.ReadInt32());
  decoded.previous_chain = reader.ReadUint32();
  if (reader.ReadInt8() != kFormat)
    return Damaged(batch, "an entry format that this version does not know");
  decoded.entry.type = static_cast<raft::EntryType>(reader.ReadInt8());
  decoded.entry.data = reader.ReadBytes(reader.remaining());
  if (!reader.ok()) return Damaged(batch, "the value is too short for an entry");
  if (decoded.entry.index.value() != batch.base_offset().value() ||
      decoded.entry.term.value() != batch.partition_leader_epoch().value()) {
    return Damaged(batch, "the value says index " + std::to_string(decoded.entry.index.value()) +
                              ", term " + std::to_string(decoded.entry.term.value()) +
                              "; the header says leader epoch " +
                              std::to_string(batch.partition_leader_epoch().value()));
  }
  decoded.chain = Crc32c(*record.value);
  if (record.key.has_value()) {
    if (record.key->size() != sizeof(int64_t)) return Damaged(batch, "the key is no index");
    decoded.synced_end = LogIndex(LoadBigEndian<int64_t>(record.key->data()));
  }
  return decoded;
}

}  // namespace sluice::controller
