#include "kafka/batch_validator.h"

#include <algorithm>

namespace sluice::kafka {
namespace {

constexpr int16_t kZstdProduceVersionMin = 7;

BatchVerdict Refuse(ErrorCode error, std::string message) {
  BatchVerdict verdict;
  verdict.error = error;
  verdict.message = std::move(message);
  return verdict;
}

// The framing: exactly one whole batch of the current format and of allowed size.
Result<RecordBatchView> OneBatch(std::string_view records, const BatchRules& rules,
                                 BatchVerdict& verdict) {
  Result<RecordBatchView> batch = RecordBatchView::Parse(records);
  if (!batch.ok()) {
    const bool corrupt = batch.status().code() == StatusCode::kCorruption;
    verdict = Refuse(
        corrupt ? ErrorCode::kCorruptMessage : ErrorCode::kInvalidRecord,
        "a partition's records must be exactly one batch of magic 2: " + batch.status().message());
  } else if (batch->size_bytes() != records.size()) {
    verdict =
        Refuse(ErrorCode::kInvalidRecord, "a partition's records must be exactly one batch: " +
                                              std::to_string(records.size() - batch->size_bytes()) +
                                              " bytes follow the first");
  } else if (records.size() > rules.max_message_bytes) {
    verdict = Refuse(ErrorCode::kMessageTooLarge,
                     "the record batch has " + std::to_string(records.size()) +
                         " bytes, the topic allows " + std::to_string(rules.max_message_bytes));
  }
  return batch;
}

BatchVerdict CheckHeader(const RecordBatchView& batch, const BatchRules& rules) {
  const auto invalid = [](std::string message) {
    return Refuse(ErrorCode::kInvalidRecord, std::move(message));
  };
  if (const Status crc = batch.CheckCrc(); !crc.ok()) {
    return Refuse(ErrorCode::kCorruptMessage, crc.message());
  }
  if (!IsKnown(batch.codec())) {
    return Refuse(
        ErrorCode::kUnsupportedCompressionType,
        "no compression codec has the number " + std::to_string(static_cast<int>(batch.codec())));
  }
  if (batch.codec() == Codec::kZstd && rules.produce_version < kZstdProduceVersionMin) {
    return Refuse(ErrorCode::kUnsupportedCompressionType,
                  "zstd needs Produce version 7 or later, the request has version " +
                      std::to_string(rules.produce_version));
  }
  if (batch.is_control()) return invalid("clients may not write control batches");
  if (batch.has_delete_horizon()) return invalid("clients may not set a delete horizon");
  if (batch.base_offset() != Offset(0)) {
    return invalid("the batch's base offset must be 0, it is " +
                   std::to_string(batch.base_offset().value()));
  }
  if (batch.record_count() < 1 || batch.record_count() - 1 != batch.last_offset_delta()) {
    return invalid("the batch claims " + std::to_string(batch.record_count()) +
                   " records and a last offset delta of " +
                   std::to_string(batch.last_offset_delta()));
  }
  if (batch.has_producer_id() && batch.base_sequence() < 0) {
    return invalid("a batch with producer id " + std::to_string(batch.producer_id().value()) +
                   " has base sequence " + std::to_string(batch.base_sequence()));
  }
  // Nobody would ever end the transaction, and its records would be read as committed ones.
  if (batch.is_transactional()) {
    return Refuse(ErrorCode::kInvalidTxnState,
                  "the batch is part of a transaction, and this version offers none");
  }
  if (batch.timestamp_type() == TimestampType::kLogAppendTime) {
    return Refuse(ErrorCode::kInvalidTimestamp,
                  "only the broker may set the timestamp type LogAppendTime");
  }
  return {};
}

// Why a timestamp chosen by the client is refused; nullopt when it is fine.
std::optional<std::string> TimestampFault(int64_t timestamp_ms, const BatchRules& rules) {
  if (rules.timestamp_type == TimestampType::kLogAppendTime) return std::nullopt;
  if (timestamp_ms == kNoTimestamp) return std::nullopt;
  // In 128 bits: the client may have chosen the smallest int64.
  const __int128 age_ms = static_cast<__int128>(rules.now_ms) - timestamp_ms;
  if (age_ms <= rules.timestamp_before_max_ms && -age_ms <= rules.timestamp_after_max_ms) {
    return std::nullopt;
  }
  return "timestamp " + std::to_string(timestamp_ms) + " is more than " +
         (age_ms > 0 ? std::to_string(rules.timestamp_before_max_ms) + " ms before"
                     : std::to_string(rules.timestamp_after_max_ms) + " ms after") +
         " the broker's time " + std::to_string(rules.now_ms);
}

// What is known of a compressed batch's times without opening it. The base timestamp is the first
// record's with every producer.
BatchVerdict CheckHeaderTimestamps(const RecordBatchView& batch, const BatchRules& rules) {
  for (const int64_t timestamp_ms : {batch.base_timestamp(), batch.max_timestamp()}) {
    if (const auto fault = TimestampFault(timestamp_ms, rules)) {
      return Refuse(ErrorCode::kInvalidTimestamp, "in the batch's header: " + *fault);
    }
  }
  return {};
}

// Collects the records that spoil their batch.
class RecordFaults {
 public:
  void Add(ErrorCode error, int32_t index, std::string message) {
    ++count_;
    // A bad timestamp decides the batch's code, as with Kafka: clients treat the two alike, people
    // do not.
    if (error_ != ErrorCode::kInvalidTimestamp) error_ = error;
    if (errors_.size() < kRecordErrorsMax) errors_.push_back({index, std::move(message)});
  }
  bool empty() const { return count_ == 0; }
  BatchVerdict Verdict() && {
    BatchVerdict verdict = Refuse(
        error_, std::to_string(count_) + " records were refused; the first: record " +
                    std::to_string(errors_.front().batch_index) + ": " + errors_.front().message);
    verdict.record_errors = std::move(errors_);
    return verdict;
  }

