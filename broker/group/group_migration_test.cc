// Groups that go from one protocol to the other with their members in them.
#include "broker/group/group_migration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/group/testing/mixed_group_bed.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using testing::ClassicClient;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::MixedClient;
using testing::MixedGroupBed;
using testing::NewProtocolClient;
using ::testing::SizeIs;
using Kind = ClassicClient::Kind;

class GroupMigrationTest : public ::testing::Test {
 protected:
  // All of them, one after the other, as often; a second passes each time.
  void Run(const std::vector<MixedClient*>& clients, int rounds = 20) {
    for (int i = 0; i < rounds; ++i) {
      for (MixedClient* client : clients) client->Step();
      bed_.driver().Advance(1000);
    }
  }
  // Types of the records since, negative for tombstones.
  std::vector<int> TypesSince(size_t first) const {
    std::vector<int> types;
    for (size_t i = first; i < bed_.records().size(); ++i) {
      const GroupRecord& record = bed_.records()[i];
      types.push_back(record.value.has_value() ? record.key[1] : -record.key[1]);
    }
    return types;
  }
  kafka::ConsumerGroupDescribeResponse::DescribedGroup Describe() {
    return bed_.Call<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(
        DescribeConsumerGroup{"g"}, 1);
  }

  MixedGroupBed bed_{1};
  ClassicClient eager_{bed_, Kind::kEager};
  NewProtocolClient consumer_{bed_, "c"};
};

TEST_F(GroupMigrationTest, TheFirstMemberOfTheConsumerProtocolUpgradesTheGroup) {
  Run({&eager_});
  EXPECT_EQ(bed_.State(), "classic/Stable");
  EXPECT_THAT(eager_.owned(), SizeIs(4));
  const int32_t generation = eager_.generation();
  const size_t before = bed_.records().size();
  consumer_.Step();
  // The classic record goes; member, epoch, target, its epoch and current assignment come; then the
  // new member with a new epoch and targets.
  EXPECT_THAT(TypesSince(before), ElementsAre(-2, 5, 3, 7, 6, 8, 5, 3, 7, 7, 6, 8));
  EXPECT_EQ(bed_.State(), "consumer/Reconciling");
  EXPECT_EQ(consumer_.epoch(), generation + 1);
  EXPECT_THAT(consumer_.owned(), IsEmpty()) << "all is still the other one's";
  eager_.Step();
  EXPECT_EQ(eager_.last_error(), ErrorCode::kRebalanceInProgress);
  EXPECT_THAT(eager_.owned(), SizeIs(4));
  Run({&eager_, &consumer_}, 3);
  EXPECT_EQ(eager_.generation(), generation + 1);
  EXPECT_THAT(eager_.owned(), SizeIs(2));
  EXPECT_THAT(consumer_.owned(), SizeIs(2));
  EXPECT_EQ(bed_.State(), "consumer/Stable");
  EXPECT_EQ(eager_.losses(), 0);
  for (const auto& member : Describe().members)
    EXPECT_EQ(member.member_type, member.member_id == "c" ? 1 : 0);
}

TEST_F(GroupMigrationTest, TheLastOneThatLeavesDowngradesTheGroup) {
  Run({&eager_});
  Run({&eager_, &consumer_});
  const int32_t epoch = consumer_.epoch();
  const size_t before = bed_.records().size();
  consumer_.Leave();
  const std::vector<int> types = TypesSince(before);
  EXPECT_THAT(types, ElementsAre(-8, -7, -5, -8, -7, -6, -5, -3, 2));
  EXPECT_EQ(bed_.State(), "classic/PreparingRebalance");
  EXPECT_EQ(bed_.driver().shard().timers(), 2u) << "of its sessions and of the rebalance";
  EXPECT_EQ(eager_.generation(), epoch);
  eager_.Step();
  EXPECT_EQ(eager_.last_error(), ErrorCode::kRebalanceInProgress) << "and not another generation";
  Run({&eager_}, 5);
  EXPECT_EQ(bed_.State(), "classic/Stable");
  EXPECT_THAT(eager_.owned(), SizeIs(4));
  EXPECT_EQ(eager_.losses(), 0);
}

