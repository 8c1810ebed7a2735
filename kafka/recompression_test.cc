#include "kafka/recompression.h"

#include <gtest/gtest.h>

#include "kafka/batch_validator.h"
#include "kafka/record_batch_builder.h"

namespace sluice::kafka {
namespace {

constexpr Codec kCodecs[] = {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd};
constexpr int64_t kNowMs = 1'750'000'000'000;

std::string Batch(Codec codec) {
  RecordBatchBuilder builder(
      {.codec = codec, .producer_id = ProducerId(7), .producer_epoch = 3, .base_sequence = 41});
  const std::vector<RecordHeader> headers{{"trace", "abc"}, {"none", std::nullopt}};
  for (int i = 0; i < 50; ++i) {
    const std::string value(200, static_cast<char>('a' + i % 5));
    builder.Append(
        {.timestamp_ms = kNowMs + i % 7, .key = "k", .value = value, .headers = headers});
  }
  builder.Append({.timestamp_ms = kNowMs - 5});
  return *builder.Build();
}

struct Plain {
  int64_t timestamp_ms;
  int32_t offset_delta;
  std::optional<std::string> key, value;
  std::string headers;
  friend bool operator==(const Plain&, const Plain&) = default;
};

std::vector<Plain> Records(std::string_view bytes) {
  const RecordBatchView batch = *RecordBatchView::Parse(bytes);
  std::string storage;
  RecordIterator records(batch, *PlainRecords(batch, 1 << 20, storage));
  std::vector<Plain> all;
  Record record;
  while (records.Next(record)) {
    all.push_back({record.timestamp_ms, record.offset_delta,
                   record.key ? std::optional(std::string(*record.key)) : std::nullopt,
                   record.value ? std::optional(std::string(*record.value)) : std::nullopt,
                   std::string(record.header_bytes)});
  }
  EXPECT_TRUE(records.status().ok()) << records.status().ToString();
  return all;
}

TEST(RecompressionTest, FromEveryCodecToEveryCodecTheRecordsStay) {
  for (const Codec from : kCodecs) {
    for (const Codec to : kCodecs) {
      const std::string batch = Batch(from);
      BatchRules rules;
      rules.now_ms = kNowMs;
      rules.stored_codec = to;
      const BatchVerdict verdict = ValidateBatch(batch, rules);
      ASSERT_TRUE(verdict.ok()) << verdict.message;
      EXPECT_EQ(NeedsRecompression(batch, to), from != to);
      if (from == to) continue;
      const Result<std::string> stored = Recompress(batch, verdict.inflated, {to});
      ASSERT_TRUE(stored.ok()) << stored.status().ToString();
      const RecordBatchView before = *RecordBatchView::Parse(batch);
      const RecordBatchView after = *RecordBatchView::Parse(*stored);
      EXPECT_EQ(after.size_bytes(), stored->size());
      EXPECT_TRUE(after.CheckCrc().ok());
      EXPECT_EQ(after.codec(), to);
      EXPECT_EQ(after.attributes() & ~batch_layout::kCodecMask,
                before.attributes() & ~batch_layout::kCodecMask);
      EXPECT_EQ(after.bytes().substr(batch_layout::kLastOffsetDelta,
                                     kBatchOverhead - batch_layout::kLastOffsetDelta),
                before.bytes().substr(batch_layout::kLastOffsetDelta,
                                      kBatchOverhead - batch_layout::kLastOffsetDelta));
      EXPECT_EQ(Records(*stored), Records(batch)) << from << " to " << to;
    }
  }
}

TEST(RecompressionTest, TheLevelIsObeyed) {
  RecordBatchBuilder builder({});
  std::string value;
  for (int i = 0; i < 20000; ++i) value += std::to_string(i * 7919 % 100003);
  builder.Append({.timestamp_ms = kNowMs, .value = value});
  const std::string batch = *builder.Build();
  for (const Codec codec : {Codec::kGzip, Codec::kZstd}) {
    const size_t fast = Recompress(batch, "", {codec, codec == Codec::kZstd ? -100 : 1})->size();
    const size_t small = Recompress(batch, "", {codec, codec == Codec::kZstd ? 19 : 9})->size();
    EXPECT_LT(small, fast) << codec;
  }
}

TEST(RecompressionTest, ABatchThatIsToBeOpenedIsWalkedInFull) {
  // The last record lacks its last byte: a batch that is stored as it came would pass.
  std::string batch = Batch(Codec::kZstd);
  BatchRules rules;
  rules.now_ms = kNowMs;
  std::string plain = ValidateBatch(batch,
                                    [&] {
                                      BatchRules open = rules;
                                      open.full_validation = true;
                                      return open;
                                    }())
                          .inflated;
  ASSERT_FALSE(plain.empty());
  plain.pop_back();
  const std::string cut = *Recompress(batch, plain, {Codec::kLz4});
  EXPECT_TRUE(ValidateBatch(cut, rules).ok());
  rules.stored_codec = Codec::kLz4;
  EXPECT_TRUE(ValidateBatch(cut, rules).ok());
  rules.stored_codec = Codec::kNone;
  EXPECT_EQ(ValidateBatch(cut, rules).error, ErrorCode::kInvalidRecord);
}

TEST(RecompressionTest, ABombIsRefusedBeforeItUnfolds) {
  RecordBatchBuilder builder({.codec = Codec::kZstd});
  builder.Append({.timestamp_ms = kNowMs, .value = std::string(4 << 20, 'x')});
  const std::string batch = *builder.Build();
  BatchRules rules;
  rules.now_ms = kNowMs;
  rules.stored_codec = Codec::kGzip;
  rules.decompressed_bytes_max = 1 << 20;
  EXPECT_EQ(ValidateBatch(batch, rules).error, ErrorCode::kMessageTooLarge);
}

}  // namespace
}  // namespace sluice::kafka