 private:
  ErrorCode error_ = ErrorCode::kNone;
  size_t count_ = 0;
  std::vector<RecordError> errors_;
};

BatchVerdict WalkRecords(const RecordBatchView& batch, std::string_view plain,
                         const BatchRules& rules) {
  RecordFaults faults;
  RecordIterator records(batch, plain);
  Record record;
  int64_t max_timestamp_ms = kNoTimestamp;
  // Records made in the same millisecond, as most neighbours are, are looked at once.
  std::optional<int64_t> good_timestamp_ms;
  for (int32_t index = 0; records.Next(record); ++index) {
    if (record.offset_delta != index) {
      faults.Add(ErrorCode::kInvalidRecord, index,
                 "offset delta " + std::to_string(record.offset_delta) + " instead of " +
                     std::to_string(index));
    }
    if (rules.compacted && !record.key) {
      faults.Add(ErrorCode::kInvalidRecord, index, "a compacted topic needs a key");
    }
    if (record.timestamp_ms != good_timestamp_ms) {
      if (auto fault = TimestampFault(record.timestamp_ms, rules)) {
        faults.Add(ErrorCode::kInvalidTimestamp, index, *std::move(fault));
      } else {
        good_timestamp_ms = record.timestamp_ms;
      }
    }
    max_timestamp_ms = std::max(max_timestamp_ms, record.timestamp_ms);
  }
  if (!records.status().ok()) {
    BatchVerdict verdict = Refuse(ErrorCode::kInvalidRecord, records.status().message());
    verdict.record_errors.push_back({records.index(), records.status().message()});
    return verdict;
  }
  if (!faults.empty()) return std::move(faults).Verdict();
  BatchVerdict verdict;
  if (max_timestamp_ms != batch.max_timestamp()) verdict.true_max_timestamp_ms = max_timestamp_ms;
  return verdict;
}

}  // namespace

BatchVerdict ValidateBatch(std::string_view records, const BatchRules& rules) {
  BatchVerdict framing;
  const Result<RecordBatchView> batch = OneBatch(records, rules, framing);
  if (!framing.ok()) return framing;
  if (BatchVerdict header = CheckHeader(*batch, rules); !header.ok()) return header;

  const bool other_codec = rules.stored_codec && *rules.stored_codec != batch->codec();
  const bool walk =
      batch->codec() == Codec::kNone || rules.compacted || rules.full_validation || other_codec;
  if (!walk) return CheckHeaderTimestamps(*batch, rules);
  std::string storage;
  const Result<std::string_view> plain =
      PlainRecords(*batch, rules.decompressed_bytes_max, storage);
  if (!plain.ok()) {
    // "Too large" makes the Java producer split its batch, which helps here as well.
    const bool too_large = plain.status().code() == StatusCode::kResourceExhausted;
    return Refuse(too_large ? ErrorCode::kMessageTooLarge : ErrorCode::kInvalidRecord,
                  plain.status().message());
  }
  BatchVerdict verdict = WalkRecords(*batch, *plain, rules);
  verdict.inflated = std::move(storage);
  return verdict;
}

bool ApplyTimestamps(const BatchVerdict& verdict, const BatchRules& rules, std::span<char> batch) {
  CHECK(verdict.ok());
  if (rules.timestamp_type == TimestampType::kLogAppendTime) {
    SetMaxTimestampAndType(batch.data(), batch.size(), rules.now_ms, TimestampType::kLogAppendTime);
    return true;
  }
  if (!verdict.true_max_timestamp_ms) return false;
  SetMaxTimestampAndType(batch.data(), batch.size(), *verdict.true_max_timestamp_ms,
                         TimestampType::kCreateTime);
  return true;
}

}  // namespace sluice::kafka