TEST_F(GroupMigrationTest, TheNextCoordinatorRebalancesWhatWasDowngraded) {
  Run({&eager_});
  Run({&eager_, &consumer_});
  consumer_.Leave();
  bed_.driver().FailOver(true);
  eager_.Step();
  EXPECT_EQ(eager_.last_error(), ErrorCode::kRebalanceInProgress);
  Run({&eager_}, 5);
  EXPECT_THAT(eager_.owned(), SizeIs(4));
  bed_.driver().FailOver(true);
  Run({&eager_}, 2);
  EXPECT_EQ(bed_.State(), "classic/Stable");
}

TEST_F(GroupMigrationTest, ASilentMemberIsAsOneThatLeft) {
  Run({&eager_});
  Run({&eager_, &consumer_});
  Run({&eager_}, 60);
  EXPECT_EQ(bed_.State(), "classic/Stable");
  EXPECT_THAT(eager_.owned(), SizeIs(4));
}

TEST_F(GroupMigrationTest, AnotherCoordinatorGoesOnWithBothKinds) {
  ClassicClient cooperative(bed_, Kind::kCooperative);
  Run({&cooperative});
  Run({&cooperative, &consumer_}, 1);
  bed_.driver().FailOver(true);
  Run({&cooperative, &consumer_}, 5);
  EXPECT_THAT(cooperative.owned(), SizeIs(2));
  EXPECT_THAT(consumer_.owned(), SizeIs(2));
  EXPECT_EQ(cooperative.losses(), 0);
}

TEST_F(GroupMigrationTest, SessionsOfBothKindsBeginAnewWithAnotherCoordinator) {
  Run({&eager_});
  Run({&eager_, &consumer_});
  bed_.driver().Advance(8000);
  bed_.driver().FailOver(true);
  bed_.driver().LoadAll();
  EXPECT_EQ(bed_.driver().shard().timers(), 2u);
  bed_.driver().Advance(9999);
  EXPECT_THAT(Describe().members, SizeIs(2));
  bed_.driver().Advance(1);
  EXPECT_THAT(Describe().members, SizeIs(1)) << "the classic one has said nothing for 10 s";
  bed_.driver().Advance(35000);
  EXPECT_EQ(bed_.driver().shard().loaded_groups(), 0u);
  EXPECT_EQ(bed_.driver().shard().timers(), 0u);
}

TEST_F(GroupMigrationTest, WhoWaitsInTheClassicGroupJoinsAgain) {
  eager_.Step();  // is told its id
  eager_.Step();  // waits for the delay of the first rebalance
  consumer_.Step();
  EXPECT_EQ(eager_.last_error(), ErrorCode::kRebalanceInProgress);
  EXPECT_THAT(consumer_.owned(), SizeIs(2)) << "the target counts the other one in";
  Run({&eager_, &consumer_}, 3);
  EXPECT_THAT(eager_.owned(), SizeIs(2));
  EXPECT_THAT(consumer_.owned(), SizeIs(2));
}

// Real ones commit before they give something up, which takes its time.
TEST_F(GroupMigrationTest, WhatACooperativeMemberIsGivingUpIsNotFreeYet) {
  ClassicClient first{bed_, Kind::kCooperative}, second{bed_, Kind::kCooperative};
  Run({&first});
  ASSERT_THAT(first.owned(), SizeIs(4));
  for (int i = 0; i < 2; ++i) second.Step();
  for (int i = 0; i < 3; ++i) first.Step();
  ASSERT_THAT(first.owned(), SizeIs(2)) << "it is told to, and has not said that it has";
  ASSERT_EQ(bed_.State(), "classic/Stable");
  consumer_.Step();
  EXPECT_EQ(bed_.State(), "consumer/Reconciling");
  EXPECT_THAT(consumer_.owned(), IsEmpty());
  Run({&first, &second, &consumer_});
  EXPECT_EQ(bed_.State(), "consumer/Stable");
  EXPECT_EQ(first.owned().size() + second.owned().size() + consumer_.owned().size(), 4u);
  EXPECT_EQ(first.losses() + second.losses(), 0);
}

