#include "broker/group/consumer_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "broker/group/testing/consumer_group_bed.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using testing::ConsumerClient;
using testing::ConsumerGroupBed;
using testing::PartitionSet;
using Fate = ConsumerGroupBed::Fate;

class ConsumerGroupTest : public ::testing::Test {
 protected:
  ConsumerGroupTest() { bed_.SetTopic("t", 4); }

  ConsumerClient Client(const std::string& id, std::vector<std::string> topics = {"t"}) {
    ConsumerClient client(bed_, id);
    client.topics = std::move(topics);
    return client;
  }
  PartitionSet Partitions(const std::string& topic, const std::vector<int32_t>& indexes) const {
    PartitionSet partitions;
    for (const int32_t index : indexes) partitions.emplace(bed_.IdOf(topic), index);
    return partitions;
  }
  static ErrorCode Code(const ConsumerGroupBed::Response& response) {
    return static_cast<ErrorCode>(response.error_code);
  }
  std::vector<int16_t> RecordTypes() const {
    std::vector<int16_t> types;
    for (const GroupRecord& record : bed_.records())
      types.push_back(
          static_cast<int16_t>(record.value.has_value() ? record.key[1] : -record.key[1]));
    return types;
  }

  ConsumerGroupBed bed_;
};

TEST_F(ConsumerGroupTest, TheFirstMemberGetsAllAtOnce) {
  ConsumerClient a = Client("a");
  const auto response = a.Beat();
  EXPECT_EQ(response.member_id, "a");
  EXPECT_EQ(response.member_epoch, 2);
  EXPECT_EQ(response.heartbeat_interval_ms, 500);
  EXPECT_EQ(a.owned(), Partitions("t", {0, 1, 2, 3}));
  EXPECT_EQ(bed_.group().state_name(), "Stable");
  // Member, group epoch, target of the member, epoch of the target, current assignment.
  EXPECT_THAT(RecordTypes(), ::testing::ElementsAre(5, 3, 7, 6, 8));
}

TEST_F(ConsumerGroupTest, AHeartbeatWithoutNewsWritesNothingAndTellsNoAssignment) {
  ConsumerClient a = Client("a");
  a.Beat();
  bed_.Advance(10000);
  const auto response = a.Beat();
  EXPECT_FALSE(response.assignment.has_value());
  EXPECT_TRUE(bed_.records().empty());
}

TEST_F(ConsumerGroupTest, HeartbeatsAreAskedForAsOftenAsTheCoordinatorsPartitionCanBear) {
  ConsumerClient a = Client("a");
  const auto of_members = [&](int count) {
    for (int i = 1; i < count; ++i)
      bed_.timers().Set({"another", 0, std::to_string(i)}, std::numeric_limits<int64_t>::max());
    return a.Beat().heartbeat_interval_ms;
  };
  EXPECT_EQ(of_members(1), 500);
  EXPECT_EQ(of_members(600), 600);
  bed_.Advance(10000);
  EXPECT_EQ(of_members(600), 3000);
  bed_.timers().CancelAll("another");
  EXPECT_EQ(of_members(1), 1000);
  EXPECT_EQ(of_members(7000), 5000);
  ConsumerClient b = Client("b");
  EXPECT_EQ(b.Beat().heartbeat_interval_ms, 5000);
  bed_.timers().CancelAll("another");
  bed_.SetGroupConfig("consumer.heartbeat.interval.ms", "3000");
  EXPECT_EQ(b.Beat().heartbeat_interval_ms, 500);
  bed_.Advance(10000);
  EXPECT_EQ(a.Beat().heartbeat_interval_ms, 500);
  b.Beat();
  EXPECT_EQ(a.Beat().heartbeat_interval_ms, 3000);
}

