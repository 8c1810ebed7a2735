// What the partition remembers of producers, as tables: each row is a batch and the verdict on it.

#include "storage/producer_state.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice::storage {
namespace {

using kafka::ErrorCode;

constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

struct Sent {
  int16_t epoch;
  int32_t sequence;
  int32_t records = 1;
  int64_t producer = 7;
};

BatchHeader Header(const Sent& sent, int64_t offset, int64_t time_ms = 1000) {
  BatchHeader header;
  header.base_offset = Offset(offset);
  header.last_offset = Offset(offset + sent.records - 1);
  header.record_count = sent.records;
  header.max_timestamp_ms = time_ms;
  header.producer_id = ProducerId(sent.producer);
  header.producer_epoch = sent.epoch;
  header.base_sequence = sent.sequence;
  return header;
}

// Sends batches as a leader would and tells what became of each: "@4" stored at offset 4, "=4" a
// resend of it, "<4" stored somewhere below offset 4, "too" refused as one before it, else the
// error.
class Partition {
 public:
  std::string Send(const Sent& sent) {
    BatchHeader header = Header(sent, 0);
    const auto verdict = state.Check(header);
    if (verdict.duplicate_of)
      return "=" + std::to_string(verdict.duplicate_of->first_offset().value());
    if (verdict.error == ErrorCode::kDuplicateSequenceNumber)
      return "<" + std::to_string(verdict.stored_below.value());
    if (verdict.error == ErrorCode::kOutOfOrderSequenceNumber) return "order";
    if (verdict.error == ErrorCode::kNotLeaderOrFollower) return "too";
    if (verdict.error == ErrorCode::kInvalidProducerEpoch) return "epoch";
    state.Observe(Header(sent, end), std::nullopt);
    const int64_t at = end;
    end += sent.records;
    return "@" + std::to_string(at);
  }

