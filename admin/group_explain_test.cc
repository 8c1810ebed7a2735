// What ExplainInWords makes of a group and its lag: who keeps up and who does not, and whom
// partitions wait for.
#include "admin/group_explain.h"

#include <gtest/gtest.h>

#include "admin/group_lag.h"

namespace sluice::admin {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class GroupExplainTest : public ::testing::Test {
 protected:
  GroupExplainTest() {
    found_.group.set_name("g");
    found_.group.set_type("classic");
    found_.group.set_protocol_type("consumer");
    found_.group.set_state("Stable");
    found_.group.set_state_since_ms(-1);
  }

  GroupMember& AddMember(const std::string& id, const std::vector<int32_t>& partitions) {
    GroupMember& member = *found_.group.add_members();
    member.set_member_id(id);
    member.set_client_id("app-" + id);
    member.set_client_host("/10.0.0.7");
    member.set_session_timeout_ms(45000);
    member.set_heard_ms_ago(500);
    member.add_subscribed_topics("orders");
    if (partitions.empty()) return member;
    TopicPartitions& topic = *member.add_assignment();
    topic.set_topic("orders");
    for (const int32_t partition : partitions) topic.add_partitions(partition);
    return member;
  }

  // Of the next partition, which `member_id` has.
  PartitionLag& AddLag(const std::string& member_id, int64_t records, double seconds) {
    PartitionLag& lag = *found_.lag.add_partitions();
    lag.set_topic("orders");
    lag.set_partition(found_.lag.partitions_size() - 1);
    lag.set_member_id(member_id);
    lag.set_committed(1000);
    lag.set_log_end(1000 + records);
    lag.set_lag(records);
    lag.set_lag_seconds(seconds);
    return lag;
  }
  static void SetRates(PartitionLag& lag, double committed, double arriving) {
    lag.set_committed_per_second(committed);
    lag.set_arriving_per_second(arriving);
  }

  std::string Words() const {
    const ExplainGroupResponse explained = ExplainInWords(found_, 0);
    std::string words;
    for (const Finding& finding : explained.findings())
      words += finding.what() + "\n  " + finding.why() + "\n  " + finding.next_step() + "\n";
    return words;
  }