TEST_F(ConsumerGroupTest, TheTimesAreTheGroupsOwnFromTheNextHeartbeatOn) {
  ConsumerClient a = Client("a");
  a.Beat();
  bed_.Advance(10000);
  a.Beat();
  bed_.SetGroupConfig("consumer.heartbeat.interval.ms", "7000");
  bed_.SetGroupConfig("consumer.session.timeout.ms", "50000");
  bed_.Advance(10000);
  EXPECT_EQ(a.Beat().heartbeat_interval_ms, 7000);
  bed_.Advance(49999);
  EXPECT_EQ(bed_.group().Explain(bed_.moment()).members[0].heard_ms_ago, 49999);
  EXPECT_EQ(a.Beat().error_code, 0);
  bed_.SetGroupConfig("consumer.session.timeout.ms", "8000");
  a.Beat();
  bed_.Advance(8001);
  EXPECT_TRUE(bed_.group().members().empty()) << "a shorter timeout";
}

TEST_F(ConsumerGroupTest, ItTellsWhyItLastRebalanced) {
  const auto why = [&] { return bed_.group().Explain(bed_.moment()).last_rebalance; };
  EXPECT_TRUE(why().reason.empty());
  ConsumerClient a = Client("a");
  a.Beat();
  ConsumerClient b = Client("b");
  b.Beat();
  EXPECT_EQ(why().reason, "a member joined");
  EXPECT_EQ(why().member_id, "b");
  bed_.SetTopic("t", 6);
  bed_.Advance(3000);
  a.Beat();
  EXPECT_THAT(why().reason, ::testing::HasSubstr("given more partitions"));
  EXPECT_EQ(why().wall_ms, bed_.moment().wall_ms);
  bed_.Advance(43000);
  a.Beat();
  bed_.Advance(2001);
  EXPECT_EQ(why().reason, "a member was silent for its session timeout");
  EXPECT_EQ(why().member_id, "b");
}

TEST_F(ConsumerGroupTest, AFullRequestIsToldTheAssignmentAgain) {
  ConsumerClient a = Client("a");
  a.Beat();
  a.BeatUnheard();
  EXPECT_TRUE(a.Beat().assignment.has_value());
  EXPECT_TRUE(bed_.records().empty());
}

TEST_F(ConsumerGroupTest, ASecondMemberWaitsForWhatTheFirstGivesUp) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.Beat();
  EXPECT_TRUE(b.Beat().assignment->topic_partitions.empty());
  EXPECT_EQ(b.epoch(), 3);
  EXPECT_EQ(bed_.group().state_name(), "Reconciling");
  a.HoldBack(true);
  EXPECT_EQ(a.Beat().member_epoch, 2);
  EXPECT_EQ(a.owned().size(), 4u);
  EXPECT_FALSE(b.Beat().assignment.has_value());
  // Long after the change the one that waits still asks often.
  bed_.Advance(9000);
  a.Beat();
  b.Beat();
  bed_.Advance(900);
  EXPECT_EQ(b.Beat().heartbeat_interval_ms, 500);
  a.Release();
  EXPECT_EQ(a.Beat().member_epoch, 3);
  EXPECT_TRUE(b.Beat().assignment.has_value());
  EXPECT_EQ(a.owned(), Partitions("t", {0, 1}));
  EXPECT_EQ(b.owned(), Partitions("t", {2, 3}));
  EXPECT_EQ(bed_.group().state_name(), "Stable");
}

TEST_F(ConsumerGroupTest, AnAnswerThatGotLostIsRepeated) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.Beat();
  b.BeatUnheard();
  a.Beat();
  a.BeatUnheard();  // it has risen to epoch 3, and does not know
  EXPECT_EQ(a.epoch(), 2);
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kNone);
  EXPECT_EQ(a.epoch(), 3);
  EXPECT_EQ(b.Beat().member_epoch, 3);
  EXPECT_EQ(b.owned(), Partitions("t", {2, 3}));
}

TEST_F(ConsumerGroupTest, FencesEpochsThatItDidNotGive) {
  ConsumerClient a = Client("a");
  a.Beat();
  ConsumerGroupBed::Request request;
  request.group_id = "g";
  request.member_id = "a";
  request.member_epoch = 3;
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kFencedMemberEpoch);
  ConsumerClient b = Client("b");
  b.Beat();
  a.Beat();
  a.Beat();
  // The epoch before, without saying what it owns, or owning what is no longer its own.
  request.member_epoch = 2;
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kFencedMemberEpoch);
  request.topic_partitions.emplace().emplace_back().topic_id = bed_.IdOf("t");
  request.topic_partitions->back().partitions = {3};
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kFencedMemberEpoch);
  request.topic_partitions->back().partitions = {1};
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kNone);
  request.member_id = "nobody";
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kUnknownMemberId);
}

