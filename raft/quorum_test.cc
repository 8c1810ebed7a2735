#include "raft/quorum.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace sluice::raft {
namespace {

// The naive twin: try every value, count who has reached it.
int64_t NaiveMajorityValue(const std::vector<int64_t>& values) {
  int64_t best = *std::min_element(values.begin(), values.end());
  for (const int64_t candidate : values) {
    const auto reached =
        std::count_if(values.begin(), values.end(), [&](int64_t v) { return v >= candidate; });
    if (static_cast<size_t>(reached) * 2 > values.size()) best = std::max(best, candidate);
  }
  return best;
}

// The naive twin: try all ways in which the missing votes can fall.
VoteOutcome NaiveOutcome(size_t voters, const std::vector<int>& votes) {
  bool can_win = false;
  bool can_lose = false;
  const size_t open = static_cast<size_t>(std::count(votes.begin(), votes.end(), -1));
  const auto granted = static_cast<size_t>(std::count(votes.begin(), votes.end(), 1));
  for (size_t more = 0; more <= open; ++more)
    ((granted + more) * 2 > voters ? can_win : can_lose) = true;
  if (can_win && can_lose) return VoteOutcome::kPending;
  return can_win ? VoteOutcome::kWon : VoteOutcome::kLost;
}

TEST(Quorum, MajorityValueAgreesWithTheNaiveTwin) {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::vector<int64_t> values(static_cast<size_t>(random.Between(1, 9)));
    for (int64_t& value : values) value = random.Between(-1, 6);
    ASSERT_EQ(MajorityValue(values), NaiveMajorityValue(values)) << testing::PrintToString(values);
  }
}

TEST(Quorum, VotesAgreeWithTheNaiveTwinForAllPatterns) {
  for (size_t count = 1; count <= 7; ++count) {
    std::vector<Member> voters;
    size_t patterns = 1;
    for (size_t i = 0; i < count; ++i, patterns *= 3)
      voters.push_back({{NodeId(static_cast<int>(i)), Uuid()}, {}});
    for (size_t pattern = 0; pattern < patterns; ++pattern) {
      std::vector<int> votes;
      std::map<NodeId, bool> answers;
      for (size_t i = 0, rest = pattern; i < count; ++i, rest /= 3) {
        votes.push_back(static_cast<int>(rest % 3) - 1);
        if (votes.back() >= 0) answers[voters[i].id.id] = votes.back() == 1;
      }
      ASSERT_EQ(CountVotes(voters, answers), NaiveOutcome(count, votes))
          << testing::PrintToString(votes);
    }
  }
}

TEST(Quorum, VotesOfStrangersDoNotCount) {
  const Membership members =
      MembershipOf({{NodeId(1), Uuid()}, {NodeId(2), Uuid()}, {NodeId(3), Uuid()}});
  EXPECT_EQ(CountVotes(members.voters, {{NodeId(1), true}, {NodeId(8), true}, {NodeId(9), true}}),
            VoteOutcome::kPending);
}

}  // namespace
}  // namespace sluice::raft
