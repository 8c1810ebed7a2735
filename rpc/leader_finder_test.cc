#include "rpc/leader_finder.h"

#include <gtest/gtest.h>

namespace sluice::rpc {
namespace {

TEST(LeaderFinderTest, FollowsAHint) {
  LeaderFinder finder({"a", "b", "c"});
  EXPECT_EQ(finder.current(), "a");
  finder.OnNotLeader("a", "c");
  EXPECT_EQ(finder.current(), "c");
}

TEST(LeaderFinderTest, GoesRoundWithoutHints) {
  LeaderFinder finder({"a", "b", "c"});
  std::string order = finder.current();
  for (int i = 0; i < 5; ++i) {
    finder.OnUnreachable(finder.current());
    order += finder.current();
  }
  EXPECT_EQ(order, "abcabc");
}

TEST(LeaderFinderTest, NeverAsksTheSameTwiceInARowAfterAHintFailed) {
  LeaderFinder finder({"a", "b", "c"});
  finder.OnNotLeader("a", "b");
  finder.OnUnreachable("b");
  EXPECT_EQ(finder.current(), "c");
}

TEST(LeaderFinderTest, AHintOutsideTheVotersIsTriedAndLeftAgain) {
  LeaderFinder finder({"a", "b"});
  finder.OnNotLeader("a", "x");
  EXPECT_EQ(finder.current(), "x");
  finder.OnUnreachable("x");
  EXPECT_NE(finder.current(), "x");
}

TEST(LeaderFinderTest, AnOldAnswerDoesNotMoveIt) {
  LeaderFinder finder({"a", "b", "c"});
  finder.OnNotLeader("a", "c");
  finder.OnUnreachable("a");
  finder.OnNotLeader("a", "b");
  EXPECT_EQ(finder.current(), "c");
}

TEST(LeaderFinderTest, OneVoterIsAskedAgain) {
  LeaderFinder finder({"a"});
  finder.OnUnreachable("a");
  finder.OnNotLeader("a", "");
  EXPECT_EQ(finder.current(), "a");
}

TEST(LeaderFinderTest, OtherVotersAreAskedNext) {
  LeaderFinder finder({"a", "b", "c"});
  finder.OnUnreachable("a");
  finder.OnUnreachable("b");
  finder.OnVoters({"x", "y"});
  EXPECT_EQ(finder.current(), "c") << "nothing was said against it";
  std::string asked;
  for (int i = 0; i < 3; ++i) {
    finder.OnUnreachable(finder.current());
    asked += finder.current();
  }
  EXPECT_EQ(asked, "xyx");
  finder.OnVoters({});
  finder.OnUnreachable("x");
  EXPECT_EQ(finder.current(), "y") << "an empty list says nothing";
}

TEST(LeaderFinderTest, RetryDelaysGrowToTheirLimit) {
  EXPECT_EQ(RetryDelayMs(1), 10);
  EXPECT_EQ(RetryDelayMs(2), 20);
  EXPECT_EQ(RetryDelayMs(4), 80);
  EXPECT_EQ(RetryDelayMs(5), 100);
  EXPECT_EQ(RetryDelayMs(1000), 100);
}

}  // namespace
}  // namespace sluice::rpc
