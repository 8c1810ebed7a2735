// What the stories (group_script_test.cc) cannot tell of a classic group: who may commit, which
// topics it reads, and that a crowd costs what it must.
#include "broker/group/classic_group.h"

#include <gtest/gtest.h>

#include "broker/group/testing/map_group_view.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using enum ClassicGroupState;

class ClassicGroupTest : public ::testing::Test {
 protected:
  GroupContext Context() { return {moment_, config_, view_, timers_, random_, effects_}; }

  void Join(const std::string& member_id, const std::string& metadata,
            std::optional<std::string> instance_id = std::nullopt, int16_t version = 3) {
    kafka::JoinGroupRequest request;
    request.group_id = "g";
    request.member_id = member_id;
    request.group_instance_id = std::move(instance_id);
    request.session_timeout_ms = 10000;
    request.rebalance_timeout_ms = 20000;
    request.protocol_type = type_;
    request.protocols.resize(1);
    request.protocols[0].name = "range";
    request.protocols[0].metadata = metadata;
    GroupContext context = Context();
    group_.Join({.token = ++tokens_, .version = version, .client_id = "app", .client_host = "/h"},
                request, context);
  }

  void Advance(int64_t ms) {
    moment_.steady_ms += ms;
    moment_.wall_ms += ms;
    GroupContext context = Context();
    while (const auto due = timers_.PopDue(moment_.steady_ms)) group_.OnTimer(*due, context);
  }

  void SyncLeader() {
    kafka::SyncGroupRequest request;
    request.group_id = "g";
    request.member_id = group_.members().leader();
    request.generation_id = group_.generation();
    GroupContext context = Context();
    group_.Sync({.token = ++tokens_, .version = 5, .client_id = {}, .client_host = {}}, request,
                context);
  }

  ErrorCode Commit(const OffsetClaim& claim) {
    GroupContext context = Context();
    return group_.CheckCommit(claim, context);
  }

  GroupMoment moment_{1000, 1000, nullptr};
  GroupConfig config_;
  testing::MapGroupView view_;
  GroupTimers timers_;
  Random random_{1};
  GroupEffects effects_;
  RequestToken tokens_ = 0;
  std::string type_ = "consumer";
  ClassicGroup group_{"g"};
};

std::string Subscription(std::vector<std::string> topics) {
  kafka::ConsumerProtocolSubscription subscription;
  subscription.topics = std::move(topics);
  return *kafka::EncodeConsumerSubscription(subscription, 1);
}

TEST(ClassicGroupStateTest, OnlyTheWayOfTheProtocolIsOpen) {
  const std::set<std::pair<ClassicGroupState, ClassicGroupState>> open = {
      {kEmpty, kPreparingRebalance},
      {kStable, kPreparingRebalance},
      {kCompletingRebalance, kPreparingRebalance},
      {kPreparingRebalance, kCompletingRebalance},
      {kPreparingRebalance, kEmpty},
      {kCompletingRebalance, kStable},
      {kEmpty, kDead},
      {kPreparingRebalance, kDead},
      {kCompletingRebalance, kDead},
      {kStable, kDead}};
  for (const auto from : {kEmpty, kPreparingRebalance, kCompletingRebalance, kStable, kDead}) {
    for (const auto to : {kEmpty, kPreparingRebalance, kCompletingRebalance, kStable, kDead}) {
      EXPECT_EQ(MayFollow(from, to), open.count({from, to}) != 0)
          << ClassicGroupStateName(from) << " to " << ClassicGroupStateName(to);
    }
  }
}

TEST_F(ClassicGroupTest, AnybodyCommitsForAnEmptyGroupWithoutGeneration) {
  EXPECT_EQ(Commit({}), ErrorCode::kNone);
  EXPECT_EQ(Commit({.member_id = "m", .instance_id = {}}), ErrorCode::kNone);
  EXPECT_EQ(Commit({.member_id = "m", .instance_id = {}, .generation_or_epoch = 0}),
            ErrorCode::kUnknownMemberId);
}

