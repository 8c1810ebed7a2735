#include "storage/compaction/batch_filter.h"

#include <gtest/gtest.h>

#include <map>

#include "base/bytes.h"
#include "kafka/record_batch_builder.h"

namespace sluice::storage {
namespace {

using kafka::Codec;

constexpr int64_t kNow = 5'000'000;
constexpr int64_t kRetention = 1000;

struct Entry {
  std::string key;
  std::optional<std::string> value;
};

struct Seen {
  int64_t offset;
  int64_t timestamp;
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::ostream& operator<<(std::ostream& out, const Seen& seen) {
  return out << seen.offset << "@" << seen.timestamp << " " << seen.key << "="
             << seen.value.value_or("null");
}

std::string Batch(const std::vector<Entry>& entries, Codec codec = Codec::kNone) {
  kafka::RecordBatchBuilder builder({.base_offset = Offset(100),
                                     .partition_leader_epoch = LeaderEpoch(3),
                                     .codec = codec,
                                     .producer_id = ProducerId(9),
                                     .producer_epoch = 2,
                                     .base_sequence = 40});
  for (size_t i = 0; i < entries.size(); ++i) {
    builder.Append({.timestamp_ms = 1000 - static_cast<int64_t>(i) * 10,
                    .key = entries[i].key,
                    .value = entries[i].value});
  }
  auto batch = builder.Build();
  CHECK(batch.ok());
  return *batch;
}

std::vector<Seen> RecordsOf(const std::string& batch) {
  const auto view = kafka::RecordBatchView::Parse(batch);
  CHECK(view.ok() && view->CheckCrc().ok());
  std::string storage;
  const auto plain = kafka::PlainRecords(*view, 1 << 20, storage);
  CHECK(plain.ok());
  kafka::RecordIterator records(*view, *plain);
  std::vector<Seen> seen;
  kafka::Record record;
  while (records.Next(record)) {
    seen.push_back({record.offset.value(), record.timestamp_ms, std::string(*record.key),
                    record.value ? std::optional<std::string>(*record.value) : std::nullopt});
  }
  CHECK(records.status().ok()) << records.status().ToString();
  return seen;
}

class BatchFilterTest : public ::testing::TestWithParam<Codec> {
 protected:
  void Know(const std::string& key, int64_t offset) {
    ASSERT_TRUE(map_.Put(hasher_.Hash(key), Offset(offset)));
  }
  FilterVerdict Filter(const std::string& batch, const BatchRetention& retention = {}) {
    BatchFilter filter({.map = &map_,
                        .hasher = hasher_,
                        .mapped_upto = mapped_upto_,
                        .now_ms = now_ms_,
                        .delete_retention_ms = kRetention});
    out_.clear();
    const auto verdict = filter.Filter(*BatchHeader::Parse(batch), batch, retention, out_);
    CHECK(verdict.ok()) << verdict.status().ToString();
    return *verdict;
  }