TEST_F(GroupMigrationTest, CooperativeMembersKeepWhatTheyHaveThroughAnAbandonedRebalance) {
  ClassicClient first{bed_, Kind::kCooperative}, second{bed_, Kind::kCooperative},
      third{bed_, Kind::kCooperative};
  Run({&first});
  for (int i = 0; i < 2; ++i) second.Step();
  for (int i = 0; i < 2; ++i) first.Step();
  ASSERT_EQ(bed_.State(), "classic/CompletingRebalance");
  for (int i = 0; i < 2; ++i) third.Step();
  ASSERT_EQ(bed_.State(), "classic/PreparingRebalance") << "nobody has an assignment";
  consumer_.Step();
  EXPECT_THAT(consumer_.owned(), IsEmpty());
  EXPECT_THAT(first.owned(), SizeIs(4));
  Run({&first, &second, &third, &consumer_});
  EXPECT_EQ(bed_.State(), "consumer/Stable");
  for (const MixedClient* client : std::vector<MixedClient*>{&first, &second, &third, &consumer_})
    EXPECT_THAT(client->owned(), SizeIs(1));
  EXPECT_EQ(first.losses() + second.losses() + third.losses(), 0);
}

TEST_F(GroupMigrationTest, ThePolicyForbidsEitherWay) {
  bed_.driver().config().consumer.may_upgrade = false;
  Run({&eager_});
  consumer_.Step();
  EXPECT_EQ(consumer_.last_error(), ErrorCode::kGroupIdNotFound);
  Run({&eager_}, 2);
  EXPECT_EQ(bed_.State(), "classic/Stable");
  EXPECT_EQ(eager_.last_error(), ErrorCode::kNone);
  bed_.driver().config().consumer.may_upgrade = true;
  bed_.driver().config().consumer.may_downgrade = false;
  Run({&eager_, &consumer_});
  consumer_.Leave();
  Run({&eager_}, 5);
  EXPECT_EQ(bed_.State(), "consumer/Stable");
  EXPECT_THAT(eager_.owned(), SizeIs(4));
}

TEST_F(GroupMigrationTest, ARefusedHeartbeatUpgradesNothing) {
  Run({&eager_});
  const size_t before = bed_.records().size();
  kafka::ConsumerGroupHeartbeatRequest request;
  request.group_id = "g";
  request.member_id = "c";
  request.rebalance_timeout_ms = 1000;
  request.subscribed_topic_regex = "(";
  request.topic_partitions.emplace();
  EXPECT_EQ(bed_.Call<kafka::ConsumerGroupHeartbeatResponse>(request, 1).error_code,
            WireError(ErrorCode::kInvalidRegularExpression));
  request.subscribed_topic_regex = "t";
  request.member_epoch = 1;
  EXPECT_EQ(bed_.Call<kafka::ConsumerGroupHeartbeatResponse>(request, 1).error_code,
            WireError(ErrorCode::kGroupIdNotFound));
  EXPECT_EQ(bed_.records().size(), before);
  eager_.Step();
  EXPECT_EQ(eager_.last_error(), ErrorCode::kNone);
  bed_.driver().RefuseNext(ErrorCode::kCoordinatorNotAvailable);
  consumer_.Step();
  EXPECT_EQ(consumer_.last_error(), ErrorCode::kCoordinatorNotAvailable);
  EXPECT_EQ(bed_.State(), "classic/Stable") << "what could not be written did not happen";
}

TEST_F(GroupMigrationTest, AMemberThatDoesNotComeBackIsPutOut) {
  Run({&eager_});
  consumer_.Step();
  eager_.Step();  // hears of the rebalance
  for (int i = 0; i < 9; ++i) {
    consumer_.Step();
    bed_.driver().Advance(1000);
  }
  EXPECT_THAT(Describe().members, SizeIs(2));
  bed_.driver().Advance(1000);
  EXPECT_THAT(Describe().members, SizeIs(1));
  consumer_.Step();
  EXPECT_THAT(consumer_.owned(), SizeIs(4));
}

// Else it would commit, in the name of a member again, what others have read on since.
TEST_F(GroupMigrationTest, AMemberThatWasPutOutLosesItsPartitionsBeforeItJoinsAgain) {
  ClassicClient cooperative(bed_, Kind::kCooperative);
  Run({&cooperative});
  EXPECT_THAT(cooperative.owned(), SizeIs(4));
  consumer_.Step();
  cooperative.Step();  // hears of the rebalance
  for (int i = 0; i < 11; ++i) {
    consumer_.Step();
    bed_.driver().Advance(1000);
  }
  EXPECT_THAT(consumer_.owned(), SizeIs(4));
  cooperative.Step();
  EXPECT_EQ(cooperative.last_error(), ErrorCode::kUnknownMemberId);
  EXPECT_EQ(cooperative.losses(), 1);
  Run({&cooperative, &consumer_});
  EXPECT_THAT(cooperative.owned(), SizeIs(2));
}

