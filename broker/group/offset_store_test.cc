#include "broker/group/offset_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "broker/group/testing/map_group_view.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::WireError;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// A group that answers as the test says.
class ScriptedGroup final : public Group {
 public:
  std::string name = "g";
  ErrorCode commit_error = ErrorCode::kNone;
  ErrorCode fetch_error = ErrorCode::kNone;
  std::set<std::string, std::less<>> subscribed;
  bool members = false;
  bool tells = true;
  std::string type = "consumer";
  int64_t empty_since = -1;

  const std::string& id() const override { return name; }
  Protocol protocol() const override { return Protocol::kClassic; }
  void Join(const GroupCaller&, const kafka::JoinGroupRequest&, GroupContext&) override {}
  void Sync(const GroupCaller&, const kafka::SyncGroupRequest&, GroupContext&) override {}
  void Heartbeat(const GroupCaller&, const kafka::HeartbeatRequest&, GroupContext&) override {}
  void Leave(const GroupCaller&, const kafka::LeaveGroupRequest&, GroupContext&) override {}
  void OnTimer(const GroupTimerKey&, GroupContext&) override {}
  void Unload(ErrorCode, GroupContext&) override {}
  bool CanBeForgotten() const override { return true; }
  ErrorCode CheckCommit(const OffsetClaim&, GroupContext&) override { return commit_error; }
  ErrorCode CheckFetch(const OffsetClaim&) const override { return fetch_error; }
  bool IsSubscribedTo(std::string_view topic) const override { return subscribed.contains(topic); }
  bool has_members() const override { return members; }
  int64_t empty_since_ms() const override { return empty_since; }
  bool tells_subscriptions() const override { return tells; }
  std::string state_name() const override { return ""; }
  std::string protocol_type() const override { return type; }
  kafka::DescribeGroupsResponse::DescribedGroup Describe() const override { return {}; }
  kafka::ConsumerGroupDescribeResponse::DescribedGroup DescribeConsumer(
      const GroupMoment&) const override {
    return {};
  }
  GroupStanding Explain(const GroupMoment&) const override { return {}; }
  void AddTombstones(GroupEffects&) const override {}
};

metadata::ImagePtr ImageWith(const std::map<std::string, TopicId>& topics) {
  auto image = std::make_shared<metadata::Image>(*metadata::EmptyImage());
  auto by_name = std::make_shared<metadata::TopicsByName>();
  auto by_id = std::make_shared<metadata::TopicsById>();
  for (const auto& [name, id] : topics) {
    auto topic = std::make_shared<metadata::TopicImage>();
    topic->name = name;
    topic->id = id;
    by_name->Set(name, topic);
    by_id->Set(id, topic);
  }
  image->topics_by_name = std::move(by_name);
  image->topics_by_id = std::move(by_id);
  return image;
}

class OffsetStoreTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRetentionMs = 604800000;

  OffsetStoreTest() : orders_(Uuid::Generate(random_)), payments_(Uuid::Generate(random_)) {
    moment_.image = ImageWith({{"orders", orders_}, {"payments", payments_}});
    moment_.wall_ms = 1000000;
  }

  // Runs `what` with a context whose records are in the log afterwards.
  template <typename What>
  GroupEffects Run(const What& what) {
    GroupEffects effects;
    GroupContext context{moment_, config_, view_, timers_, random_, effects};
    what(context);
    view_.Append(effects.records);
    return effects;
  }

  GroupEffects Commit(const std::string& topic, int64_t offset, Group* group,
                      const std::string& metadata = "", int32_t generation = -1,
                      int64_t retention_ms = -1, int16_t version = 9) {
    kafka::OffsetCommitRequest request;
    request.group_id = "g";
    request.generation_id_or_member_epoch = generation;
    request.retention_time_ms = retention_ms;
    auto& asked = request.topics.emplace_back();
    asked.name = topic;
    asked.topic_id = topic == "orders" ? orders_ : payments_;
    auto& partition = asked.partitions.emplace_back();
    partition.partition_index = 3;
    partition.committed_offset = offset;
    partition.committed_leader_epoch = 7;
    partition.committed_metadata = metadata;
    return Run([&](GroupContext& context) {
      store_.Commit({.token = 1, .version = version}, request, group, context);
    });
  }

  kafka::OffsetFetchResponse::OffsetFetchResponseGroup Fetch(
      std::optional<std::vector<std::pair<std::string, Uuid>>> topics, const Group* group) {
    FetchOffsets request;
    request.group.group_id = "g";
    if (!topics) {
      request.group.topics.reset();
    } else {
      for (const auto& [name, id] : *topics) {
        auto& asked = request.group.topics->emplace_back();
        asked.name = name;
        asked.topic_id = id;
        asked.partition_indexes = {3};
      }
    }
    const GroupEffects effects = Run([&](GroupContext& context) {
      store_.Fetch({.token = 2, .version = 10}, request, group, context);
    });
    EXPECT_EQ(effects.answers.size(), 1u);
    return std::get<kafka::OffsetFetchResponse::OffsetFetchResponseGroup>(
        effects.answers.at(0).response);
  }

  // Topics and offsets of all that is committed.
  std::map<std::string, int64_t> Committed() {
    std::map<std::string, int64_t> committed;
    for (const auto& topic : Fetch(std::nullopt, nullptr).topics)
      committed[topic.name] = topic.partitions.at(0).committed_offset;
    return committed;
  }

  kafka::OffsetDeleteResponse Delete(const std::string& topic, const Group* group) {
    kafka::OffsetDeleteRequest request;
    request.group_id = "g";
    auto& asked = request.topics.emplace_back();
    asked.name = topic;
    asked.partitions.emplace_back().partition_index = 3;
    GroupEffects effects = Run([&](GroupContext& context) {
      store_.Delete({.token = 3, .version = 0}, request, group, context);
    });
    view_.CommitAll();
    const auto& answers = effects.records.empty() ? effects.answers : effects.durable_answers;
    EXPECT_EQ(answers.size(), 1u);
    return std::get<kafka::OffsetDeleteResponse>(answers.at(0).response);
  }

  // A whole sweep; the groups that it found idle.
  std::vector<std::string> Sweep(Group* group) {
    std::vector<std::string> removed;
    store_.BeginSweep();
    while (store_.sweeping()) {
      Run([&](GroupContext& context) {
        store_.SweepNext({.find = [&](const std::string&) -> Result<Group*> { return group; },
                          .remove = [&](const std::string& id) { removed.push_back(id); }},
                         context);
      });
    }
    view_.CommitAll();
    return removed;
  }

  static int16_t ErrorOf(const GroupEffects& effects) {
    const auto& answers = effects.records.empty() ? effects.answers : effects.durable_answers;
    return std::get<kafka::OffsetCommitResponse>(answers.at(0).response)
        .topics.at(0)
        .partitions.at(0)
        .error_code;
  }

  Random random_{7};
  const TopicId orders_;
  const TopicId payments_;
  GroupMoment moment_;
  GroupConfig config_{.offsets_retention_ms = kRetentionMs};
  testing::MapGroupView view_;
  GroupTimers timers_;
  OffsetStore store_;
  ScriptedGroup group_;
};

TEST_F(OffsetStoreTest, CommitIsReadOnceItIsCommitted) {
  const GroupEffects effects = Commit("orders", 42, nullptr, "note \xC3\xA9");
  EXPECT_TRUE(effects.answers.empty());
  EXPECT_EQ(ErrorOf(effects), 0);
  EXPECT_EQ(Fetch({{{"orders", orders_}}}, nullptr).topics.at(0).partitions.at(0).committed_offset,
            -1);
  EXPECT_THAT(Committed(), IsEmpty()) << "nor when all are asked for";
  view_.CommitAll();
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 42)));
  const auto fetched = Fetch({{{"orders", orders_}}}, nullptr).topics.at(0).partitions.at(0);
  EXPECT_EQ(fetched.partition_index, 3);
  EXPECT_EQ(fetched.committed_offset, 42);
  EXPECT_EQ(fetched.committed_leader_epoch, 7);
  EXPECT_EQ(fetched.metadata, "note \xC3\xA9");
}

TEST_F(OffsetStoreTest, UnknownOffsetIsNoError) {
  const auto fetched = Fetch({{{"orders", orders_}}}, nullptr);
  EXPECT_EQ(fetched.error_code, 0);
  EXPECT_EQ(fetched.topics.at(0).partitions.at(0).committed_offset, -1);
  EXPECT_EQ(fetched.topics.at(0).partitions.at(0).metadata, "");
  EXPECT_EQ(fetched.topics.at(0).partitions.at(0).error_code, 0);
}

// Before any sweep, and whether the reader names the topic, its id or nothing.
TEST_F(OffsetStoreTest, TopicMadeAnewHasNoOffsets) {
  Commit("orders", 42, nullptr);
  Commit("payments", 7, nullptr);
  view_.CommitAll();
  const auto offset_of = [&](const Uuid& id) {
    return Fetch({{{"orders", id}}}, nullptr).topics.at(0).partitions.at(0).committed_offset;
  };
  EXPECT_EQ(offset_of({}), 42);
  EXPECT_EQ(Fetch(std::nullopt, nullptr).topics.at(0).topic_id, orders_);
  const TopicId other = Uuid::Generate(random_);
  EXPECT_EQ(offset_of(other), -1);
  moment_.image = ImageWith({{"orders", other}, {"payments", payments_}});
  EXPECT_EQ(offset_of({}), -1);
  EXPECT_THAT(Committed(), ElementsAre(Pair("payments", 7)));
  moment_.image = ImageWith({{"payments", payments_}});
  EXPECT_EQ(offset_of({}), -1);
  EXPECT_THAT(Committed(), ElementsAre(Pair("payments", 7)));
}

