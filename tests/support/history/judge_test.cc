// For each anomaly a history in which only it is planted, and histories that look wrong and are
// not.
#include "tests/support/history/judge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace sluice::history {
namespace {

const Place kPlace{"orders", PartitionIndex(0)};

class JudgeTest : public ::testing::Test {
 protected:
  // Operations follow each other, 10 us each, but for what a test overlaps on purpose.
  Operation& Add(int32_t client, std::variant<Send, Poll, Commit, FetchCommitted, AskEnd> what) {
    Operation& added = history_.operations.emplace_back();
    added.client = client;
    added.begin_us = now_us_;
    added.end_us = now_us_ + 9;
    added.place = kPlace;
    added.what = std::move(what);
    now_us_ += 10;
    return added;
  }
  Operation& Acknowledged(int32_t client, Value value, int64_t offset) {
    return Add(client, Send{value, Offset(offset)});
  }
  // Values are given from `from` on, one an offset; -1 leaves one out.
  Operation& Read(int32_t client, int64_t from, const std::vector<Value>& values,
                  bool sought = false) {
    Poll poll{.from = Offset(from), .to = Offset(from), .sought = sought, .records = {}};
    for (const Value value : values) {
      if (value != -1) poll.records.push_back({poll.to, value});
      ++poll.to;
    }
    return Add(client, poll);
  }
  Operation& Committed(int64_t offset) { return Add(7, Commit{"g", Offset(offset)}); }
  Operation& Told(std::optional<Offset> offset) { return Add(8, FetchCommitted{"g", offset}); }
  Operation& End(int64_t end) { return Add(9, AskEnd{Offset(end)}); }

  // The kinds that were found, each once.
  std::vector<std::string> Kinds() const {
    std::vector<std::string> kinds;
    for (const Anomaly& anomaly : Judge(history_)) kinds.push_back(anomaly.kind);
    std::ranges::sort(kinds);
    kinds.erase(std::ranges::unique(kinds).begin(), kinds.end());
    return kinds;
  }
  using Found = std::vector<std::string>;