TEST_F(ConsumerGroupTest, TheCoordinatorNamesMembersOfTheFirstVersion) {
  ConsumerGroupBed::Request request;
  request.group_id = "g";
  request.rebalance_timeout_ms = 1000;
  request.subscribed_topic_names = {"t"};
  request.topic_partitions.emplace();
  const auto response = bed_.Heartbeat(request, Fate::kCommitted, 0);
  EXPECT_EQ(response.member_id->size(), 22u);
  EXPECT_EQ(bed_.group().members().begin()->first, *response.member_id);
}

TEST_F(ConsumerGroupTest, RefusesMoreMembersThanItMayHave) {
  bed_.config().members_max = 1;
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.Beat();
  EXPECT_EQ(Code(b.Beat()), ErrorCode::kGroupMaxSizeReached);
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kNone);
}

TEST_F(ConsumerGroupTest, AMemberThatLeavesSetsItsPartitionsFree) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.Beat();
  b.Beat();
  a.Beat();
  a.Beat();
  b.Beat();
  b.Leave();
  EXPECT_THAT(RecordTypes(), ::testing::ElementsAre(-8, -7, -5, 3));
  EXPECT_EQ(bed_.group().state_name(), "Assigning");
  a.Beat();
  EXPECT_EQ(a.owned().size(), 4u);
  a.Leave();
  EXPECT_EQ(bed_.group().state_name(), "Empty");
  EXPECT_TRUE(bed_.group().CanBeForgotten());
  EXPECT_EQ(bed_.timers().size(), 0u);
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kNone);
}

TEST_F(ConsumerGroupTest, AMemberThatFallsSilentIsFenced) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.Beat();
  for (int i = 0; i < 3; ++i) {
    b.Beat();
    a.Beat();
  }
  bed_.Advance(30000);
  a.Beat();
  bed_.Advance(14999);
  EXPECT_EQ(bed_.group().members().size(), 2u);
  bed_.Advance(1);
  EXPECT_EQ(bed_.group().members().size(), 1u);
  EXPECT_EQ(Code(b.Beat()), ErrorCode::kUnknownMemberId);
  EXPECT_TRUE(b.owned().empty());
  EXPECT_EQ(Code(b.Beat()), ErrorCode::kNone) << "it joins again";
}

TEST_F(ConsumerGroupTest, AMemberThatGivesNothingUpIsFenced) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.rebalance_timeout_ms = 3000;
  a.Beat();
  b.Beat();
  a.HoldBack(true);
  a.Beat();
  bed_.Advance(2000);
  a.Beat();
  bed_.Advance(1500);
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kUnknownMemberId);
  b.Beat();
  EXPECT_EQ(b.owned().size(), 4u);
}

TEST_F(ConsumerGroupTest, OneThatGaveUpInTimeIsNotFenced) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.rebalance_timeout_ms = 3000;
  a.Beat();
  b.Beat();
  a.Beat();
  a.Beat();
  bed_.Advance(4000);
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kNone);
}

TEST_F(ConsumerGroupTest, TopicsThatGrowOrComeLaterAreGivenOut) {
  ConsumerClient a = Client("a", {"t", "later"});
  a.Beat();
  bed_.SetTopic("t", 6);
  a.Beat();
  EXPECT_EQ(a.owned().size(), 6u);
  bed_.SetTopic("later", 2);
  a.Beat();
  EXPECT_EQ(a.owned().size(), 8u);
  bed_.SetTopic("other", 2);
  a.Beat();
  EXPECT_TRUE(bed_.records().empty());
  bed_.DeleteTopic("t");
  a.Beat();
  a.Beat();
  EXPECT_EQ(a.owned(), Partitions("later", {0, 1}));
}

TEST_F(ConsumerGroupTest, ANewSubscriptionMovesOnlyItsOwn) {
  bed_.SetTopic("u", 2);
  ConsumerClient a = Client("a", {"t", "u"});
  a.Beat();
  a.Subscribe({"u"});
  a.Beat();
  EXPECT_EQ(a.owned(), Partitions("u", {0, 1}));
  a.Beat();
  EXPECT_EQ(bed_.group().state_name(), "Stable");
  EXPECT_TRUE(bed_.group().IsSubscribedTo("u"));
  EXPECT_FALSE(bed_.group().IsSubscribedTo("t"));
}

