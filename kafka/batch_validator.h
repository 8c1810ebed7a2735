#pragma once
// What a partition leader checks on a record batch that a client sent
// (docs/formats/record_batch.md), before anything is stored. Plain batches are walked record by
// record; compressed ones are opened only where the topic asks for it, since inflating what is only
// stored is most of a broker's work otherwise.
//
// Not for batches from a leader: a follower stores them as they come, after their CRC.
//
//   const BatchVerdict verdict = ValidateBatch(records, rules);
//   if (!verdict.ok()) return Refuse(verdict.error, verdict.message, verdict.record_errors);
//   ApplyTimestamps(verdict, rules, writable);
//
// Thread rule: pure functions.

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kafka/error_code.h"
#include "kafka/record_batch.h"

namespace sluice::kafka {

// The topic's and the request's side of the checks; names and defaults are Kafka's where it has
// them.
struct BatchRules {
  int16_t produce_version = 13;
  int64_t now_ms = 0;                                         // wall clock
  size_t max_message_bytes = 1048588;                         // max.message.bytes
  TimestampType timestamp_type = TimestampType::kCreateTime;  // message.timestamp.type
  int64_t timestamp_before_max_ms =
      std::numeric_limits<int64_t>::max();   // message.timestamp.before.max.ms
  int64_t timestamp_after_max_ms = 3600000;  // message.timestamp.after.max.ms
  bool compacted = false;        // cleanup.policy holds "compact": every record needs a key
  bool full_validation = false;  // record.validation=full: compressed batches are opened too
  // compression.type other than producer: a batch of another codec is opened and walked in full,
  // for Recompress.
  std::optional<Codec> stored_codec;
  size_t decompressed_bytes_max = size_t{128} << 20;  // of one batch, when it is opened
};

// One record that failed its batch, for Produce v8+ (KIP-467).
struct RecordError {
  int32_t batch_index = 0;
  std::string message;
};

// At most this many records are named; a batch of tiny bad records would otherwise be answered with
// more bytes than it had.
inline constexpr size_t kRecordErrorsMax = 100;

struct BatchVerdict {
  ErrorCode error = ErrorCode::kNone;
  std::string message;                     // for a person; empty when ok
  std::vector<RecordError> record_errors;  // ascending
  // The largest timestamp of the records that were walked, when it is not what the header claims: a
  // lie would spoil lookups by time.
  std::optional<int64_t> true_max_timestamp_ms;
  std::string inflated;  // the records of a compressed batch that was opened

  bool ok() const { return error == ErrorCode::kNone; }
};

// `records` is one partition's field of a Produce request: it must hold exactly one batch.
BatchVerdict ValidateBatch(std::string_view records, const BatchRules& rules);

// Writes into an accepted batch what the leader decides: the append time where the topic asks for
// it, else a corrected maximum. Says whether anything changed.
bool ApplyTimestamps(const BatchVerdict& verdict, const BatchRules& rules, std::span<char> batch);

}  // namespace sluice::kafka