TEST_F(OffsetStoreTest, OffsetsFromBeforeTopicsHadIdsAreToldByName) {
  kafka::OffsetCommitKey key;
  key.group = "g";
  key.topic = "orders";
  key.partition = 3;
  view_.Append({*EncodeGroupRecord(key, {.offset = 5, .commit_timestamp = moment_.wall_ms})});
  view_.CommitAll();
  for (const Uuid& id : {Uuid(), Uuid(orders_)}) {
    const auto fetched = Fetch({{{"orders", id}}}, nullptr);
    EXPECT_EQ(fetched.topics.at(0).partitions.at(0).committed_offset, 5);
  }
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 5)));
  EXPECT_EQ(Fetch(std::nullopt, nullptr).topics.at(0).topic_id, orders_);
}

// An administrator's reset does not.
TEST_F(OffsetStoreTest, ACommitThatTellsNoIdIsOfTheTopicOfThatName) {
  kafka::OffsetCommitRequest request;
  request.group_id = "g";
  request.topics.resize(1);
  request.topics[0].name = "orders";
  request.topics[0].partitions.resize(1);
  request.topics[0].partitions[0].committed_offset = 5;
  Run([&](GroupContext& context) {
    store_.Commit({.token = 1, .version = 9}, request, nullptr, context);
  });
  view_.CommitAll();
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 5)));
  moment_.image = ImageWith({{"orders", Uuid::Generate(random_)}});
  EXPECT_THAT(Committed(), IsEmpty());
}

TEST_F(OffsetStoreTest, CommitsAreRefusedAsTheGroupSays) {
  EXPECT_EQ(ErrorOf(Commit("orders", 1, nullptr, "", 5, -1, 8)),
            WireError(ErrorCode::kIllegalGeneration));
  EXPECT_EQ(ErrorOf(Commit("orders", 1, nullptr, "", 5, -1, 9)),
            WireError(ErrorCode::kGroupIdNotFound));
  group_.commit_error = ErrorCode::kRebalanceInProgress;
  EXPECT_EQ(ErrorOf(Commit("orders", 1, &group_, "", 5)),
            WireError(ErrorCode::kRebalanceInProgress));
  group_.commit_error = ErrorCode::kNone;
  EXPECT_EQ(ErrorOf(Commit("orders", 1, &group_, std::string(4096, 'm'), 5)), 0);
  EXPECT_EQ(ErrorOf(Commit("orders", 1, &group_, std::string(4097, 'm'), 5)),
            WireError(ErrorCode::kOffsetMetadataTooLarge));
}

TEST_F(OffsetStoreTest, FetchIsRefusedAsTheGroupSays) {
  group_.fetch_error = ErrorCode::kStaleMemberEpoch;
  const auto fetched = Fetch({{{"orders", orders_}}}, &group_);
  EXPECT_EQ(fetched.error_code, WireError(ErrorCode::kStaleMemberEpoch));
  EXPECT_THAT(fetched.topics, IsEmpty());
}

TEST_F(OffsetStoreTest, DeletesWhatNobodyReads) {
  EXPECT_EQ(Delete("orders", nullptr).error_code, WireError(ErrorCode::kGroupIdNotFound));
  Commit("orders", 1, nullptr);
  Commit("payments", 2, nullptr);
  view_.CommitAll();
  group_.members = true;
  group_.subscribed = {"orders"};
  EXPECT_EQ(Delete("orders", &group_).topics.at(0).partitions.at(0).error_code,
            WireError(ErrorCode::kGroupSubscribedToTopic));
  group_.type = "connect";
  EXPECT_EQ(Delete("payments", &group_).error_code, WireError(ErrorCode::kNonEmptyGroup));
  group_.type = "consumer";
  // Of consumers also while they rebalance.
  group_.tells = false;
  EXPECT_EQ(Delete("orders", &group_).topics.at(0).partitions.at(0).error_code,
            WireError(ErrorCode::kGroupSubscribedToTopic));
  EXPECT_EQ(Delete("payments", &group_).topics.at(0).partitions.at(0).error_code, 0);
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 1)));
}

TEST_F(OffsetStoreTest, DeletingSeesWhatIsNotCommittedYet) {
  Commit("orders", 1, nullptr);
  EXPECT_TRUE(store_.HasOffsets("g", view_));
  EXPECT_FALSE(store_.HasOffsets("gg", view_));
  Run([&](GroupContext& context) { EXPECT_TRUE(store_.AddTombstones("g", context).ok()); });
  view_.CommitAll();
  EXPECT_THAT(Committed(), IsEmpty());
}

