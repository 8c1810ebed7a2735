#pragma once
// BatchHeader: what the log needs to know of a stored record batch (format version 2), read from
// its first 61 bytes alone. It is what kafka::RecordBatchView is to a batch in memory: a walk over
// a file must not read the records to learn where the next batch begins.
//
// Thread rule: values.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ids.h"
#include "kafka/record_batch.h"

namespace sluice::storage {

struct BatchHeader {
  static constexpr size_t kBytes = kafka::kBatchOverhead;
  // The part in front of the checksummed bytes that the leader fills: base offset, length, leader
  // epoch.
  static constexpr size_t kPatchedBytes = 16;
  static constexpr int32_t kNoSequence = -1;

  Offset base_offset;
  Offset last_offset;
  uint32_t size_bytes = 0;  // the whole batch
  LeaderEpoch leader_epoch = kNoEpoch;
  uint32_t crc = 0;
  int16_t attributes = 0;
  int64_t base_timestamp_ms = -1;
  int64_t max_timestamp_ms = -1;
  ProducerId producer_id = kNoProducer;
  int16_t producer_epoch = -1;
  int32_t base_sequence = kNoSequence;
  int32_t record_count = 0;

  int32_t last_offset_delta() const { return static_cast<int32_t>(last_offset - base_offset); }
  bool is_transactional() const {
    return (attributes & kafka::batch_layout::kTransactionalBit) != 0;
  }
  bool is_control() const { return (attributes & kafka::batch_layout::kControlBit) != 0; }
  bool has_producer() const { return producer_id.value() >= 0; }
  // The sequence number of the last record; numbers wrap from 2^31-1 to 0.
  int32_t last_sequence() const;

  // nullopt when the bytes cannot begin a batch: fewer than 61, another magic, a negative offset,
  // count or length.
  static std::optional<BatchHeader> Parse(std::string_view bytes);
};

// Whether the checksum in the batch's header fits its bytes; `batch` is exactly one batch.
bool BatchChecksumHolds(std::string_view batch);

}  // namespace sluice::storage