  ProducerState state;
  int64_t end = 0;
};

TEST(ProducerStateTest, Sequences) {
  Partition partition;
  const struct {
    Sent sent;
    const char* verdict;
    const char* why;
  } rows[] = {
      {{0, 40, 10}, "@0", "an unknown producer may start anywhere"},
      {{0, 50, 1}, "@10", "next"},
      {{0, 50, 1}, "=10", "resent"},
      {{0, 40, 10}, "=0", "resent, an older one"},
      {{0, 40, 9}, "order", "the same start, another length"},
      {{0, 52, 1}, "order", "a gap"},
      {{0, 51, 1}, "@11", "next"},
      {{1, 5, 1}, "order", "a new epoch starts at 0"},
      {{1, 0, 2}, "@12", "a new epoch"},
      {{0, 52, 1}, "epoch", "an older epoch"},
      {{0, 51, 1}, "epoch", "even for a resend"},
      {{1, 0, 2}, "=12", "resent in the new epoch"},
      {{1, 2, 1}, "@14", "next"},
      {{0, 0, 1, 8}, "@15", "another producer has its own numbers"},
  };
  for (const auto& row : rows) EXPECT_EQ(partition.Send(row.sent), row.verdict) << row.why;
}

TEST(ProducerStateTest, TheWindowIsFiveBatches) {
  Partition partition;
  for (int i = 0; i < 7; ++i) EXPECT_EQ(partition.Send({0, i}), "@" + std::to_string(i));
  for (int i = 2; i < 7; ++i) EXPECT_EQ(partition.Send({0, i}), "=" + std::to_string(i));
  EXPECT_EQ(partition.Send({0, 1}), "<2");
}

TEST(ProducerStateTest, WhatIsKnownToBeStoredBelowTheWindowIsADuplicate) {
  Partition partition;
  EXPECT_EQ(partition.Send({0, 10, 3}), "@0");
  EXPECT_EQ(partition.Send({0, 13, 2}), "@3");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(partition.Send({0, 15 + i}), "@" + std::to_string(5 + i));
  const struct {
    Sent sent;
    const char* verdict;
    const char* why;
  } rows[] = {
      {{0, 10, 3}, "<5", "the oldest"},
      {{0, 13, 2}, "<5", "the next one"},
      {{0, 10, 5}, "<5", "both of them: all that is in it is stored"},
      {{0, 9, 2}, "order", "nobody knows what became of 9"},
      {{0, 14, 2}, "order", "it reaches into the window"},
      {{0, 16, 2}, "order", "it lies in the window, and is none of the five"},
      {{0, 19, 2}, "order", "half of it is new"},
      {{0, 21, 1}, "order", "a gap"},
      {{0, kMax, 1}, "order", "long ago, or far ahead"},
      {{1, 0, 1}, "@10", "a new epoch"},
      {{1, 1, 6}, "@11", "next"},
      {{0, 10, 3}, "epoch", "an older epoch"},
  };
  for (const auto& row : rows) EXPECT_EQ(partition.Send(row.sent), row.verdict) << row.why;
}

TEST(ProducerStateTest, NothingOvertakesARefusedFirstBatch) {
  Partition partition;
  partition.state.NoteRefused(Header({0, 1}, 0));
  partition.state.NoteRefused(Header({0, 0}, 0));
  partition.state.NoteRefused(Header({0, 2}, 0));
  partition.state.NoteRefused(Header({3, 8, 1, 8}, 0));
  const struct {
    Sent sent;
    const char* verdict;
    const char* why;
  } rows[] = {
      {{0, 1}, "too", "0 has to come first"},
      {{0, 0}, "@0", "here it is"},
      {{0, 1}, "@1", "next"},
      {{3, 9, 1, 8}, "too", "another producer's"},
      {{4, 1, 1, 8}, "@2", "it has begun anew"},
      {{0, 5, 1, 9}, "@3", "a producer that nobody refused"},
  };
  for (const auto& row : rows) EXPECT_EQ(partition.Send(row.sent), row.verdict) << row.why;
  for (int i = 0; i < 5000; ++i) partition.state.NoteRefused(Header({0, 0, 1, 100 + i}, 0));
  EXPECT_EQ(partition.Send({0, 1, 1, 100}), "@4") << "forgotten: there are too many";
  EXPECT_EQ(partition.Send({0, 1, 1, 5099}), "too");
}

TEST(ProducerStateTest, WhatOvertakesARefusedBatchIsRefusedLikeIt) {
  Partition partition;
  EXPECT_EQ(partition.Send({0, 5, 2}), "@0");
  partition.state.NoteRefused(Header({0, 8}, 0));
  EXPECT_EQ(partition.Send({0, 9}), "order") << "7 is missing, which nobody refused";
  partition.state.NoteRefused(Header({0, 7}, 0));
  const struct {
    Sent sent;
    const char* verdict;
    const char* why;
  } rows[] = {
      {{0, 8}, "too", "7 has to come first"},
      {{0, 9, 3}, "too", "and before that, too"},
      {{0, 3, 1}, "order", "long ago"},
      {{1, 8}, "order", "a new epoch starts at 0"},
      {{0, 5, 2}, "=0", "a resend"},
      {{0, 7}, "@2", "here it is"},
      {{0, 9}, "order", "a gap of the client's own"},
      {{0, 8}, "@3", "next"},
  };
  for (const auto& row : rows) EXPECT_EQ(partition.Send(row.sent), row.verdict) << row.why;
}

TEST(ProducerStateTest, WhatIsKnownToBeStoredEndsAtAGap) {
  ProducerState state;
  // As a follower sees it whose leader's log was compacted.
  for (const int32_t sequence : {0, 1, 2, 9, 10, 11, 12, 13, 14, 15})
    state.Observe(Header({0, sequence}, sequence), std::nullopt);
  EXPECT_EQ(state.Check(Header({0, 10}, 0)).error, ErrorCode::kDuplicateSequenceNumber);
  EXPECT_EQ(state.Check(Header({0, 9}, 0)).error, ErrorCode::kDuplicateSequenceNumber);
  EXPECT_EQ(state.Check(Header({0, 8}, 0)).error, ErrorCode::kOutOfOrderSequenceNumber);
  EXPECT_EQ(state.Check(Header({0, 2}, 0)).error, ErrorCode::kOutOfOrderSequenceNumber);
}

TEST(ProducerStateTest, WhatIsKnownToBeStoredWraps) {
  Partition partition;
  EXPECT_EQ(partition.Send({0, kMax - 1, 3}), "@0") << "with 0 in it";
  for (int i = 1; i < 7; ++i) EXPECT_EQ(partition.Send({0, i}), "@" + std::to_string(2 + i));
  EXPECT_EQ(partition.Send({0, kMax - 1, 3}), "<4");
  EXPECT_EQ(partition.Send({0, kMax, 1}), "<4");
  EXPECT_EQ(partition.Send({0, 1, 1}), "<4");
  EXPECT_EQ(partition.Send({0, kMax - 2, 1}), "order");
}

TEST(ProducerStateTest, SequencesWrap) {
  Partition partition;
  EXPECT_EQ(partition.Send({0, kMax - 1, 2}), "@0");
  EXPECT_EQ(partition.Send({0, 0, 1}), "@2");
  EXPECT_EQ(partition.Send({0, 1, 1}), "@3");
  Partition inside;
  EXPECT_EQ(inside.Send({0, kMax, 3}), "@0") << "the batch itself wraps: " << kMax << ", 0, 1";
  EXPECT_EQ(inside.Send({0, 2, 1}), "@3");
  EXPECT_EQ(inside.Send({0, kMax, 3}), "=0");
}

TEST(ProducerStateTest, SnapshotRoundTripKeepsTheLastBatch) {
  Partition partition;
  partition.Send({3, 10, 5});
  partition.Send({3, 15, 2});
  partition.Send({0, kMax, 2, 9});
  const std::string bytes = partition.state.EncodeSnapshot();
  EXPECT_EQ(bytes.size(), 10 + 2 * 46u);
  Partition restored{ProducerState::DecodeSnapshot(bytes).value(), partition.end};
  EXPECT_EQ(restored.Send({3, 15, 2}), "=5");
  EXPECT_EQ(restored.Send({3, 10, 5}), "order") << "only the last batch is in a snapshot";
  EXPECT_EQ(restored.Send({3, 17, 1}), "@9");
  EXPECT_EQ(restored.Send({0, kMax, 2, 9}), "=7");
  EXPECT_EQ(restored.Send({0, 1, 1, 9}), "@10");
}

TEST(ProducerStateTest, TheSnapshotIsKafkas) {
  ProducerState state;
  state.Observe(Header({2, 4, 3, 0x0102}, 100, 0x1122), std::nullopt);
  const std::string bytes = state.EncodeSnapshot();
  const auto hex = [](std::string_view part) {
    std::string text;
    for (const unsigned char c : part) {
      text += "0123456789abcdef"[c >> 4];
      text += "0123456789abcdef"[c & 15];
    }
    return text;
  };
  EXPECT_EQ(hex(std::string_view(bytes).substr(0, 2)), "0001");
  EXPECT_EQ(hex(std::string_view(bytes).substr(6)),
            "00000001"            // one entry
            "0000000000000102"    // producer id
            "0002"                // epoch
            "00000006"            // last sequence
            "0000000000000066"    // last offset 102
            "00000002"            // offset delta
            "0000000000001122"    // timestamp
            "ffffffff"            // coordinator epoch
            "ffffffffffffffff");  // no transaction
  for (const size_t damaged : {size_t{0}, size_t{3}, size_t{20}, bytes.size() - 1}) {
    std::string bad = bytes;
    bad[damaged] ^= 1;
    EXPECT_EQ(ProducerState::DecodeSnapshot(bad).status().code(), StatusCode::kCorruption)
        << damaged;
  }
  EXPECT_FALSE(ProducerState::DecodeSnapshot(bytes.substr(0, bytes.size() - 1)).ok());
  EXPECT_FALSE(ProducerState::DecodeSnapshot("").ok());
}

TEST(ProducerStateTest, SilentProducersAreForgotten) {
  ProducerState state;
  state.Observe(Header({0, 0, 1, 1}, 0, 1000), std::nullopt);
  state.Observe(Header({0, 0, 1, 2}, 1, 5000), std::nullopt);
  BatchHeader open_transaction = Header({0, 0, 1, 3}, 2, 1000);
  open_transaction.attributes = kafka::batch_layout::kTransactionalBit;
  state.Observe(open_transaction, std::nullopt);
  state.RemoveExpired(5999, 5000);
  EXPECT_EQ(state.producers().size(), 3u);
  state.RemoveExpired(6000, 5000);
  EXPECT_EQ(state.producers().size(), 2u);
  EXPECT_TRUE(state.producers().contains(ProducerId(3))) << "a transaction is open";
}

TEST(ProducerStateTest, AMarkerEndsTheTransaction) {
  ProducerState state;
  BatchHeader data = Header({0, 0, 2}, 10);
  data.attributes = kafka::batch_layout::kTransactionalBit;
  state.Observe(data, std::nullopt);
  EXPECT_EQ(state.producers().at(ProducerId(7)).transaction_first_offset, 10);
  BatchHeader marker = Header({0, BatchHeader::kNoSequence, 1}, 12);
  marker.attributes = kafka::batch_layout::kTransactionalBit | kafka::batch_layout::kControlBit;
  state.Observe(marker, EndMarker{true, 4});
  const ProducerEntry& entry = state.producers().at(ProducerId(7));
  EXPECT_EQ(entry.transaction_first_offset, ProducerEntry::kNoTransaction);
  EXPECT_EQ(entry.coordinator_epoch, 4);
  EXPECT_EQ(entry.last_sequence(), 1) << "the marker has no sequence of its own";
}

}  // namespace
}  // namespace sluice::storage