TEST_F(OffsetStoreTest, OffsetsWithoutGroupExpireByTheirAge) {
  Commit("orders", 1, nullptr);
  moment_.wall_ms += 1000;
  Commit("payments", 2, nullptr);
  view_.CommitAll();
  moment_.wall_ms += kRetentionMs - 1000;
  Sweep(nullptr);
  EXPECT_THAT(Committed(), ElementsAre(Pair("payments", 2)));
}

TEST_F(OffsetStoreTest, ACommitIsNotSweptAwayWithTheOneBeforeIt) {
  Commit("orders", 1, nullptr);
  view_.CommitAll();
  moment_.wall_ms += kRetentionMs;
  Commit("orders", 2, nullptr);  // in the log, and not committed yet
  Sweep(nullptr);
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 2)));
}

TEST_F(OffsetStoreTest, OffsetsOfAnEmptyGroupExpireByItsEmptiness) {
  Commit("orders", 1, &group_);
  view_.CommitAll();
  group_.empty_since = moment_.wall_ms + kRetentionMs;
  moment_.wall_ms += 2 * kRetentionMs - 1;
  Sweep(&group_);
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 1)));
  moment_.wall_ms += 1;
  Sweep(&group_);
  EXPECT_THAT(Committed(), IsEmpty());
}

TEST_F(OffsetStoreTest, GroupThatReadsLosesOnlyWhatItNoLongerSubscribesTo) {
  Commit("orders", 1, &group_);
  Commit("payments", 2, &group_);
  view_.CommitAll();
  moment_.wall_ms += 2 * kRetentionMs;
  group_.members = true;
  group_.tells = false;
  Sweep(&group_);
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 1), Pair("payments", 2)));
  group_.tells = true;
  group_.subscribed = {"orders"};
  Sweep(&group_);
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 1)));
}

TEST_F(OffsetStoreTest, OldClientsChooseWhenTheirOffsetsExpire) {
  Commit("orders", 1, &group_, "", -1, 5000, 4);
  view_.CommitAll();
  moment_.wall_ms += 4999;
  Sweep(&group_);
  EXPECT_THAT(Committed(), ElementsAre(Pair("orders", 1)));
  moment_.wall_ms += 1;
  Sweep(&group_);
  EXPECT_THAT(Committed(), IsEmpty());
}

TEST_F(OffsetStoreTest, OffsetsOfDeletedTopicsGo) {
  Commit("orders", 1, &group_);
  Commit("payments", 2, &group_);
  view_.CommitAll();
  group_.members = true;
  group_.subscribed = {"orders", "payments"};
  // Deleted, and deleted and made again under its name.
  moment_.image = ImageWith({{"orders", Uuid::Generate(random_)}, {"payments", payments_}});
  Sweep(&group_);
  EXPECT_THAT(Committed(), ElementsAre(Pair("payments", 2)));
}

TEST_F(OffsetStoreTest, SweepsManyInSlices) {
  for (int i = 0; i < 2500; ++i) {
    kafka::OffsetCommitKey key;
    key.group = "group-" + std::to_string(i);
    key.topic = "orders";
    view_.Append({*EncodeGroupRecord(key, {.offset = 1, .commit_timestamp = moment_.wall_ms})});
  }
  view_.CommitAll();
  moment_.wall_ms += kRetentionMs;
  store_.BeginSweep();
  size_t calls = 0;
  size_t removed = 0;
  for (; store_.sweeping(); ++calls) {
    const GroupEffects effects = Run([&](GroupContext& context) {
      store_.SweepNext({.find = [](const std::string&) -> Result<Group*> { return nullptr; },
                        .remove = [](const std::string&) {}},
                       context);
    });
    EXPECT_LE(effects.records.size(), 1000u);
    removed += effects.records.size();
  }
  EXPECT_EQ(removed, 2500u);
  EXPECT_GE(calls, 3u);
}

TEST_F(OffsetStoreTest, FindsGroupsWithNothingLeft) {
  kafka::GroupMetadataKey key;
  key.group = "g";
  view_.Append({*EncodeGroupRecord(key, kafka::GroupMetadataValue{})});
  view_.CommitAll();
  Commit("orders", 1, &group_);
  view_.CommitAll();
  EXPECT_THAT(Sweep(&group_), IsEmpty());
  moment_.wall_ms += kRetentionMs;
  EXPECT_THAT(Sweep(&group_), ElementsAre("g"));
  group_.members = true;
  EXPECT_THAT(Sweep(&group_), IsEmpty());
}

}  // namespace
}  // namespace sluice::broker
