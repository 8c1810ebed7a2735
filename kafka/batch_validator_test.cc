#include "kafka/batch_validator.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "kafka/record_batch_builder.h"
#include "kafka/testing/golden_batches.h"

namespace sluice::kafka {
namespace {

constexpr int64_t kNowMs = 1'750'000'000'000;

BatchRules Rules() {
  BatchRules rules;
  rules.now_ms = kNowMs;
  return rules;
}

std::string Batch(const RecordBatchOptions& options, std::vector<NewRecord> records = {}) {
  RecordBatchBuilder builder(options);
  if (records.empty()) records = {{.timestamp_ms = kNowMs, .key = "k", .value = "v"}};
  for (const NewRecord& record : records) builder.Append(record);
  return *builder.Build();
}

// Changes a field and makes the CRC right again.
template <typename T>
std::string With(std::string batch, size_t at, T value) {
  StoreBigEndian(batch.data() + at, value);
  StoreBigEndian(batch.data() + batch_layout::kCrc,
                 Crc32c(std::string_view(batch).substr(batch_layout::kAttributes)));
  return batch;
}

ErrorCode ErrorOf(std::string_view records, const BatchRules& rules) {
  const BatchVerdict verdict = ValidateBatch(records, rules);
  EXPECT_EQ(verdict.ok(), verdict.message.empty()) << verdict.message;
  return verdict.error;
}

TEST(BatchValidatorTest, AcceptsWhatClientsOfKafkaSend) {
  for (const char* name : {"none_small", "gzip_small", "snappy_large", "lz4_large", "zstd_large"}) {
    for (const bool full : {false, true}) {
      BatchRules rules = Rules();
      rules.full_validation = full;
      const BatchVerdict verdict = ValidateBatch(testing::Golden(name).bytes, rules);
      EXPECT_TRUE(verdict.ok()) << name << ": " << verdict.message;
      EXPECT_FALSE(verdict.true_max_timestamp_ms.has_value());
    }
  }
}

TEST(BatchValidatorTest, WantsExactlyOneWholeBatch) {
  const std::string batch = Batch({});
  EXPECT_EQ(ErrorOf("", Rules()), ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(batch + batch, Rules()), ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(batch + "x", Rules()), ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(batch.substr(0, batch.size() - 1), Rules()), ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(batch.substr(0, 5), Rules()), ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(batch, Rules()), ErrorCode::kNone);
}

TEST(BatchValidatorTest, WantsTheCurrentMagic) {
  std::string batch = Batch({});
  batch[batch_layout::kMagic] = 1;
  EXPECT_EQ(ErrorOf(batch, Rules()), ErrorCode::kInvalidRecord);
  batch[batch_layout::kMagic] = 3;
  EXPECT_EQ(ErrorOf(batch, Rules()), ErrorCode::kCorruptMessage);
}

TEST(BatchValidatorTest, ChecksTheSizeBeforeReadingOn) {
  std::string batch = Batch({});
  BatchRules rules = Rules();
  rules.max_message_bytes = batch.size();
  EXPECT_EQ(ErrorOf(batch, rules), ErrorCode::kNone);
  rules.max_message_bytes = batch.size() - 1;
  EXPECT_EQ(ErrorOf(batch, rules), ErrorCode::kMessageTooLarge);
  batch.back() ^= 1;
  EXPECT_EQ(ErrorOf(batch, rules), ErrorCode::kMessageTooLarge);
}

TEST(BatchValidatorTest, ChecksTheCrc) {
  std::string batch = Batch({});
  batch.back() ^= 1;
  EXPECT_EQ(ErrorOf(batch, Rules()), ErrorCode::kCorruptMessage);
}

TEST(BatchValidatorTest, ChecksCountsAndOffsets) {
  const std::string batch = Batch({});
  EXPECT_EQ(ErrorOf(With(batch, batch_layout::kRecordCount, 2), Rules()),
            ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(With(batch, batch_layout::kRecordCount, 0), Rules()),
            ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(With(batch, batch_layout::kRecordCount, INT32_MIN), Rules()),
            ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(With(batch, batch_layout::kLastOffsetDelta, 1), Rules()),
            ErrorCode::kInvalidRecord);
  EXPECT_EQ(ErrorOf(With(batch, batch_layout::kBaseOffset, int64_t{1}), Rules()),
            ErrorCode::kInvalidRecord);
  // Header and records disagree.
  std::string two = With(batch, batch_layout::kRecordCount, 2);
  two = With(two, batch_layout::kLastOffsetDelta, 1);
  EXPECT_EQ(ErrorOf(two, Rules()), ErrorCode::kInvalidRecord);
}

TEST(BatchValidatorTest, OffsetDeltasMustAscendFromZero) {
  RecordBatchBuilder builder({});
  builder.AppendAt(Offset(1), {.timestamp_ms = kNowMs, .key = "k"});
  const std::string batch = With(*builder.Build(), batch_layout::kLastOffsetDelta, int32_t{0});
  const BatchVerdict verdict = ValidateBatch(batch, Rules());
  EXPECT_EQ(verdict.error, ErrorCode::kInvalidRecord);
  ASSERT_EQ(verdict.record_errors.size(), 1u);
  EXPECT_EQ(verdict.record_errors[0].batch_index, 0);
}

TEST(BatchValidatorTest, ClientsWriteNoControlBatchesAndNoHorizon) {
  EXPECT_EQ(ErrorOf(Batch({.is_control = true}), Rules()), ErrorCode::kInvalidRecord);
  EXPECT_EQ(
      ErrorOf(With(Batch({}), batch_layout::kAttributes, batch_layout::kDeleteHorizonBit), Rules()),
      ErrorCode::kInvalidRecord);
}

TEST(BatchValidatorTest, ChecksProducerFields) {
  const RecordBatchOptions good{
      .producer_id = ProducerId(1), .producer_epoch = 0, .base_sequence = 0};
  EXPECT_EQ(ErrorOf(Batch(good), Rules()), ErrorCode::kNone);
  RecordBatchOptions bad = good;
  bad.base_sequence = -1;
  EXPECT_EQ(ErrorOf(Batch(bad), Rules()), ErrorCode::kInvalidRecord);
}

TEST(BatchValidatorTest, WithoutTransactionsNoBatchIsPartOfOne) {
  RecordBatchOptions options{.producer_id = ProducerId(1),
                             .producer_epoch = 0,
                             .base_sequence = 0,
                             .is_transactional = true};
  EXPECT_EQ(ErrorOf(Batch(options), Rules()), ErrorCode::kInvalidTxnState);
  EXPECT_EQ(ErrorOf(Batch({.is_transactional = true}), Rules()), ErrorCode::kInvalidTxnState);
  // A marker of a transaction's end comes from a coordinator only.
  options.is_control = true;
  EXPECT_EQ(ErrorOf(Batch(options), Rules()), ErrorCode::kInvalidRecord);
}

TEST(BatchValidatorTest, CodecsDependOnTheVersion) {
  BatchRules rules = Rules();
  rules.produce_version = 6;
  EXPECT_EQ(ErrorOf(Batch({.codec = Codec::kZstd}), rules), ErrorCode::kUnsupportedCompressionType);
  EXPECT_EQ(ErrorOf(Batch({.codec = Codec::kLz4}), rules), ErrorCode::kNone);
  rules.produce_version = 7;
  EXPECT_EQ(ErrorOf(Batch({.codec = Codec::kZstd}), rules), ErrorCode::kNone);
  EXPECT_EQ(ErrorOf(With(Batch({}), batch_layout::kAttributes, int16_t{5}), rules),
            ErrorCode::kUnsupportedCompressionType);
}

TEST(BatchValidatorTest, CreateTimesLieInTheTopicsBounds) {
  BatchRules rules = Rules();
  rules.timestamp_before_max_ms = 1000;
  rules.timestamp_after_max_ms = 500;
  const auto at = [](int64_t timestamp_ms, Codec codec = Codec::kNone) {
    return Batch({.codec = codec}, {{.timestamp_ms = timestamp_ms, .key = "k"}});
  };
  for (const Codec codec : {Codec::kNone, Codec::kZstd}) {
    EXPECT_EQ(ErrorOf(at(kNowMs - 1000, codec), rules), ErrorCode::kNone);
    EXPECT_EQ(ErrorOf(at(kNowMs - 1001, codec), rules), ErrorCode::kInvalidTimestamp);
    EXPECT_EQ(ErrorOf(at(kNowMs + 500, codec), rules), ErrorCode::kNone);
    EXPECT_EQ(ErrorOf(at(kNowMs + 501, codec), rules), ErrorCode::kInvalidTimestamp);
    EXPECT_EQ(ErrorOf(at(INT64_MAX, codec), rules), ErrorCode::kInvalidTimestamp);
    EXPECT_EQ(ErrorOf(at(kNoTimestamp, codec), rules), ErrorCode::kNone);
  }
  EXPECT_EQ(ErrorOf(With(at(0), batch_layout::kBaseTimestamp, int64_t{INT64_MIN}), rules),
            ErrorCode::kInvalidTimestamp);
  EXPECT_EQ(ErrorOf(at(0), Rules()), ErrorCode::kNone) << "by default old times are welcome";
}

TEST(BatchValidatorTest, NamesTheRecordsWithBadTimes) {
  const BatchVerdict verdict =
      ValidateBatch(Batch({}, {{.timestamp_ms = kNowMs, .key = "k"},
                               {.timestamp_ms = kNowMs + 3'600'001, .key = "k"}}),
                    Rules());
  EXPECT_EQ(verdict.error, ErrorCode::kInvalidTimestamp);
  ASSERT_EQ(verdict.record_errors.size(), 1u);
  EXPECT_EQ(verdict.record_errors[0].batch_index, 1);
  EXPECT_NE(verdict.message.find("3600000 ms after the broker's time"), std::string::npos)
      << verdict.message;
}

TEST(BatchValidatorTest, OnlyTheBrokerSetsAppendTimes) {
  EXPECT_EQ(ErrorOf(Batch({.log_append_time_ms = kNowMs}), Rules()), ErrorCode::kInvalidTimestamp);
  BatchRules rules = Rules();
  rules.timestamp_type = TimestampType::kLogAppendTime;
  std::string batch = Batch({}, {{.timestamp_ms = 12, .key = "k"}});
  const BatchVerdict verdict = ValidateBatch(batch, rules);
  ASSERT_TRUE(verdict.ok()) << verdict.message;
  EXPECT_TRUE(ApplyTimestamps(verdict, rules, batch));
  const RecordBatchView view = *RecordBatchView::Parse(batch);
  EXPECT_TRUE(view.CheckCrc().ok());
  EXPECT_EQ(view.max_timestamp(), kNowMs);
  EXPECT_EQ(view.timestamp_type(), TimestampType::kLogAppendTime);
}

TEST(BatchValidatorTest, ALyingMaximumIsCorrected) {
  std::string batch = With(Batch({}), batch_layout::kMaxTimestamp, int64_t{kNowMs + 5});
  BatchRules rules = Rules();
  const BatchVerdict verdict = ValidateBatch(batch, rules);
  ASSERT_TRUE(verdict.ok());
  ASSERT_EQ(verdict.true_max_timestamp_ms, kNowMs);
  EXPECT_TRUE(ApplyTimestamps(verdict, rules, batch));
  EXPECT_EQ(batch, Batch({}));
  EXPECT_FALSE(ApplyTimestamps(ValidateBatch(batch, rules), rules, batch));
}

TEST(BatchValidatorTest, CompactedTopicsNeedKeysInEveryCodec) {
  BatchRules rules = Rules();
  rules.compacted = true;
  for (const Codec codec : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kZstd}) {
    const std::string batch = Batch({.codec = codec}, {{.timestamp_ms = kNowMs, .key = ""},
                                                       {.timestamp_ms = kNowMs, .value = "a"},
                                                       {.timestamp_ms = kNowMs, .key = "k"},
                                                       {.timestamp_ms = kNowMs, .value = "b"}});
    const BatchVerdict verdict = ValidateBatch(batch, rules);
    EXPECT_EQ(verdict.error, ErrorCode::kInvalidRecord);
    ASSERT_EQ(verdict.record_errors.size(), 2u);
    EXPECT_EQ(verdict.record_errors[0].batch_index, 1);
    EXPECT_EQ(verdict.record_errors[1].batch_index, 3);
    EXPECT_EQ(ErrorOf(batch, Rules()), ErrorCode::kNone);
  }
}

TEST(BatchValidatorTest, NotEveryBadRecordIsNamed) {
  BatchRules rules = Rules();
  rules.compacted = true;
  const std::vector<NewRecord> records(1000, NewRecord{.timestamp_ms = kNowMs});
  const BatchVerdict verdict = ValidateBatch(Batch({}, records), rules);
  EXPECT_EQ(verdict.record_errors.size(), kRecordErrorsMax);
  EXPECT_EQ(verdict.message.substr(0, 4), "1000");
}

TEST(BatchValidatorTest, FullValidationOpensCompressedBatches) {
  // Four records that claim to be five.
  const std::vector<NewRecord> records(4, NewRecord{.timestamp_ms = kNowMs, .key = "k"});
  std::string batch = Batch({.codec = Codec::kZstd}, records);
  batch = With(With(batch, batch_layout::kRecordCount, 5), batch_layout::kLastOffsetDelta, 4);
  EXPECT_EQ(ErrorOf(batch, Rules()), ErrorCode::kNone);
  BatchRules full = Rules();
  full.full_validation = true;
  EXPECT_EQ(ErrorOf(batch, full), ErrorCode::kInvalidRecord);
}

TEST(BatchValidatorTest, ADecompressionBombIsTooLarge) {
  const std::string zeros(1 << 20, '\0');
  const std::string batch =
      Batch({.codec = Codec::kZstd}, {{.timestamp_ms = kNowMs, .key = "k", .value = zeros}});
  BatchRules rules = Rules();
  rules.full_validation = true;
  rules.decompressed_bytes_max = 1 << 20;
  EXPECT_EQ(ErrorOf(batch, rules), ErrorCode::kMessageTooLarge);
  rules.decompressed_bytes_max = 2 << 20;
  EXPECT_EQ(ErrorOf(batch, rules), ErrorCode::kNone);
}

TEST(BatchValidatorTest, GarbageInsteadOfACompressedStreamIsInvalid) {
  const std::string batch =
      With(Batch({}), batch_layout::kAttributes, static_cast<int16_t>(Codec::kGzip));
  BatchRules rules = Rules();
  rules.full_validation = true;
  EXPECT_EQ(ErrorOf(batch, rules), ErrorCode::kInvalidRecord);
}

}  // namespace
}  // namespace sluice::kafka
