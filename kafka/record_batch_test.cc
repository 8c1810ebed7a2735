// Batches that Kafka's classes wrote, read by ours; ours against theirs byte for byte; and what
// malformed bytes give.

#include "kafka/record_batch.h"

#include <gtest/gtest.h>

#include <array>

#include "base/random.h"
#include "kafka/record_batch_builder.h"
#include "kafka/testing/golden_batches.h"

namespace sluice::kafka {
namespace {

using testing::Describe;
using testing::Golden;
using testing::GoldenBatch;
using testing::GoldenBatches;

constexpr int64_t kTimeMs = 1'750'000'000'000;

// The records of Batches.java's small().
void AppendSmall(RecordBatchBuilder& builder) {
  const std::array<RecordHeader, 4> headers{{{"trace", std::string_view("\0\1\2\xff", 4)},
                                             {"", ""},
                                             {"null", std::nullopt},
                                             {"trace", "again"}}};
  builder.Append({.timestamp_ms = kTimeMs, .key = "key", .value = "value"});
  builder.Append({.timestamp_ms = kTimeMs + 5, .key = "tombstone"});
  builder.Append({.timestamp_ms = kTimeMs - 5, .value = "no key"});
  builder.Append({.timestamp_ms = kTimeMs + 70'000, .key = "", .value = ""});
  builder.Append(
      {.timestamp_ms = kTimeMs + 1, .key = "headers", .value = "f\xc3\xbcnf", .headers = headers});
  builder.Append({.timestamp_ms = kTimeMs + 2});
}

std::string BuildSmall(const RecordBatchOptions& options) {
  RecordBatchBuilder builder(options);
  AppendSmall(builder);
  return *builder.Build();
}

TEST(RecordBatchTest, ReadsEveryBatchOfKafkaAsKafkaDoes) {
  for (const GoldenBatch& golden : GoldenBatches()) {
    EXPECT_EQ(Describe(golden.bytes), golden.description) << golden.name;
  }
}

TEST(RecordBatchTest, BuildsPlainBatchesByteForByteAsKafkaDoes) {
  EXPECT_EQ(BuildSmall({}), Golden("none_small").bytes);
  EXPECT_EQ(BuildSmall({.base_offset = Offset(int64_t{1} << 40),
                        .partition_leader_epoch = LeaderEpoch(9),
                        .producer_id = ProducerId(4711),
                        .producer_epoch = 3,
                        .base_sequence = 100}),
            Golden("idempotent").bytes);
  EXPECT_EQ(BuildSmall({.base_offset = Offset(20), .log_append_time_ms = kTimeMs + 123}),
            Golden("log_append_time").bytes);
}

TEST(RecordBatchTest, BuildsControlBatchesByteForByteAsKafkaDoes) {
  RecordBatchBuilder builder({.base_offset = Offset(12),
                              .partition_leader_epoch = LeaderEpoch(5),
                              .producer_id = ProducerId(4712),
                              .producer_epoch = 1,
                              .is_transactional = true,
                              .is_control = true});
  builder.Append({.timestamp_ms = kTimeMs,
                  .key = std::string_view("\0\0\0\1", 4),
                  .value = std::string_view("\0\0\0\0\0\x11", 6)});
  EXPECT_EQ(*builder.Build(), Golden("end_transaction_commit").bytes);
}

TEST(RecordBatchTest, CompressedBatchesHoldTheSameRecords) {
  const std::string wanted = Golden("none_small").description;
  const std::string wanted_records = wanted.substr(wanted.find('\n'));
  for (const Codec codec : {Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    const std::string batch = BuildSmall({.codec = codec});
    EXPECT_EQ(RecordBatchView::Parse(batch)->codec(), codec);
    const std::string got = Describe(batch);
    EXPECT_EQ(got.substr(got.find('\n')), wanted_records) << codec;
  }
}

TEST(RecordBatchTest, OffsetsMayHaveGaps) {
  RecordBatchBuilder builder({.base_offset = Offset(1000), .codec = Codec::kLz4});
  builder.AppendAt(Offset(1003), {.timestamp_ms = kTimeMs, .key = "a", .value = "1"});
  builder.AppendAt(Offset(1004), {.timestamp_ms = kTimeMs, .key = "b", .value = "2"});
  builder.AppendAt(Offset(101'000), {.timestamp_ms = kTimeMs, .key = "c", .value = "3"});
  EXPECT_EQ(builder.record_count(), 3);
  const std::string batch = *builder.Build();
  const std::string wanted = Golden("gaps").description;
  const std::string got = Describe(batch);
  EXPECT_EQ(got.substr(got.find('\n')), wanted.substr(wanted.find('\n')));
  EXPECT_EQ(RecordBatchView::Parse(batch)->next_offset(), Offset(101'001));
}

TEST(RecordBatchTest, TheBuilderKnowsItsSize) {
  RecordBatchBuilder builder({});
  EXPECT_EQ(builder.size_bytes(), kBatchOverhead);
  AppendSmall(builder);
  const size_t promised = builder.size_bytes();
  EXPECT_EQ(builder.Build()->size(), promised);
}

TEST(RecordBatchTest, OffsetAndEpochCanChangeWithoutTheCrc) {
  std::string batch = Golden("zstd_small").bytes;
  SetBaseOffset(batch.data(), Offset(int64_t{1} << 50));
  SetPartitionLeaderEpoch(batch.data(), LeaderEpoch(77));
  const RecordBatchView view = *RecordBatchView::Parse(batch);
  EXPECT_TRUE(view.CheckCrc().ok());
  EXPECT_EQ(view.base_offset(), Offset(int64_t{1} << 50));
  EXPECT_EQ(view.last_offset(), Offset((int64_t{1} << 50) + 5));
  EXPECT_EQ(view.partition_leader_epoch(), LeaderEpoch(77));
}

TEST(RecordBatchTest, TimestampChangesRenewTheCrc) {
  std::string batch = Golden("none_small").bytes;
  SetMaxTimestampAndType(batch.data(), batch.size(), 99, TimestampType::kLogAppendTime);
  const RecordBatchView view = *RecordBatchView::Parse(batch);
  EXPECT_TRUE(view.CheckCrc().ok());
  EXPECT_EQ(view.timestamp_type(), TimestampType::kLogAppendTime);
  RecordIterator records(view, view.records());
  Record record;
  ASSERT_TRUE(records.Next(record));
  EXPECT_EQ(record.timestamp_ms, 99);
  SetMaxTimestampAndType(batch.data(), batch.size(), kTimeMs + 70'000, TimestampType::kCreateTime);
  EXPECT_EQ(batch, Golden("none_small").bytes);
}

TEST(RecordBatchTest, SequencesWrapToZero) {
  EXPECT_EQ(IncrementSequence(5, 3), 8);
  EXPECT_EQ(IncrementSequence(INT32_MAX, 1), 0);
  EXPECT_EQ(IncrementSequence(INT32_MAX - 1, 5), 3);
  EXPECT_EQ(IncrementSequence(INT32_MAX, 0), INT32_MAX);
}

TEST(RecordBatchTest, ParseTellsShortFromBad) {
  const std::string good = Golden("none_small").bytes;
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(RecordBatchView::Parse(good.substr(0, size)).status().code(),
              StatusCode::kOutOfRange);
  }
  std::string bad = good;
  bad[batch_layout::kMagic] = 1;
  EXPECT_EQ(RecordBatchView::Parse(bad).status().code(), StatusCode::kUnsupported);
  bad[batch_layout::kMagic] = 3;
  EXPECT_EQ(RecordBatchView::Parse(bad).status().code(), StatusCode::kCorruption);
  for (const int32_t length : {-1, 0, 48, INT32_MIN}) {
    bad = good;
    StoreBigEndian(bad.data() + batch_layout::kBatchLength, length);
    EXPECT_EQ(RecordBatchView::Parse(bad).status().code(), StatusCode::kCorruption) << length;
  }
  EXPECT_EQ(RecordBatchView::Parse(std::string(100, '\0')).status().code(),
            StatusCode::kCorruption);
  EXPECT_EQ(RecordBatchView::Parse(good + "more")->size_bytes(), good.size());
}

TEST(RecordBatchTest, EveryBitFromTheAttributesOnIsUnderTheCrc) {
  const std::string good = Golden("none_one").bytes;
  for (size_t at = batch_layout::kCrc; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      EXPECT_EQ(RecordBatchView::Parse(bad)->CheckCrc().code(), StatusCode::kCorruption) << at;
    }
  }
}

TEST(BatchIteratorTest, GivesWholeBatchesAndStopsBeforeAPartialOne) {
  const std::string three = Golden("three_batches").bytes;
  for (size_t size = 0; size <= three.size(); size += 7) {
    BatchIterator batches(std::string_view(three).substr(0, size));
    size_t total = 0;
    while (true) {
      const auto batch = batches.Next();
      ASSERT_TRUE(batch.ok());
      if (!batch->has_value()) break;
      total += (*batch)->size_bytes();
    }
    EXPECT_EQ(batches.position(), total);
    EXPECT_LE(total, size);
  }
}

TEST(BatchIteratorTest, FailsAtADamagedFrameForGood) {
  std::string two = Golden("none_one").bytes;
  const size_t first = two.size();
  two += two;
  two[first + batch_layout::kMagic] = 9;
  BatchIterator batches(two);
  EXPECT_TRUE(batches.Next()->has_value());
  EXPECT_EQ(batches.Next().status().code(), StatusCode::kCorruption);
  EXPECT_EQ(batches.Next().status().code(), StatusCode::kCorruption);
  EXPECT_EQ(batches.position(), first);
}

// One record's bytes put behind the header of a batch that claims `count` records.
class RecordIteratorTest : public ::testing::Test {
 protected:
  Status Walk(std::string_view records, int32_t count) {
    std::string header = Golden("none_one").bytes;
    StoreBigEndian(header.data() + batch_layout::kRecordCount, count);
    RecordIterator iterator(*RecordBatchView::Parse(header), records);
    Record record;
    while (iterator.Next(record)) {
    }
    EXPECT_FALSE(iterator.Next(record));
    return iterator.status();
  }
};

TEST_F(RecordIteratorTest, RefusesWhatDoesNotFit) {
  using std::string_literals::operator""s;
  const std::string good = "\x10\0\0\0\2k\2v\0"s;  // length 8 in zigzag
  EXPECT_TRUE(Walk(good, 1).ok());
  EXPECT_TRUE(Walk("", 0).ok());
  const std::pair<std::string, int32_t> cases[] = {
      {good, 2},                              // a record is missing
      {good, 0},                              // bytes are left
      {good + good, 1},                       // a whole record is left
      {good, -1},                             // a negative count
      {"\x0e\0\0\0\2k\2v\0"s, 1},             // a length one too small
      {"\x12\0\0\0\2k\2v\0"s, 1},             // one too large
      {"\x12\0\0\0\2k\2v\0\0"s, 1},           // a byte left after the headers
      {"\x01\0\0\0\2k\2v\0"s, 1},             // length -1
      {"\x10\0\0\0\xffk\2v\0"s, 1},           // key length does not end
      {"\x10\0\0\0\3k\2v\0"s, 1},             // key length -2
      {"\x10\0\0\0\2k\x40v\0"s, 1},           // value longer than the record
      {"\x10\0\0\0\2k\2v\1"s, 1},             // header count -1
      {"\x10\0\0\0\2k\2v\2"s, 1},             // a header that is not there
      {"\x14\0\0\0\2k\2v\2\1\0"s, 1},         // header key of length -1
      {"\xff\xff\xff\xff\x0f\0\0\0\2k"s, 1},  // length of -2^31
  };
  int number = 0;
  for (const auto& [records, count] : cases) {
    EXPECT_EQ(Walk(records, count).code(), StatusCode::kCorruption) << "case " << number;
    ++number;
  }
}

TEST_F(RecordIteratorTest, AHugeHeaderCountTakesNoMemory) {
  using std::string_literals::operator""s;
  EXPECT_EQ(Walk("\x18\0\0\0\2k\2v\xfe\xff\xff\xff\x0f"s, 1).code(), StatusCode::kCorruption);
}

TEST_F(RecordIteratorTest, OffsetsAndTimesWrapInsteadOfBeingUndefined) {
  std::string batch = Golden("none_small").bytes;
  SetBaseOffset(batch.data(), Offset(INT64_MAX));
  StoreBigEndian(batch.data() + batch_layout::kBaseTimestamp, int64_t{INT64_MAX});
  RecordIterator records(*RecordBatchView::Parse(batch), RecordBatchView::Parse(batch)->records());
  Record record;
  while (records.Next(record)) {
  }
  EXPECT_TRUE(records.status().ok());
}

}  // namespace
}  // namespace sluice::kafka