  KeyHasher hasher_{1, 2};
  OffsetMap map_{{.base = Offset(0), .entries_expected = 1000}};
  Offset mapped_upto_{1000};
  int64_t now_ms_ = kNow;
  std::string out_;
};

INSTANTIATE_TEST_SUITE_P(Codecs, BatchFilterTest,
                         ::testing::Values(Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4,
                                           Codec::kZstd));

TEST_P(BatchFilterTest, KeepsTheLastRecordOfAKeyWhereItIs) {
  const std::string batch = Batch({{"a", "1"}, {"b", "2"}, {"a", "3"}, {"c", "4"}}, GetParam());
  Know("a", 102);
  Know("b", 101);
  Know("c", 500);
  ASSERT_EQ(Filter(batch), FilterVerdict::kRewrite);
  EXPECT_EQ(RecordsOf(out_), (std::vector<Seen>{{101, 990, "b", "2"}, {102, 980, "a", "3"}}));
  const auto before = BatchHeader::Parse(batch);
  const auto after = BatchHeader::Parse(out_);
  EXPECT_EQ(after->base_offset, before->base_offset);
  EXPECT_EQ(after->last_offset, before->last_offset);
  EXPECT_EQ(after->leader_epoch, before->leader_epoch);
  EXPECT_EQ(after->attributes, before->attributes);
  EXPECT_EQ(after->last_sequence(), before->last_sequence());
  EXPECT_EQ(after->producer_id, before->producer_id);
  EXPECT_EQ(after->producer_epoch, before->producer_epoch);
  EXPECT_EQ(after->record_count, 2);
  EXPECT_EQ(after->max_timestamp_ms, 990);
  // Once filtered it stays as it is.
  EXPECT_EQ(Filter(std::string(out_)), FilterVerdict::kKeep);
}

TEST_P(BatchFilterTest, KeepsUnknownKeysAndWhatIsNotMapped) {
  const std::string batch = Batch({{"a", "1"}, {"b", "2"}, {"a", "3"}}, GetParam());
  EXPECT_EQ(Filter(batch), FilterVerdict::kKeep);
  Know("a", 900);
  Know("b", 901);
  mapped_upto_ = Offset(101);
  ASSERT_EQ(Filter(batch), FilterVerdict::kRewrite);
  EXPECT_EQ(RecordsOf(out_), (std::vector<Seen>{{101, 990, "b", "2"}, {102, 980, "a", "3"}}));
}

TEST_P(BatchFilterTest, ATombstoneGetsAHorizonAndGoesWhenItHasPassed) {
  const std::string batch = Batch({{"a", std::nullopt}, {"b", "2"}, {"c", "3"}}, GetParam());
  Know("a", 100);
  Know("b", 101);
  Know("c", 900);
  ASSERT_EQ(Filter(batch), FilterVerdict::kRewrite);
  const std::vector<Seen> kept = {{100, 1000, "a", std::nullopt}, {101, 990, "b", "2"}};
  EXPECT_EQ(RecordsOf(out_), kept);
  const std::string stamped = out_;
  const auto header = BatchHeader::Parse(stamped);
  EXPECT_TRUE(header->attributes & kafka::batch_layout::kDeleteHorizonBit);
  EXPECT_EQ(header->base_timestamp_ms, kNow + kRetention);
  EXPECT_EQ(header->max_timestamp_ms, 1000);

  now_ms_ = kNow + kRetention - 1;
  EXPECT_EQ(Filter(stamped), FilterVerdict::kKeep);
  now_ms_ = kNow + kRetention;
  ASSERT_EQ(Filter(stamped), FilterVerdict::kRewrite);
  EXPECT_EQ(RecordsOf(out_), (std::vector<Seen>{{101, 990, "b", "2"}}));
  EXPECT_EQ(BatchHeader::Parse(out_)->base_timestamp_ms, kNow + kRetention);
}

TEST_P(BatchFilterTest, AnEmptiedBatchGoesOrStaysAsItsHeader) {
  const std::string batch = Batch({{"a", "1"}, {"b", "2"}}, GetParam());
  Know("a", 900);
  Know("b", 901);
  EXPECT_EQ(Filter(batch), FilterVerdict::kDrop);
  ASSERT_EQ(Filter(batch, {.keep_empty = true}), FilterVerdict::kRewrite);
  ASSERT_EQ(out_.size(), BatchHeader::kBytes);
  EXPECT_TRUE(BatchChecksumHolds(out_));
  const auto before = BatchHeader::Parse(batch);
  const auto after = BatchHeader::Parse(out_);
  EXPECT_EQ(after->record_count, 0);
  EXPECT_EQ(after->last_offset, before->last_offset);
  EXPECT_EQ(after->last_sequence(), before->last_sequence());
  EXPECT_EQ(after->max_timestamp_ms, before->max_timestamp_ms);
  EXPECT_EQ(after->base_timestamp_ms, -1);
  EXPECT_EQ(after->attributes & kafka::batch_layout::kCodecMask, 0);
  const std::string empty = out_;
  EXPECT_EQ(Filter(empty, {.keep_empty = true}), FilterVerdict::kKeep);
  EXPECT_EQ(Filter(empty), FilterVerdict::kDrop);
}

TEST_P(BatchFilterTest, DropsTheRecordsOfAnAbortedBatch) {
  const std::string batch = Batch({{"a", "1"}}, GetParam());
  EXPECT_EQ(Filter(batch, {.drop_records = true}), FilterVerdict::kDrop);
  EXPECT_EQ(Filter(batch, {.drop_records = true, .keep_empty = true}), FilterVerdict::kRewrite);
}

TEST_P(BatchFilterTest, RandomBatchesAgreeWithKeepingTheLastOfEachKey) {
  Random random(static_cast<uint64_t>(GetParam()) + 1);
  for (int round = 0; round < 200; ++round) {
    std::vector<Entry> entries;
    std::map<std::string, int64_t> last;
    for (uint64_t i = 0, count = 1 + random.Below(30); i < count; ++i) {
      const std::string key = "k" + std::to_string(random.Below(12));
      entries.push_back({key, std::string(random.Below(50), 'v')});
      last[key] = 100 + static_cast<int64_t>(i);
    }
    OffsetMap map({.base = Offset(0), .entries_expected = 100});
    const std::string batch = Batch(entries, GetParam());
    const auto mapped = MapBatch(*BatchHeader::Parse(batch), batch, Offset(0), hasher_, map);
    ASSERT_TRUE(mapped.ok() && *mapped);
    ASSERT_EQ(map.size(), last.size());
    BatchFilter filter({.map = &map, .hasher = hasher_, .mapped_upto = Offset(1000)});
    std::string out;
    const auto verdict = filter.Filter(*BatchHeader::Parse(batch), batch, {}, out);
    ASSERT_TRUE(verdict.ok());
    std::vector<Seen> expected = RecordsOf(batch);
    std::erase_if(expected, [&](const Seen& seen) { return last[seen.key] != seen.offset; });
    EXPECT_EQ(*verdict == FilterVerdict::kKeep, last.size() == entries.size());
    EXPECT_EQ(RecordsOf(*verdict == FilterVerdict::kKeep ? batch : out), expected);
  }
}

TEST_P(BatchFilterTest, WhateverBytesStandWhereRecordsShould) {
  Random random(11);
  const std::string sound = Batch({{"a", "1"}, {"b", std::nullopt}, {"c", "3"}}, GetParam());
  BatchFilter filter({.map = &map_, .hasher = hasher_, .mapped_upto = mapped_upto_});
  for (int round = 0; round < 2000; ++round) {
    std::string batch = sound;
    for (uint64_t i = 0, flips = 1 + random.Below(4); i < flips; ++i) {
      const size_t at = BatchHeader::kBytes + random.Below(batch.size() - BatchHeader::kBytes);
      batch[at] = static_cast<char>(random.Next());
    }
    std::string out;
    const auto header = *BatchHeader::Parse(batch);
    const auto verdict = filter.Filter(header, batch, {}, out);
    if (!verdict.ok()) continue;
    if (*verdict == FilterVerdict::kRewrite) ASSERT_TRUE(BatchChecksumHolds(out));
    OffsetMap map({.base = Offset(0), .entries_expected = 10});
    ASSERT_TRUE(MapBatch(header, batch, Offset(0), hasher_, map).ok());
  }
}

TEST_F(BatchFilterTest, BytesThatAreNoRecordsAreToldAsDamage) {
  std::string batch = Batch({{"a", "1"}, {"b", "2"}});
  batch[BatchHeader::kBytes] = 0x7f;
  BatchFilter filter({.map = &map_, .hasher = hasher_, .mapped_upto = mapped_upto_});
  const auto verdict = filter.Filter(*BatchHeader::Parse(batch), batch, {}, out_);
  EXPECT_EQ(verdict.status().code(), StatusCode::kCorruption);
  const auto mapped = MapBatch(*BatchHeader::Parse(batch), batch, Offset(0), hasher_, map_);
  EXPECT_EQ(mapped.status().code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace sluice::storage
