#include "storage/compaction/transactions.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "kafka/record_batch_builder.h"

namespace sluice::storage {
namespace {

constexpr int16_t kAbort = 0;
constexpr int16_t kCommit = 1;

BatchHeader Data(int64_t producer, int64_t offset) {
  BatchHeader header;
  header.base_offset = header.last_offset = Offset(offset);
  header.producer_id = ProducerId(producer);
  header.attributes = kafka::batch_layout::kTransactionalBit;
  return header;
}

std::string Marker(int64_t producer, int64_t offset, int16_t type) {
  kafka::RecordBatchBuilder builder({.base_offset = Offset(offset),
                                     .producer_id = ProducerId(producer),
                                     .producer_epoch = 0,
                                     .is_transactional = true,
                                     .is_control = true});
  ByteWriter key;
  key.PutInt16(0);
  key.PutInt16(type);
  builder.Append(
      {.timestamp_ms = 1, .key = key.view(), .value = std::string_view("\0\0\0\0\0\0", 6)});
  return *builder.Build();
}

bool Ends(TransactionTracker& tracker, const std::string& marker) {
  return tracker.OnControlBatch(*BatchHeader::Parse(marker), marker);
}

TEST(TransactionTracker, AbortedDataGoesAndItsMarkerStaysUntilThen) {
  const AbortedTransaction span{ProducerId(1), Offset(10), Offset(14), Offset(10)};
  TransactionTracker first({span});
  EXPECT_FALSE(first.OnDataBatch(Data(1, 5)));  // an earlier transaction
  EXPECT_FALSE(Ends(first, Marker(1, 6, kCommit)));
  EXPECT_TRUE(first.OnDataBatch(Data(1, 10)));
  EXPECT_FALSE(first.OnDataBatch(Data(2, 11)));
  EXPECT_TRUE(first.OnDataBatch(Data(1, 12)));
  EXPECT_FALSE(Ends(first, Marker(1, 14, kAbort)));
  EXPECT_EQ(first.TakeIndexEntries(), std::vector<AbortedTransaction>{span});
  EXPECT_TRUE(first.TakeIndexEntries().empty());
  EXPECT_FALSE(first.OnDataBatch(Data(1, 20)));  // a later one

  TransactionTracker second({span});
  EXPECT_TRUE(Ends(second, Marker(1, 14, kAbort)));  // the data is gone
  EXPECT_TRUE(second.TakeIndexEntries().empty());
}

TEST(TransactionTracker, ACommitMarkerIsDoneWhenItsDataIsGone) {
  TransactionTracker tracker({});
  EXPECT_FALSE(tracker.OnDataBatch(Data(1, 1)));
  EXPECT_FALSE(Ends(tracker, Marker(1, 2, kCommit)));
  EXPECT_TRUE(Ends(tracker, Marker(1, 3, kCommit)));
}

TEST(TransactionTracker, OtherControlRecordsStay) {
  TransactionTracker tracker({});
  EXPECT_FALSE(Ends(tracker, Marker(1, 2, 2)));
}

}  // namespace
}  // namespace sluice::storage