TEST_F(ConsumerGroupTest, RegularExpressionsMatchWholeNames) {
  bed_.SetTopic("t2", 1);
  bed_.SetTopic("not_t", 1);
  ConsumerClient a = Client("a", {});
  a.regex = "t[0-9]*";
  a.Beat();
  EXPECT_THAT(RecordTypes(), ::testing::ElementsAre(5, 16, 3, 7, 6, 8));
  EXPECT_EQ(a.owned().size(), 5u);
  EXPECT_TRUE(bed_.group().IsSubscribedTo("t2"));
  EXPECT_FALSE(bed_.group().IsSubscribedTo("not_t"));
  // Topics that come later, within a second or after it.
  bed_.Advance(2000);
  bed_.SetTopic("t3", 1);
  a.Beat();
  EXPECT_EQ(a.owned().size(), 6u);
  bed_.SetTopic("t4", 1);
  a.Beat();
  EXPECT_EQ(a.owned().size(), 6u);
  bed_.Advance(1000);
  a.Beat();
  EXPECT_EQ(a.owned().size(), 7u);
  a.Leave();
  EXPECT_THAT(RecordTypes(), ::testing::ElementsAre(-8, -7, -5, -16, 3));
}

TEST_F(ConsumerGroupTest, ARegularExpressionMayChangeOrGo) {
  bed_.SetTopic("u", 1);
  ConsumerClient a = Client("a", {});
  a.regex = "t";
  a.Beat();
  a.regex = "u";
  a.Subscribe({});
  a.Beat();
  a.Beat();
  EXPECT_EQ(a.owned(), Partitions("u", {0}));
  EXPECT_FALSE(bed_.group().IsSubscribedTo("t"));
  ConsumerGroupBed::Request request;
  request.group_id = "g";
  request.member_id = "a";
  request.member_epoch = a.epoch();
  request.subscribed_topic_regex = "";
  bed_.Heartbeat(request);
  EXPECT_FALSE(bed_.group().IsSubscribedTo("u"));
}

TEST_F(ConsumerGroupTest, ABadRegularExpressionChangesNothing) {
  ConsumerClient a = Client("a", {});
  a.regex = "t(";
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kInvalidRegularExpression);
  EXPECT_TRUE(bed_.group().members().empty());
  a.regex = "((a{1,1000}){1,1000}){1,1000}";
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kInvalidRegularExpression);
}

TEST_F(ConsumerGroupTest, TheAssignorThatMostAskFor) {
  bed_.SetTopic("u", 4);
  ConsumerClient a = Client("a", {"t", "u"});
  ConsumerClient b = Client("b", {"t", "u"});
  a.assignor = "range";
  a.Beat();
  for (int i = 0; i < 3; ++i) {
    b.Beat();
    a.Beat();
  }
  PartitionSet expected = Partitions("t", {0, 1});
  expected.merge(Partitions("u", {0, 1}));
  EXPECT_EQ(a.owned(), expected);
  EXPECT_EQ(bed_.group().DescribeConsumer(bed_.moment()).assignor_name, "range");
}

TEST_F(ConsumerGroupTest, MembersGetPartitionsOfTheirRack) {
  bed_.SetRacks("t", {"r0", "r1", "r0", "r1"});
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.rack = "r1";
  b.rack = "r0";
  a.Beat();
  for (int i = 0; i < 3; ++i) {
    b.Beat();
    a.Beat();
  }
  EXPECT_EQ(a.owned(), Partitions("t", {1, 3}));
  EXPECT_EQ(b.owned(), Partitions("t", {0, 2}));
}