TEST_F(GroupMigrationTest, AClientThatGoesOnTellingWhatItHasLostIsLetInUnderANewId) {
  Run({&consumer_});
  kafka::ConsumerProtocolSubscription subscription;
  subscription.topics = {"t"};
  subscription.owned_partitions.push_back({"t", {0, 1}});
  subscription.generation_id = 1;
  kafka::JoinGroupRequest join;
  join.group_id = "g";
  join.session_timeout_ms = 10000;
  join.rebalance_timeout_ms = 10000;
  join.protocol_type = "consumer";
  join.protocols.emplace_back().name = "cooperative-sticky";
  join.protocols.front().metadata = *kafka::EncodeConsumerSubscription(subscription, 3);
  const auto joined = [&](const std::string& member_id) {
    join.member_id = member_id;
    return bed_.Call<kafka::JoinGroupResponse>(join, 9);
  };
  EXPECT_EQ(joined("put out").error_code, WireError(ErrorCode::kUnknownMemberId));
  const auto given = joined("");
  EXPECT_EQ(given.error_code, WireError(ErrorCode::kMemberIdRequired));
  EXPECT_EQ(joined(given.member_id).error_code, 0);
  EXPECT_THAT(Describe().members, SizeIs(2));
}

TEST_F(GroupMigrationTest, AMemberThatDoesNotAskForItsAssignmentIsPutOut) {
  bed_.driver().config().session_ms_max = 100000;
  consumer_.Step();
  eager_.Step();
  eager_.Step();
  EXPECT_EQ(eager_.generation(), 3);
  for (int i = 0; i < 10; ++i) {
    consumer_.Step();
    bed_.driver().Advance(1000);
  }
  EXPECT_THAT(Describe().members, SizeIs(1));
  Run({&eager_, &consumer_}, 8);
  EXPECT_THAT(eager_.owned(), SizeIs(2));
}

TEST_F(GroupMigrationTest, AStaticMemberTakesItsPlaceWithItInEitherDirection) {
  ClassicClient old(bed_, Kind::kEager, "i");
  Run({&old, &eager_});
  const std::set<int32_t> place = old.owned();
  EXPECT_THAT(place, SizeIs(2));
  NewProtocolClient renewed(bed_, "renewed", "i");
  renewed.Step();
  EXPECT_EQ(renewed.owned(), place) << "nobody has to move";
  Run({&renewed, &eager_}, 3);
  old.Step();
  EXPECT_EQ(old.last_error(), ErrorCode::kFencedInstanceId);
  ClassicClient back(bed_, Kind::kEager, "i");
  Run({&back, &eager_}, 20);
  EXPECT_EQ(bed_.State(), "classic/Stable");
  EXPECT_THAT(back.owned(), SizeIs(2));
  EXPECT_THAT(eager_.owned(), SizeIs(2));
}

