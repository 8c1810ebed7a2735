#pragma once
// What any bytes must survive on the way from a client's Produce request: framing, header, CRC,
// records, decompression, validation. A seam for libFuzzer (record_batch_fuzz.cc) and for the
// bounded run in kafka/record_batch_fuzz_test.cc.
//
// Thread rule: pure function.

#include <string>
#include <string_view>

#include "kafka/batch_validator.h"
#include "kafka/record_batch.h"

namespace sluice::kafka {

// CHECKs what must hold whatever the bytes are.
inline void FuzzRecordBatch(std::string_view bytes) {
  constexpr size_t kPlainBytesMax = 1 << 20;
  constexpr size_t kRecordBytesMin = 7;  // length, attributes, two deltas, key, value, header count
  BatchIterator batches(bytes);
  while (true) {
    const Result<std::optional<RecordBatchView>> next = batches.Next();
    if (!next.ok() || !next->has_value()) break;
    const RecordBatchView& batch = **next;
    CHECK_GE(batch.size_bytes(), kBatchOverhead);
    CHECK_LE(batches.position(), bytes.size());
    const bool crc_holds = batch.CheckCrc().ok();
    std::string storage;
    const Result<std::string_view> plain = PlainRecords(batch, kPlainBytesMax, storage);
    if (!plain.ok()) continue;
    CHECK(batch.codec() == Codec::kNone || plain->size() <= kPlainBytesMax);
    RecordIterator records(batch, *plain);
    Record record;
    size_t seen_bytes = 0;
    while (records.Next(record)) {
      seen_bytes += kRecordBytesMin + record.key.value_or("").size() +
                    record.value.value_or("").size() + record.header_bytes.size();
      CHECK_LE(seen_bytes, plain->size());
      CHECK_EQ(record.Headers().size(), static_cast<size_t>(record.header_count));
    }
    if (records.status().ok()) {
      CHECK_EQ(records.index(), batch.record_count());
    }
    BatchRules rules;
    rules.full_validation = true;
    rules.now_ms = batch.max_timestamp();
    const BatchVerdict verdict = ValidateBatch(batch.bytes(), rules);
    if (!verdict.ok()) continue;
    CHECK(crc_holds);
    CHECK(records.status().ok());
    std::string writable(batch.bytes());
    rules.timestamp_type = TimestampType::kLogAppendTime;
    CHECK(ApplyTimestamps(verdict, rules, writable));
    CHECK(RecordBatchView::Parse(writable)->CheckCrc().ok());
  }
}

}  // namespace sluice::kafka