TEST_F(ClassicGroupTest, AMemberCommitsInItsGenerationOnly) {
  Join("", Subscription({"t"}), "i");
  Advance(3000);
  const std::string id = group_.members().leader();
  // The group waits for the assignment.
  EXPECT_EQ(Commit({.member_id = id, .instance_id = "i", .generation_or_epoch = 1}),
            ErrorCode::kRebalanceInProgress);
  SyncLeader();
  ASSERT_EQ(group_.state(), kStable);
  EXPECT_EQ(Commit({.member_id = id, .instance_id = "i", .generation_or_epoch = 1}),
            ErrorCode::kNone);
  EXPECT_EQ(Commit({.member_id = id, .instance_id = {}, .generation_or_epoch = 1}),
            ErrorCode::kNone);
  EXPECT_EQ(Commit({.member_id = id, .instance_id = {}, .generation_or_epoch = 0}),
            ErrorCode::kIllegalGeneration);
  EXPECT_EQ(Commit({.member_id = id, .instance_id = {}, .generation_or_epoch = -1}),
            ErrorCode::kIllegalGeneration);
  EXPECT_EQ(Commit({.member_id = "other", .instance_id = {}, .generation_or_epoch = 1}),
            ErrorCode::kUnknownMemberId);
  EXPECT_EQ(Commit({.member_id = "other", .instance_id = "i", .generation_or_epoch = 1}),
            ErrorCode::kFencedInstanceId);
  EXPECT_EQ(Commit({.member_id = id, .instance_id = "j", .generation_or_epoch = 1}),
            ErrorCode::kUnknownMemberId);
  EXPECT_EQ(Commit({}), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(group_.CheckFetch({}), ErrorCode::kNone);
}

TEST_F(ClassicGroupTest, CommitsGoOnWhileTheNextGenerationGathers) {
  Join("", Subscription({"t"}));
  Advance(3000);
  SyncLeader();
  Join("", Subscription({"t"}));
  ASSERT_EQ(group_.state(), kPreparingRebalance);
  EXPECT_EQ(
      Commit({.member_id = group_.members().leader(), .instance_id = {}, .generation_or_epoch = 1}),
      ErrorCode::kNone);
}

TEST_F(ClassicGroupTest, ARebalanceThatEndsEarlyLeavesNoTimer) {
  Join("", Subscription({"t"}));
  Advance(3000);
  SyncLeader();
  EXPECT_EQ(timers_.size(), 1u) << "of the sessions";
  Join("", Subscription({"t"}));
  EXPECT_EQ(timers_.size(), 2u);
  Join(group_.members().leader(), Subscription({"t"}));
  ASSERT_EQ(group_.state(), kCompletingRebalance);
  EXPECT_EQ(timers_.size(), 2u) << "that of the next SyncGroup in place of the JoinGroup's";
}

TEST_F(ClassicGroupTest, ACommitRenewsTheSession) {
  Join("", Subscription({"t"}));
  Advance(3000);
  SyncLeader();
  const std::string id = group_.members().leader();
  Advance(9999);
  EXPECT_EQ(Commit({.member_id = id, .instance_id = {}, .generation_or_epoch = 1}),
            ErrorCode::kNone);
  Advance(9999);
  EXPECT_EQ(group_.state(), kStable);
  Advance(1);
  EXPECT_EQ(group_.state(), kEmpty);
}

TEST_F(ClassicGroupTest, TheTopicsOfConsumersAreKnown) {
  EXPECT_FALSE(group_.IsSubscribedTo("t"));
  Join("", Subscription({"t", "u"}));
  Join("", Subscription({"v"}));
  Advance(3000);
  Advance(3000);
  SyncLeader();
  for (const char* topic : {"t", "u", "v"}) EXPECT_TRUE(group_.IsSubscribedTo(topic)) << topic;
  EXPECT_FALSE(group_.IsSubscribedTo("w"));
  EXPECT_TRUE(group_.tells_subscriptions());
  EXPECT_EQ(group_.empty_since_ms(), -1);
  Advance(30000);
  ASSERT_EQ(group_.state(), kEmpty);
  EXPECT_FALSE(group_.IsSubscribedTo("t"));
  EXPECT_FALSE(group_.tells_subscriptions());
  EXPECT_EQ(group_.empty_since_ms(), moment_.wall_ms);
}

TEST_F(ClassicGroupTest, OfSubscriptionsThatCannotBeReadAnyTopicMayBeInUse) {
  Join("", Subscription({"t"}));
  Join("", std::string("\0\1\0\0\0\7x", 7));
  Advance(3000);
  Advance(3000);
  SyncLeader();
  EXPECT_TRUE(group_.IsSubscribedTo("anything"));
  EXPECT_FALSE(group_.tells_subscriptions());
}

TEST_F(ClassicGroupTest, MetadataOfOtherProtocolTypesIsNobodysBusiness) {
  type_ = "connect";
  Join("", Subscription({"t"}));
  Advance(3000);
  SyncLeader();
  EXPECT_FALSE(group_.IsSubscribedTo("t"));
  EXPECT_FALSE(group_.tells_subscriptions());
}

TEST_F(ClassicGroupTest, ItIsNoGroupOfTheConsumerProtocol) {
  EXPECT_EQ(group_.DescribeConsumer(moment_).error_code,
            kafka::WireError(ErrorCode::kGroupIdNotFound));
}

TEST_F(ClassicGroupTest, ADamagedRecordIsRefused) {
  kafka::GroupMetadataValue value;
  value.members.resize(2);
  value.members[0].member_id = value.members[1].member_id = "twice";
  kafka::GroupMetadataKey key;
  key.group = "g";
  const GroupRecord record = *EncodeGroupRecord(key, value);
  GroupContext context = Context();
  EXPECT_FALSE(ClassicGroup::Load("g", *record.value, context).ok());
  for (size_t size = 0; size < record.value->size(); ++size) {
    EXPECT_FALSE(ClassicGroup::Load("g", record.value->substr(0, size), context).ok()) << size;
  }
  EXPECT_EQ(timers_.size(), 0u);
}

// A crowd of 5,000: each JoinGroup is its own work, and the end of the rebalance is one answer each
// and the list for the leader. Were a JoinGroup to look at all members, these would be 25 million
// looks and a test that takes seconds.
// Whoever only ever asks for an id takes no memory from the others, and keeps none of them out.
TEST_F(ClassicGroupTest, IdsThatNobodyComesBackWithMakeWayForNewOnes) {
  const auto join = [this](const std::string& member_id) {
    effects_ = {};
    Join(member_id, Subscription({"t"}), std::nullopt, 4);
    if (effects_.answers.empty()) return kafka::JoinGroupResponse();  // it waits for the others
    return std::get<kafka::JoinGroupResponse>(effects_.answers.at(0).response);
  };
  const std::string first = join("").member_id;
  const std::string second = join("").member_id;
  for (size_t i = 0; i + 1 < PendingMembers::kCountMax; ++i) join("");
  EXPECT_EQ(group_.members().pending().size(), PendingMembers::kCountMax);
  EXPECT_EQ(join(first).error_code, kafka::WireError(ErrorCode::kUnknownMemberId));
  const auto again = join("");
  EXPECT_EQ(again.error_code, kafka::WireError(ErrorCode::kMemberIdRequired));
  EXPECT_EQ(join(second).error_code, kafka::WireError(ErrorCode::kUnknownMemberId));
  EXPECT_EQ(join(again.member_id).error_code, 0);
  EXPECT_EQ(group_.members().size(), 1u);
}

TEST_F(ClassicGroupTest, ACrowdJoinsOneByOne) {
  constexpr size_t kCrowd = 5000;
  for (size_t i = 0; i < kCrowd; ++i) Join("", Subscription({"t"}));
  EXPECT_TRUE(effects_.answers.empty());
  EXPECT_LE(timers_.size(), 3u);
  Advance(3000);
  Advance(3000);
  ASSERT_EQ(effects_.answers.size(), kCrowd);
  size_t told = 0;
  for (const GroupAnswer& answer : effects_.answers) {
    told += std::get<kafka::JoinGroupResponse>(answer.response).members.size();
  }
  EXPECT_EQ(told, kCrowd);
  EXPECT_EQ(group_.generation(), 1);
  SyncLeader();
  EXPECT_EQ(effects_.records.size(), 1u);
  // Their sessions end together, and one record says that nobody is left.
  Advance(10000);
  EXPECT_EQ(group_.state(), kEmpty);
  EXPECT_EQ(effects_.records.size(), 2u);
  EXPECT_TRUE(group_.CanBeForgotten());
}

}  // namespace
}  // namespace sluice::broker