  GroupAndLag found_;
};

TEST_F(GroupExplainTest, WhatIsUnderWayIsNoLag) {
  AddMember("a", {0});
  PartitionLag& lag = AddLag("a", 15, 0.4);
  SetRates(lag, 49.6, 50.2);
  EXPECT_TRUE(Has(Words(), "(a) keeps up\n")) << Words();
  SetRates(lag, 0.3, 0.4);
  lag.set_lag(2);
  EXPECT_TRUE(Has(Words(), "(a) keeps up\n")) << "few and young: " << Words();
  // Each sample has a commit more or less in it.
  lag.set_lag(5000);
  lag.set_lag_seconds(100);
  SetRates(lag, 48, 50.2);
  EXPECT_TRUE(Has(Words(), "lag stays")) << Words();
  SetRates(lag, 30, 50.2);
  EXPECT_TRUE(Has(Words(), "lag grows")) << Words();
}

TEST_F(GroupExplainTest, AMemberMayCommitLessOftenThanTheSampleIsLong) {
  AddMember("a", {0});
  PartitionLag& lag = AddLag("a", 88, 2.9);
  SetRates(lag, 0, 30);
  EXPECT_TRUE(Has(Words(), "has committed nothing in this sample")) << Words();
  lag.set_lag(190);
  EXPECT_TRUE(Has(Words(), "lag grows")) << Words();
}

TEST_F(GroupExplainTest, AYoungLagOfAMemberThatCommitsNothingGrows) {
  AddMember("a", {0});
  SetRates(AddLag("a", 500, 0), 0, 50);  // the producer's clock is ahead
  EXPECT_TRUE(Has(Words(), "lag grows")) << Words();
}

TEST_F(GroupExplainTest, ATopicThatIsGoneIsNotALackOfPartitions) {
  AddMember("a", {});
  EXPECT_TRUE(Has(Words(), "add partitions")) << Words();
  found_.missing_topics = {{"orders", 1}};
  EXPECT_TRUE(Has(Words(), "topic 'orders' does not exist\n  1 member subscribes to it"))
      << Words();
  EXPECT_FALSE(Has(Words(), "add partitions")) << Words();
  AddLag("a", 0, 0).set_log_end(-1);
  EXPECT_FALSE(Has(Words(), "not all is known")) << Words();
  found_.missing_topics.clear();
  EXPECT_TRUE(Has(Words(), "not all is known")) << Words();
}

TEST_F(GroupExplainTest, AMemberThatNamesNoTopicMayMatchNone) {
  AddMember("a", {0});
  GroupMember& member = AddMember("b", {});
  member.clear_subscribed_topics();
  EXPECT_TRUE(Has(Words(), "(b) has no partition\n  it names no topic")) << Words();
  member.set_subscribed_regex("billing-.*");
  EXPECT_TRUE(Has(Words(), "(b) has no partition\n  its pattern 'billing-.*' matches no topic"))
      << Words();
  EXPECT_FALSE(Has(Words(), "add partitions")) << Words();
  found_.group.set_state("Reconciling");
  EXPECT_FALSE(Has(Words(), "(b) has no partition")) << "it may get some: " << Words();
}

TEST_F(GroupExplainTest, OnePartitionWithoutRatesHidesNotThoseOfTheOthers) {
  AddMember("a", {0, 1});
  SetRates(AddLag("a", 5000, 100), 30, 50.2);
  AddLag("a", 0, 0);  // has no leader
  EXPECT_TRUE(Has(Words(), "lag grows")) << Words();
}

TEST_F(GroupExplainTest, AnotherCoordinatorMayHaveKnownWhyItRebalances) {
  AddMember("a", {0});
  EXPECT_FALSE(Has(Words(), "is not known")) << Words();
  found_.group.set_state("PreparingRebalance");
  EXPECT_TRUE(Has(Words(), "why the rebalance began is not known")) << Words();
  found_.group.mutable_last_rebalance()->set_reason("a new member joined");
  EXPECT_FALSE(Has(Words(), "is not known")) << Words();
}

TEST_F(GroupExplainTest, PartitionsWaitForAMember) {
  found_.group.set_state("Reconciling");
  AddMember("a", {});
  GroupMember& killed = AddMember("b", {});
  AddLag("", 100, 30);
  EXPECT_TRUE(Has(Words(), "nobody reads 1 partition for now\n  they are given out when"))
      << Words();
  killed.set_awaited("revocation");
  killed.set_heard_ms_ago(12000);
  EXPECT_TRUE(Has(Words(),
                  "nobody reads 1 partition for now\n  they wait for member 'app-b' at "
                  "/10.0.0.7 (b), silent for 12.0 s; if it stays silent they are given "
                  "away after its session timeout of 45.0 s"))
      << Words();
  found_.group.set_state("Stable");
  killed.set_awaited("");
  EXPECT_TRUE(Has(Words(), "they wait for member 'app-b'")) << "a silent one: " << Words();
  killed.set_heard_ms_ago(100);
  EXPECT_TRUE(Has(Words(), "look whether the members subscribe")) << Words();
}

TEST_F(GroupExplainTest, SilentIsWhoMissesTwoHeartbeats) {
  GroupMember& member = AddMember("a", {0});
  member.set_heard_ms_ago(5900);
  EXPECT_FALSE(Has(Words(), "is silent")) << Words();
  member.set_heard_ms_ago(8000);
  EXPECT_TRUE(Has(Words(), "is silent for 8.0 s, and taken out after 45.0 s")) << Words();
  found_.group.set_type("consumer");
  EXPECT_FALSE(Has(Words(), "is silent")) << "it beats every 5 s: " << Words();
  member.set_heard_ms_ago(10000);
  EXPECT_TRUE(Has(Words(), "is silent")) << Words();
}

TEST_F(GroupExplainTest, SilentMembersAndThoseWithoutPartitions) {
  AddMember("a", {0, 1}).set_heard_ms_ago(44000);
  AddMember("b", {});
  EXPECT_TRUE(Has(Words(), "member 'app-a' at /10.0.0.7 (a) is silent")) << Words();
  EXPECT_TRUE(Has(Words(), "in 1.0 s its partitions go to the others")) << Words();
  EXPECT_TRUE(Has(Words(), "1 member of 2 has no partition")) << Words();
}

TEST_F(GroupExplainTest, AGroupWithoutMembers) {
  found_.group.set_state("Empty");
  EXPECT_TRUE(Has(Words(), "nobody reads: the group has no members")) << Words();
  found_.group.set_state_since_ms(0);
  EXPECT_TRUE(Has(ExplainInWords(found_, 600'000).summary(), "no members for 10 min"));
}

}  // namespace
}  // namespace sluice::admin
