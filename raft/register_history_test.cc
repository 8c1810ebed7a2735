// The checker is checked: histories that are right, histories that are wrong in each way there is,
// and small random ones against a twin that tries all orders.
#include "raft/testing/register_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/random.h"

namespace sluice::raft::testing {
namespace {

using Outcome = RegisterHistory::Outcome;

class RegisterHistoryTest : public ::testing::Test {
 protected:
  RegisterHistory::Value Written() {
    const auto value = history_.WriteBegan();
    history_.WriteEnded(value, Outcome::kDone);
    return value;
  }
  void Read(RegisterHistory::Value value) { history_.ReadEnded(history_.ReadBegan(), value); }

  RegisterHistory history_;
};

TEST_F(RegisterHistoryTest, OneAfterTheOther) {
  Read(0);
  Read(Written());
  const auto second = Written();
  Read(second);
  Read(second);
  EXPECT_EQ(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, AReadBesideAWriteMaySeeEither) {
  const auto first = Written();
  const auto second = history_.WriteBegan();
  Read(first);
  Read(second);
  Read(second);
  history_.WriteEnded(second, Outcome::kDone);
  EXPECT_EQ(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, AStaleReadIsFound) {
  const auto first = Written();
  Written();
  Read(first);
  EXPECT_NE(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, TheFirstStateIsNotReadAfterAWrite) {
  Written();
  Read(0);
  EXPECT_NE(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, ValuesDoNotComeBack) {
  const auto first = history_.WriteBegan();
  const auto second = history_.WriteBegan();
  Read(first);
  Read(second);
  Read(first);
  EXPECT_NE(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, AnUnknownWriteTakesEffectLateOrNever) {
  const auto lost = history_.WriteBegan();
  const auto late = history_.WriteBegan();
  const auto done = Written();
  Read(done);
  Read(late);
  EXPECT_EQ(history_.Check(), "");
  Read(lost);
  EXPECT_EQ(history_.Check(), "") << "it may be the latest of them";
  Read(late);
  EXPECT_NE(history_.Check(), "") << "but not once for all that it is read";
}

TEST_F(RegisterHistoryTest, ARefusedWriteIsNeverRead) {
  const auto refused = history_.WriteBegan();
  history_.WriteEnded(refused, Outcome::kRefused);
  EXPECT_EQ(history_.Check(), "");
  Read(refused);
  EXPECT_NE(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, WhatNobodyWroteIsNeverRead) {
  Read(7);
  EXPECT_NE(history_.Check(), "");
}

TEST_F(RegisterHistoryTest, AWriteThatIsNeverSeenMustFindItsMoment) {
  const auto first = Written();
  const auto began = history_.ReadBegan();
  Read(first);
  Written();
  Read(first);
  history_.ReadEnded(began, first);
  EXPECT_NE(history_.Check(), "") << "done between two reads of one value";
}

struct Operation {
  bool write = false;
  RegisterHistory::Value value = 0;
  uint64_t begin = 0;
  uint64_t end = UINT64_MAX;
};

// Whether the rest can follow when the register holds `value`; bits of `used` are done.
bool Explains(const std::vector<Operation>& operations, uint32_t used, uint64_t value) {
  bool all = true;
  uint64_t first_end = UINT64_MAX;
  for (size_t i = 0; i < operations.size(); ++i) {
    if ((used >> i & 1) != 0) continue;
    // Unknown writes may be left out.
    if (!operations[i].write || operations[i].end != UINT64_MAX) all = false;
    first_end = std::min(first_end, operations[i].end);
  }
  if (all) return true;
  for (size_t i = 0; i < operations.size(); ++i) {
    const Operation& next = operations[i];
    if ((used >> i & 1) != 0 || next.begin > first_end) continue;
    if (!next.write && next.value != value) continue;
    if (Explains(operations, used | 1U << i, next.write ? next.value : value)) return true;
  }
  return false;
}

TEST(RegisterHistoryTwin, AgreesWithTryingAllOrders) {
  Random random(1);
  size_t right = 0;
  constexpr size_t kHistories = 20'000;
  for (size_t n = 0; n < kHistories; ++n) {
    RegisterHistory history;
    std::vector<Operation> operations;
    std::vector<std::pair<size_t, RegisterHistory::Moment>> open;
    uint64_t now = 0;
    uint64_t values = 1;
    for (int event = 0; event < 12; ++event) {
      ++now;
      if (operations.size() < 6 && (open.empty() || random.Chance(1, 2))) {
        const bool write = random.Chance(1, 2);
        open.emplace_back(operations.size(), write ? history.WriteBegan() : history.ReadBegan());
        operations.push_back({write, write ? values++ : 0, now});
      } else if (!open.empty()) {
        const size_t at = random.Below(open.size());
        Operation& operation = operations[open[at].first];
        operation.end = now;
        if (operation.write) {
          history.WriteEnded(open[at].second, Outcome::kDone);
        } else {
          operation.value = random.Below(values);
          history.ReadEnded(open[at].second, operation.value);
        }
        open.erase(open.begin() + static_cast<int64_t>(at));
      }
    }
    std::erase_if(operations, [](const Operation& operation) {
      return !operation.write && operation.end == UINT64_MAX;
    });
    const bool explained = Explains(operations, 0, 0);
    right += explained ? 1 : 0;
    ASSERT_EQ(history.Check().empty(), explained) << "history " << n << ": " << history.Check();
  }
  // Neither answer is rare.
  EXPECT_GT(right, kHistories / 10);
  EXPECT_LT(right, kHistories * 9 / 10);
}

}  // namespace
}  // namespace sluice::raft::testing