TEST_F(ConsumerGroupTest, AStaticMemberThatIsBackFindsItsPartitions) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.instance_id = "i";
  a.Beat();
  for (int i = 0; i < 3; ++i) {
    b.Beat();
    a.Beat();
  }
  const PartitionSet owned = a.owned();
  const int32_t epoch = bed_.group().epoch();
  ConsumerClient next = Client("next");
  next.instance_id = "i";
  EXPECT_EQ(Code(next.Beat()), ErrorCode::kUnreleasedInstanceId);
  a.Leave(kStaticLeaveEpoch);
  b.Beat();
  EXPECT_EQ(b.owned().size(), 2u);
  bed_.Reload();
  EXPECT_EQ(Code(next.Beat()), ErrorCode::kNone);
  EXPECT_THAT(RecordTypes(), ::testing::ElementsAre(-8, -7, -5, 5, 7, 8, 8));
  EXPECT_EQ(next.owned(), owned);
  EXPECT_EQ(bed_.group().epoch(), epoch) << "nobody else has to do anything";
  // The old process, if it is there still.
  ConsumerGroupBed::Request request;
  request.group_id = "g";
  request.member_id = "a";
  request.instance_id = "i";
  request.member_epoch = epoch;
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kFencedInstanceId);
  request.instance_id = "unknown";
  EXPECT_EQ(Code(bed_.Heartbeat(request)), ErrorCode::kUnknownMemberId);
  bed_.Advance(45001);
  EXPECT_TRUE(bed_.group().members().empty()) << "the new one has a session, too";
}

TEST_F(ConsumerGroupTest, AStaticMemberThatStaysAwayLosesItsPartitions) {
  ConsumerClient a = Client("a");
  a.instance_id = "i";
  a.Beat();
  a.Leave(kStaticLeaveEpoch);
  ConsumerClient b = Client("b");
  b.Beat();
  bed_.Advance(40000);
  b.Beat();
  EXPECT_TRUE(b.owned().size() < 4);
  bed_.Advance(6000);
  b.Beat();
  EXPECT_EQ(b.owned().size(), 4u);
}

TEST_F(ConsumerGroupTest, ADynamicMemberMayTakeTheInstanceOfOneThatIsAway) {
  ConsumerClient a = Client("a");
  a.instance_id = "i";
  a.Beat();
  ConsumerClient b = Client("b");
  for (int i = 0; i < 3; ++i) {
    b.Beat();
    a.Beat();
  }
  a.Leave(kStaticLeaveEpoch);
  ConsumerClient again = Client("b");
  again.instance_id = "i";
  EXPECT_EQ(Code(again.Beat()), ErrorCode::kNone);
  EXPECT_EQ(bed_.group().members().size(), 1u);
  for (int i = 0; i < 3; ++i) again.Beat();
  EXPECT_EQ(again.owned().size(), 2u) << "nothing was asked to change";
  again.Subscribe({"t", "u"});
  for (int i = 0; i < 3; ++i) again.Beat();
  EXPECT_EQ(again.owned().size(), 4u);
}