TEST_F(GroupMigrationTest, ClassicMembersAreRefusedAsInAClassicGroup) {
  Run({&eager_});
  Run({&eager_, &consumer_});
  kafka::HeartbeatRequest beat;
  beat.group_id = "g";
  beat.member_id = eager_.id();
  beat.generation_id = eager_.generation() - 1;
  const auto code = [&](const kafka::HeartbeatRequest& request) {
    return static_cast<ErrorCode>(bed_.Call<kafka::HeartbeatResponse>(request, 4).error_code);
  };
  EXPECT_EQ(code(beat), ErrorCode::kIllegalGeneration);
  beat.member_id = "c";
  EXPECT_EQ(code(beat), ErrorCode::kUnknownMemberId);
  beat.member_id = eager_.id();
  beat.group_instance_id = "nobody's";
  EXPECT_EQ(code(beat), ErrorCode::kUnknownMemberId);

  kafka::OffsetCommitRequest commit;
  commit.group_id = "g";
  commit.member_id = eager_.id();
  commit.topics.emplace_back().name = "t";
  commit.topics.front().partitions.resize(1);
  const auto committed = [&](int32_t generation) {
    commit.generation_id_or_member_epoch = generation;
    const auto response = bed_.Call<kafka::OffsetCommitResponse>(commit, 8);
    return static_cast<ErrorCode>(response.topics.at(0).partitions.at(0).error_code);
  };
  EXPECT_EQ(committed(eager_.generation() - 1), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(committed(eager_.generation() + 1), ErrorCode::kIllegalGeneration);
  EXPECT_EQ(committed(eager_.generation()), ErrorCode::kNone);

  kafka::JoinGroupRequest join;
  join.group_id = "g";
  join.session_timeout_ms = 10000;
  join.protocol_type = "connect";
  join.protocols.emplace_back().name = "range";
  const auto joined = [&] {
    return static_cast<ErrorCode>(bed_.Call<kafka::JoinGroupResponse>(join, 3).error_code);
  };
  EXPECT_EQ(joined(), ErrorCode::kInconsistentGroupProtocol);
  join.protocol_type = "consumer";
  EXPECT_EQ(joined(), ErrorCode::kInconsistentGroupProtocol) << "no subscription";
  join.protocols.front().metadata =
      *kafka::EncodeConsumerSubscription(kafka::ConsumerProtocolSubscription(), 0);
  join.protocols.front().name = "other";
  EXPECT_EQ(joined(), ErrorCode::kInconsistentGroupProtocol) << "no common protocol";
  join.protocols.front().name = "range";
  bed_.driver().config().consumer.members_max = 2;
  EXPECT_EQ(joined(), ErrorCode::kGroupMaxSizeReached);
  bed_.driver().config().consumer.members_max = 3;
  EXPECT_EQ(joined(), ErrorCode::kNone);
}

TEST_F(GroupMigrationTest, ClassicMembersLeave) {
  Run({&eager_});
  Run({&eager_, &consumer_});
  kafka::LeaveGroupRequest leave;
  leave.group_id = "g";
  leave.members.emplace_back().member_id = "c";
  EXPECT_EQ(bed_.Call<kafka::LeaveGroupResponse>(leave, 5).members.at(0).error_code,
            WireError(ErrorCode::kUnknownMemberId));
  leave.members.clear();
  leave.member_id = eager_.id();
  EXPECT_EQ(bed_.Call<kafka::LeaveGroupResponse>(leave, 2).error_code, 0);
  EXPECT_EQ(bed_.Call<kafka::LeaveGroupResponse>(leave, 2).error_code,
            WireError(ErrorCode::kUnknownMemberId));
  consumer_.Step();
  EXPECT_THAT(consumer_.owned(), SizeIs(4));
}

// --- Groups that have to stay what they are ---

class UpgradeRefusalTest : public GroupMigrationTest {
 protected:
  // A stable group of one member whose assignment is this.
  void Make(const std::string& type, const std::string& metadata, const std::string& assignment) {
    kafka::JoinGroupRequest join;
    join.group_id = "g";
    join.session_timeout_ms = 10000;
    join.rebalance_timeout_ms = 10000;
    join.protocol_type = type;
    auto& protocol = join.protocols.emplace_back();
    protocol.name = "range";
    protocol.metadata = metadata;
    kafka::JoinGroupResponse joined;
    bed_.Ask(join, 3, [&](const GroupResponse& response) {
      joined = std::get<kafka::JoinGroupResponse>(response);
    });
    bed_.driver().Advance(6000);
    kafka::SyncGroupRequest sync;
    sync.group_id = "g";
    sync.member_id = joined.member_id;
    sync.generation_id = joined.generation_id;
    auto& told = sync.assignments.emplace_back();
    told.member_id = joined.member_id;
    told.assignment = assignment;
    EXPECT_EQ(bed_.Call<kafka::SyncGroupResponse>(sync, 3).error_code, 0);
  }
  ErrorCode Upgrade() {
    consumer_.Step();
    return consumer_.last_error();
  }
  static std::string Subscription() {
    kafka::ConsumerProtocolSubscription subscription;
    subscription.topics = {"t"};
    return *kafka::EncodeConsumerSubscription(subscription, 0);
  }
  static std::string Assignment(const std::vector<int32_t>& partitions,
                                std::optional<std::string> user_data = std::nullopt) {
    kafka::ConsumerProtocolAssignment assignment;
    assignment.assigned_partitions.push_back(
        {.topic = "t", .partitions = partitions, .unknown_tagged_fields = {}});
    assignment.user_data = std::move(user_data);
    return *kafka::EncodeConsumerAssignment(assignment, 0);
  }
};

TEST_F(UpgradeRefusalTest, OfAnotherProtocolType) {
  Make("connect", Subscription(), Assignment({0}));
  EXPECT_EQ(Upgrade(), ErrorCode::kGroupIdNotFound);
}

TEST_F(UpgradeRefusalTest, OfSubscriptionsThatCannotBeRead) {
  Make("consumer", "?", Assignment({0}));
  EXPECT_EQ(Upgrade(), ErrorCode::kGroupIdNotFound);
}

TEST_F(UpgradeRefusalTest, OfAssignmentsThatCannotBeRead) {
  Make("consumer", Subscription(), "?");
  EXPECT_EQ(Upgrade(), ErrorCode::kGroupIdNotFound);
}

TEST_F(UpgradeRefusalTest, OfAssignorsWithDataOfTheirOwn) {
  Make("consumer", Subscription(), Assignment({0}, "mine"));
  EXPECT_EQ(Upgrade(), ErrorCode::kGroupIdNotFound);
}

TEST_F(UpgradeRefusalTest, OfAssignmentsThatOverlap) {
  Make("consumer", Subscription(), Assignment({0, 0}));
  EXPECT_EQ(Upgrade(), ErrorCode::kGroupIdNotFound);
}

TEST_F(UpgradeRefusalTest, NotOfPartitionsThatDoNotExist) {
  Make("consumer", Subscription(), Assignment({0, -1, 2147483647}));
  EXPECT_EQ(Upgrade(), ErrorCode::kNone);
}

// --- Random members of both kinds ---

class RandomMigration {
 public:
  RandomMigration(uint64_t seed, Kind kind) : random_(seed), kind_(kind), bed_(seed, 6) {}

  void Run() {
    for (int i = 0; i < 300; ++i) {
      Disturb();
      StepAll();
      ASSERT_NO_FATAL_FAILURE(CheckDisjoint());
    }
    // Longer than two sessions: the end of one may be what is refused last.
    for (int i = 0; i < 200; ++i) StepAll();
    CheckSettled();
  }

 private:
  size_t Below(size_t count) { return static_cast<size_t>(random_.Below(count)); }

  void Disturb() {
    const size_t dice = Below(40);
    if (dice == 0 && clients_.size() < 5) {
      clients_.push_back(std::make_unique<ClassicClient>(bed_, kind_));
    } else if (dice == 1 && clients_.size() < 5) {
      clients_.push_back(std::make_unique<NewProtocolClient>(bed_, "c" + std::to_string(++named_)));
    } else if (dice == 2) {
      bed_.driver().FailOver(Below(2) == 0);
    } else if (dice == 3) {
      bed_.driver().RefuseNext(ErrorCode::kCoordinatorNotAvailable);
    } else if (dice < 6 && !clients_.empty()) {
      const size_t who = Below(clients_.size());
      if (dice == 4) clients_[who]->Leave();  // else it just dies
      gone_.push_back(std::move(clients_[who]));
      clients_.erase(clients_.begin() + static_cast<std::ptrdiff_t>(who));
    }
  }

  void StepAll() {
    for (size_t i = 0; i < clients_.size(); ++i) {
      clients_[Below(clients_.size())]->Step();
      ASSERT_NO_FATAL_FAILURE(CheckDisjoint());
    }
    // Nobody is silent for as long as a session.
    for (const auto& client : clients_) client->Step();
    bed_.driver().Advance(500);
  }

  void CheckDisjoint() {
    std::set<int32_t> owned;
    for (const auto& client : clients_) {
      for (const int32_t partition : client->owned())
        ASSERT_TRUE(owned.insert(partition).second) << "partition " << partition << " twice";
    }
  }

  void CheckSettled() {
    if (clients_.empty()) return;
    std::set<int32_t> owned;
    bool any_new = false;
    for (const auto& client : clients_) {
      owned.insert(client->owned().begin(), client->owned().end());
      EXPECT_FALSE(client->owned().empty());
      any_new |= dynamic_cast<NewProtocolClient*>(client.get()) != nullptr;
    }
    EXPECT_EQ(owned.size(), 6u);
    EXPECT_EQ(bed_.State(), any_new ? "consumer/Stable" : "classic/Stable");
  }

  Random random_;
  const Kind kind_;
  MixedGroupBed bed_;
  std::vector<std::unique_ptr<MixedClient>> clients_;
  std::vector<std::unique_ptr<MixedClient>> gone_;
  int named_ = 0;
};

TEST(RandomMigrationTest, NoPartitionHasTwoOwnersAndAllSettles) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    for (const Kind kind : {Kind::kEager, Kind::kCooperative}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << " kind " << static_cast<int>(kind));
      RandomMigration(seed, kind).Run();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace sluice::broker