  History history_;
  int64_t now_us_ = 1000;
};

TEST_F(JudgeTest, WhatHappenedAsItShouldIsSound) {
  Acknowledged(1, 100, 0);
  Committed(0);
  Read(2, 0, {100});
  Acknowledged(1, 101, 1);
  Committed(1);
  Told(Offset(1));
  End(2);
  Read(2, 1, {101});
  Read(3, 0, {100, 101}, true);
  Read(3, 1, {101}, true);
  EXPECT_EQ(Kinds(), Found{});
}

TEST_F(JudgeTest, Lost) {
  Acknowledged(1, 100, 0);
  Acknowledged(1, 101, 1);
  Acknowledged(1, 102, 2);
  Read(2, 0, {100, -1, 102});
  EXPECT_EQ(Kinds(), Found{"lost"});
  EXPECT_EQ(Judge(history_).at(0).what,
            "orders-0 offset 1 value 101, send of client 1 at 1010-1019 us; "
            "passed by poll of client 2 at 1030-1039 us");
}

TEST_F(JudgeTest, Unread) {
  Acknowledged(1, 100, 0);
  Read(2, 0, {100});
  Acknowledged(1, 101, 1);
  EXPECT_EQ(Kinds(), Found{"unread"});
  Read(2, 1, {101});
  EXPECT_EQ(Kinds(), Found{});
}

// A reader that had begun before the acknowledgement proves nothing about later.
TEST_F(JudgeTest, OnlyALaterReaderHasReadWhatWasAcknowledged) {
  Read(2, 0, {100}).begin_us = 0;
  Acknowledged(1, 100, 0).begin_us = 0;
  EXPECT_EQ(Kinds(), Found{"unread"});
}

TEST_F(JudgeTest, TwoValues) {
  Acknowledged(1, 100, 0);
  Add(1, Send{101, std::nullopt}).outcome = Outcome::kUnknown;
  Read(2, 0, {100});
  Read(3, 0, {101});
  EXPECT_EQ(Kinds(), Found{"two values"});
}

TEST_F(JudgeTest, Duplicate) {
  Acknowledged(1, 100, 0);
  Read(2, 0, {100, 100});
  EXPECT_EQ(Kinds(), Found{"duplicate"});
  history_.idempotent = false;
  EXPECT_EQ(Kinds(), Found{});
}

TEST_F(JudgeTest, Phantom) {
  Read(2, 0, {100});
  EXPECT_EQ(Kinds(), Found{"phantom"}) << "never sent";
  history_.operations.clear();
  Add(1, Send{100, std::nullopt}).outcome = Outcome::kFailed;
  Read(2, 0, {100});
  EXPECT_EQ(Kinds(), Found{"phantom"}) << "sent and refused";
  history_.operations.clear();
  Add(1, Send{100, std::nullopt}).outcome = Outcome::kUnknown;
  Read(2, 0, {100}).place.partition = PartitionIndex(1);
  EXPECT_EQ(Kinds(), Found{"phantom"}) << "sent elsewhere";
  history_.operations.clear();
  Read(2, 0, {100});
  Acknowledged(1, 100, 0);
  Read(2, 1, {});
  Read(3, 0, {100});
  EXPECT_EQ(Kinds(), Found{"phantom"}) << "read before it was sent";
}

TEST_F(JudgeTest, AnOutcomeThatIsNotKnownMayBeEither) {
  for (const Value value : {100, 101}) Add(1, Send{value, {}}).outcome = Outcome::kUnknown;
  Read(2, 0, {101});
  EXPECT_EQ(Kinds(), Found{});
}

TEST_F(JudgeTest, Skipped) {
  for (const Value value : {100, 101}) Add(1, Send{value, {}}).outcome = Outcome::kUnknown;
  Read(2, 0, {100, 101});
  Read(3, 0, {-1, 101});
  EXPECT_EQ(Kinds(), Found{"skipped"});
}

// As where a transaction's marker lies.
TEST_F(JudgeTest, AnOffsetThatNobodyEverSawMayBePassed) {
  Acknowledged(1, 100, 0);
  Acknowledged(1, 101, 2);
  Read(2, 0, {100, -1, 101});
  EXPECT_EQ(Kinds(), Found{});
}

TEST_F(JudgeTest, ReadBack) {
  Acknowledged(1, 100, 0);
  Acknowledged(1, 101, 1);
  Read(2, 0, {100, 101});
  Read(2, 1, {101});
  EXPECT_EQ(Kinds(), Found{"read back"}) << "it was at 2";
  history_.operations.pop_back();
  std::get<Poll>(history_.operations.back().what).records = {{Offset(1), 101}, {Offset(0), 100}};
  EXPECT_EQ(Kinds(), (Found{"lost", "read back"})) << "within one poll";
  std::get<Poll>(history_.operations.back().what) = {
      .from = Offset(0), .to = Offset(1), .records = {{Offset(0), 100}, {Offset(1), 101}}};
  history_.operations.push_back(history_.operations.back());
  std::get<Poll>(history_.operations.back().what) = {
      .from = Offset(0),
      .to = Offset(2),
      .sought = true,
      .records = {{Offset(0), 100}, {Offset(1), 101}}};
  EXPECT_EQ(Kinds(), Found{"read back"}) << "more than it asked for";
}

TEST_F(JudgeTest, OutOfOrder) {
  // Both in flight at once.
  Acknowledged(1, 100, 1).end_us = now_us_ + 100;
  Acknowledged(1, 101, 0).end_us = now_us_ + 100;
  now_us_ += 200;
  Read(2, 0, {101, 100});
  EXPECT_EQ(Kinds(), Found{"out of order"});
  history_.idempotent = false;
  EXPECT_EQ(Kinds(), Found{});
  history_.operations[0].end_us = history_.operations[0].begin_us;
  EXPECT_EQ(Kinds(), Found{"out of order"}) << "one after the other";
  history_.operations[1].client = 3;
  EXPECT_EQ(Kinds(), Found{}) << "another's";
}

TEST_F(JudgeTest, CommittedBack) {
  Committed(5);
  Committed(6);
  Told(Offset(6));
  EXPECT_EQ(Kinds(), Found{});
  Told(Offset(5));
  EXPECT_EQ(Kinds(), Found{"committed back"});
  std::get<FetchCommitted>(history_.operations.back().what).offset.reset();
  EXPECT_EQ(Kinds(), Found{"committed back"}) << "forgotten";
  std::get<FetchCommitted>(history_.operations.back().what).offset = Offset(7);
  EXPECT_EQ(Kinds(), Found{"committed back"}) << "nobody's";
  std::get<FetchCommitted>(history_.operations.back().what).group = "another";
  EXPECT_EQ(Kinds(), Found{"committed back"}) << "another group's";
}

// One that is under way, or whose outcome nobody knows, may be seen or not, and late.
TEST_F(JudgeTest, APositionMayBeAnyThatIsUnderWay) {
  Committed(5);
  Committed(6).outcome = Outcome::kUnknown;
  Committed(7);
  Told(Offset(6));
  Told(Offset(7));
  Committed(8).end_us = now_us_ + 100;
  Told(Offset(7));
  Told(Offset(8));
  Told(Offset(7));
  EXPECT_EQ(Kinds(), Found{});
  Told(Offset(5));
  EXPECT_EQ(Kinds(), Found{"committed back"});
}

TEST_F(JudgeTest, EndWentBack) {
  Add(1, Send{100, std::nullopt}).outcome = Outcome::kUnknown;
  Acknowledged(1, 101, 1);
  End(1);
  Read(2, 0, {100, 101});
  EXPECT_EQ(Kinds(), Found{"end went back"}) << "behind what was acknowledged";
  std::get<AskEnd>(history_.operations[2].what).end = Offset(2);
  EXPECT_EQ(Kinds(), Found{});
  End(1);
  EXPECT_EQ(Kinds(), Found{"end went back"}) << "behind what was read and told";
}

// As long as a chaos run's, and judged in a moment: a planted fault among many is found.
TEST_F(JudgeTest, OneFaultAmongManyIsFound) {
  constexpr int64_t kRecords = 20'000;
  Random random(1);
  Offset position{0};
  for (int64_t i = 0; i < kRecords; ++i) {
    Acknowledged(1, i, i);
    if (!random.Chance(1, 3)) continue;
    std::vector<Value> values(static_cast<size_t>(i + 1 - position.value()));
    std::iota(values.begin(), values.end(), position.value());
    Read(2, position.value(), values);
    position = Offset(i + 1);
  }
  std::vector<Value> all(kRecords);
  std::iota(all.begin(), all.end(), 0);
  Operation& whole = Read(3, 0, all);
  EXPECT_EQ(Kinds(), Found{});
  auto& records = std::get<Poll>(whole.what).records;
  records.erase(records.begin() + 12'345);
  EXPECT_EQ(Judge(history_).size(), 1u);
  EXPECT_EQ(Kinds(), Found{"lost"});
}

}  // namespace
}  // namespace sluice::history