TEST_F(ConsumerGroupTest, CommitsAreOfAMemberAndItsEpoch) {
  const auto check = [this](const std::string& member, int32_t epoch, int16_t version) {
    return bed_.CheckCommit({member, "", epoch, version});
  };
  EXPECT_EQ(check("", -1, 9), ErrorCode::kNone) << "nobody is in the group";
  ConsumerClient a = Client("a");
  a.Beat();
  EXPECT_EQ(check("", -1, 9), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(check("b", 2, 9), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(check("a", 2, 9), ErrorCode::kNone);
  EXPECT_EQ(check("a", 3, 9), ErrorCode::kStaleMemberEpoch);
  EXPECT_EQ(check("a", 2, 8), ErrorCode::kUnsupportedVersion);
  EXPECT_EQ(bed_.group().CheckFetch({"", "", -1, 9}), ErrorCode::kNone);
  EXPECT_EQ(bed_.group().CheckFetch({"a", "", 2, 9}), ErrorCode::kNone);
  EXPECT_EQ(bed_.group().CheckFetch({"a", "", 3, 9}), ErrorCode::kStaleMemberEpoch);
  EXPECT_EQ(bed_.group().CheckFetch({"b", "", 2, 9}), ErrorCode::kUnknownMemberId);
}

TEST_F(ConsumerGroupTest, AnEarlierEpochCommitsWhatItHasHadSinceThen) {
  bed_.SetTopic("u", 1);
  ConsumerClient a = Client("a");
  a.Beat();
  a.Subscribe({"t", "u"});
  a.Beat();
  ConsumerClient b = Client("b", {"t", "u"});
  b.Beat();
  a.HoldBack(true);
  a.Beat();
  const auto check = [this](int32_t epoch, const std::string& topic, int32_t partition) {
    return bed_.CheckCommitOf({"a", "", epoch, 9}, topic, partition);
  };
  ASSERT_EQ(a.epoch(), 3);
  EXPECT_EQ(check(3, "t", 0), ErrorCode::kNone);
  EXPECT_EQ(check(2, "t", 0), ErrorCode::kNone);
  EXPECT_EQ(check(2, "t", 3), ErrorCode::kNone) << "it is asked to give it up, and has not yet";
  EXPECT_EQ(check(2, "u", 0), ErrorCode::kStaleMemberEpoch) << "that came with epoch 3";
  EXPECT_EQ(check(0, "t", 0), ErrorCode::kStaleMemberEpoch);
  EXPECT_EQ(check(2, "gone", 0), ErrorCode::kStaleMemberEpoch);
  a.Release();
  a.Beat();
  EXPECT_EQ(a.epoch(), 4);
  EXPECT_EQ(check(3, "t", 0), ErrorCode::kNone);
  EXPECT_EQ(check(3, "t", 3), ErrorCode::kStaleMemberEpoch) << "that is another's by now";
}

TEST_F(ConsumerGroupTest, DescribesItsMembers) {
  ConsumerClient a = Client("a");
  ConsumerClient b = Client("b");
  a.rack = "r";
  a.Beat();
  b.Beat();
  a.HoldBack(true);
  a.Beat();
  const auto group = bed_.group().DescribeConsumer(bed_.moment());
  EXPECT_EQ(group.group_state, "Reconciling");
  EXPECT_EQ(group.group_epoch, 3);
  EXPECT_EQ(group.assignment_epoch, 3);
  EXPECT_EQ(group.assignor_name, "uniform");
  ASSERT_EQ(group.members.size(), 2u);
  EXPECT_EQ(group.members[0].rack_id, "r");
  EXPECT_EQ(group.members[0].member_epoch, 2);
  EXPECT_EQ(group.members[0].client_host, "/127.0.0.1");
  EXPECT_EQ(group.members[0].member_type, 1);
  ASSERT_EQ(group.members[0].assignment.topic_partitions.size(), 1u);
  EXPECT_EQ(group.members[0].assignment.topic_partitions[0].topic_name, "t");
  EXPECT_THAT(group.members[0].assignment.topic_partitions[0].partitions,
              ::testing::ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(group.members[0].target_assignment.topic_partitions[0].partitions,
              ::testing::ElementsAre(0, 1));
  EXPECT_TRUE(group.members[1].assignment.topic_partitions.empty());
  bed_.DeleteTopic("t");
  EXPECT_TRUE(
      bed_.group().DescribeConsumer(bed_.moment()).members[0].assignment.topic_partitions.empty());
}

TEST_F(ConsumerGroupTest, TombstonesForgetAllOfIt) {
  ConsumerClient a = Client("a");
  a.regex = "t.*";
  a.Beat();
  std::set<std::string> keys;
  for (const GroupRecord& record : bed_.records()) keys.insert(record.key);
  GroupEffects effects;
  bed_.group().AddTombstones(effects);
  for (const GroupRecord& record : effects.records) {
    EXPECT_FALSE(record.value.has_value());
    EXPECT_EQ(keys.erase(record.key), 1u);
  }
  EXPECT_TRUE(keys.empty());
}

TEST_F(ConsumerGroupTest, RecordsThatCannotBeAppendedDidNotHappen) {
  ConsumerClient a = Client("a");
  a.Beat(Fate::kRefused);
  EXPECT_TRUE(bed_.group().members().empty());
  EXPECT_EQ(bed_.timers().size(), 0u);
  a.Beat();
  ConsumerClient b = Client("b");
  b.Beat(Fate::kLost);
  EXPECT_EQ(bed_.group().members().size(), 1u);
  EXPECT_EQ(Code(a.Beat()), ErrorCode::kNone);
  EXPECT_EQ(a.owned().size(), 4u);
}

}  // namespace
}  // namespace sluice::broker
