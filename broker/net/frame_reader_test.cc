// Frames out of a byte stream however it is cut, and what they may cost.

#include "broker/net/frame_reader.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace sluice::broker {
namespace {

using Outcome = FrameReader::Outcome;

std::string Framed(const std::string& body) {
  ByteWriter writer;
  writer.PutInt32(static_cast<int32_t>(body.size()));
  writer.PutBytes(body);
  return writer.Take();
}

class FrameReaderTest : public ::testing::Test {
 protected:
  std::shared_ptr<MemoryBudget> budget_ = std::make_shared<MemoryBudget>(1 << 20);
  std::shared_ptr<FramePool> pool_ = std::make_shared<FramePool>(1 << 20);
  FrameReader reader_{{8, 1 << 20}, budget_, pool_};
};

TEST_F(FrameReaderTest, CutsTheStreamHoweverItComes) {
  const std::vector<std::string> bodies = {std::string(8, 'a'), std::string(300, 'b'),
                                           std::string(70000, 'c')};
  std::string stream;
  for (const std::string& body : bodies) stream += Framed(body);
  for (const size_t step : {size_t{1}, size_t{3}, size_t{1000}, stream.size()}) {
    std::vector<std::string> got;
    for (size_t at = 0; at < stream.size(); at += step) {
      std::string_view input = std::string_view(stream).substr(at, step);
      while (reader_.Feed(input) == Outcome::kFrame) got.emplace_back(reader_.TakeFrame()->bytes());
      EXPECT_TRUE(input.empty());
    }
    EXPECT_EQ(got, bodies) << "step " << step;
    EXPECT_FALSE(reader_.in_frame());
  }
  EXPECT_EQ(budget_->used_bytes(), 0u);
}

TEST_F(FrameReaderTest, RefusesSizesBeforeTakingMemory) {
  for (const int32_t size : {-1, 0, 7, (1 << 20) + 1, INT32_MIN, INT32_MAX}) {
    FrameReader reader({8, 1 << 20}, budget_, pool_);
    ByteWriter prefix;
    prefix.PutInt32(size);
    std::string_view input = prefix.view();
    EXPECT_EQ(reader.Feed(input), Outcome::kBadSize) << size;
    EXPECT_EQ(budget_->used_bytes(), 0u);
  }
}

TEST_F(FrameReaderTest, ALengthAloneTakesNoMemory) {
  ByteWriter prefix;
  prefix.PutInt32(1 << 20);
  std::string_view input = prefix.view();
  EXPECT_EQ(reader_.Feed(input), Outcome::kNeedBytes);
  // The promise is counted, the memory grows with what comes.
  EXPECT_EQ(budget_->used_bytes(), size_t{1} << 20);
  EXPECT_LE(reader_.DirectSpace().size(), FramePool::kStepBytes);
}

TEST_F(FrameReaderTest, LargeBodiesAreReadInPlace) {
  const std::string body(500000, 'd');
  const std::string stream = Framed(body);
  std::string_view input = std::string_view(stream).substr(0, 1000);
  EXPECT_EQ(reader_.Feed(input), Outcome::kNeedBytes);
  size_t at = 1000;
  std::string_view nothing;
  while (reader_.Feed(nothing) == Outcome::kNeedBytes) {
    std::span<char> space = reader_.DirectSpace();
    if (space.empty()) {
      std::string_view rest = std::string_view(stream).substr(at);
      at = stream.size();
      EXPECT_EQ(reader_.Feed(rest), Outcome::kFrame);
      break;
    }
    const size_t size = std::min(space.size(), stream.size() - at);
    stream.copy(space.data(), size, at);
    reader_.CommitDirect(size);
    at += size;
  }
  EXPECT_EQ(reader_.TakeFrame()->bytes(), body);
  EXPECT_GT(pool_->retained_bytes(), 500000u);
  pool_->TrimIfUnused();  // used since the last time
  EXPECT_GT(pool_->retained_bytes(), 0u);
  pool_->TrimIfUnused();
  EXPECT_EQ(pool_->retained_bytes(), 0u);
}

TEST_F(FrameReaderTest, WaitsForTheBudgetInLine) {
  const auto small = std::make_shared<MemoryBudget>(100);
  FrameReader reader({8, 1 << 20}, small, pool_);
  BudgetLease held = small->TryAcquire(60);
  const std::string stream = Framed(std::string(50, 'e'));
  std::string_view input = stream;
  EXPECT_EQ(reader.Feed(input), Outcome::kNeedBudget);
  EXPECT_EQ(input.size(), 50u);
  std::optional<BudgetLease> granted;
  small->Acquire(50, [&](BudgetLease lease) { granted = std::move(lease); });
  EXPECT_FALSE(small->TryAcquire(10));  // others do not overtake
  EXPECT_FALSE(granted.has_value());
  held = BudgetLease();
  ASSERT_TRUE(granted.has_value());
  reader.Grant(*std::move(granted));
  EXPECT_EQ(reader.Feed(input), Outcome::kFrame);
  reader.TakeFrame();
  EXPECT_EQ(small->used_bytes(), 0u);
}

TEST(MemoryBudgetTest, WhatExceedsTheLimitIsServedAlone) {
  const auto budget = std::make_shared<MemoryBudget>(100);
  BudgetLease large = budget->TryAcquire(1000);
  EXPECT_TRUE(large);
  EXPECT_FALSE(budget->TryAcquire(1));
  large = BudgetLease();
  EXPECT_TRUE(budget->TryAcquire(1));
}

}  // namespace
}  // namespace sluice::broker
