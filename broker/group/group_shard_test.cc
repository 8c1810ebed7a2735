// What the stories (group_script_test.cc) cannot tell of a shard: groups that have offsets only,
// the sweep, and what does not fit.
#include "broker/group/group_shard.h"

#include <gtest/gtest.h>

#include "broker/group/classic_group_record.h"
#include "broker/group/testing/shard_driver.h"
#include "broker/group/testing/topic_table.h"

namespace sluice::broker::testing {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

int16_t ErrorOf(const GroupResponse& response) {
  return std::visit(
      [](const auto& answer) -> int16_t {
        if constexpr (requires { answer.error_code; }) {
          return answer.error_code;
        } else {
          return answer.topics.at(0).partitions.at(0).error_code;
        }
      },
      response);
}

class GroupShardTest : public ::testing::Test {
 protected:
  ShardDriver::Listener Listener() {
    ShardDriver::Listener listener;
    listener.on_effects = [](const GroupEffects&) {};
    listener.on_answer = [this](const GroupAnswer& answer, bool) {
      EXPECT_TRUE(answers_.emplace(answer.token, answer.response).second);
    };
    listener.on_record = [this](const GroupRecord& record) { records_.push_back(record); };
    listener.on_refusal = [](ErrorCode) {};
    return listener;
  }

  template <typename Response>
  Response Ask(GroupRequest request, int16_t version = 6) {
    GroupCaller caller;
    caller.token = ++tokens_;
    caller.version = version;
    driver_.Handle(caller, std::move(request));
    return std::get<Response>(answers_.at(caller.token));
  }

  int16_t Commit(const std::string& group_id, const std::string& topic) {
    const auto response = Ask<kafka::OffsetCommitResponse>(CommitOf(group_id, topic));
    return response.topics[0].partitions[0].error_code;
  }

  static kafka::OffsetCommitRequest CommitOf(const std::string& group_id,
                                             const std::string& topic) {
    kafka::OffsetCommitRequest request;
    request.group_id = group_id;
    request.topics.resize(1);
    request.topics[0].name = topic;
    request.topics[0].partitions.resize(1);
    request.topics[0].partitions[0].committed_offset = 7;
    return request;
  }

  static kafka::JoinGroupRequest JoinOf(const std::string& group_id) {
    kafka::JoinGroupRequest join;
    join.group_id = group_id;
    join.session_timeout_ms = 6000;
    join.rebalance_timeout_ms = 6000;
    join.protocol_type = "consumer";
    join.protocols.resize(1);
    join.protocols[0].name = "range";
    return join;
  }

  // A member that never speaks again.
  void JoinAndExpire(const std::string& group_id) {
    driver_.Handle({.token = ++tokens_, .version = 3, .client_id = "c", .client_host = {}},
                   JoinOf(group_id));
    driver_.Advance(20000);
  }

  kafka::DescribeGroupsResponse::DescribedGroup Describe(const std::string& group_id) {
    return Ask<kafka::DescribeGroupsResponse::DescribedGroup>(DescribeGroup{group_id});
  }

  std::vector<std::string> List() {
    std::vector<std::string> ids;
    for (const auto& group : Ask<kafka::ListGroupsResponse>(ListGroups{}).groups) {
      ids.push_back(group.group_id + "/" + group.group_state);
    }
    return ids;
  }

  int16_t Delete(const std::string& group_id) {
    return Ask<kafka::DeleteGroupsResponse::DeletableGroupResult>(DeleteGroup{group_id}).error_code;
  }

  std::map<RequestToken, GroupResponse> answers_;
  std::vector<GroupRecord> records_;
  RequestToken tokens_ = 0;
  ShardDriver driver_{Listener(), 1};
};

TEST_F(GroupShardTest, AGroupMayHaveOffsetsOnly) {
  EXPECT_EQ(Commit("a", "t"), 0);
  EXPECT_EQ(Commit("a", "u"), 0);
  EXPECT_EQ(Commit("b", "t"), 0);
  EXPECT_EQ(Commit("", "t"), 0);
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  EXPECT_EQ(Describe("a").group_state, "Empty");
  EXPECT_EQ(Describe("a").error_code, 0);
  EXPECT_EQ(List(), (std::vector<std::string>{"/Empty", "a/Empty", "b/Empty"}));
  records_.clear();
  EXPECT_EQ(Delete("a"), 0);
  EXPECT_EQ(records_.size(), 2u);
  EXPECT_EQ(Describe("a").group_state, "Dead");
  EXPECT_EQ(List(), (std::vector<std::string>{"/Empty", "b/Empty"}));
  EXPECT_EQ(Delete("a"), WireError(ErrorCode::kGroupIdNotFound));
}

TEST_F(GroupShardTest, AGroupThatWasKnownToBeAbsentIsFoundOnceTheViewHasIt) {
  EXPECT_EQ(Commit("g", "t"), 0);
  kafka::ConsumerGroupHeartbeatRequest heartbeat;
  heartbeat.group_id = "g";
  heartbeat.member_id = "m";
  heartbeat.rebalance_timeout_ms = 1000;
  heartbeat.subscribed_topic_names = {"t"};
  heartbeat.topic_partitions.emplace();
  EXPECT_EQ(Ask<kafka::ConsumerGroupHeartbeatResponse>(heartbeat, 1).error_code, 0);
  heartbeat.member_epoch = -1;
  EXPECT_EQ(Ask<kafka::ConsumerGroupHeartbeatResponse>(heartbeat, 1).error_code, 0);
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  const auto described =
      Ask<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(DescribeConsumerGroup{"g"}, 1);
  EXPECT_EQ(described.error_code, 0);
  EXPECT_EQ(described.group_state, "Empty");
}

TEST_F(GroupShardTest, TheListIsFilteredInAnyCase) {
  EXPECT_EQ(Commit("g", "t"), 0);
  const auto listed = [this](const ListGroups& filter) {
    return Ask<kafka::ListGroupsResponse>(filter).groups.size();
  };
  EXPECT_EQ(listed({.states = {"Stable", "eMPTY"}, .types = {"CLASSIC"}}), 1u);
  EXPECT_EQ(listed({.states = {"Stable"}, .types = {}}), 0u);
  EXPECT_EQ(listed({.states = {}, .types = {"class"}}), 0u);
}

TEST_F(GroupShardTest, WhatIsNotCommittedIsNotListed) {
  driver_.Hold();
  GroupCaller caller;
  caller.token = ++tokens_;
  driver_.Handle(caller, CommitOf("g", "t"));
  EXPECT_EQ(List(), (std::vector<std::string>{}));
  driver_.Commit();
  EXPECT_EQ(List(), (std::vector<std::string>{"g/Empty"}));
}

// Offsets of topics that are no more go, and with the last one the group.
TEST_F(GroupShardTest, TheSweepForgetsWhatNobodyNeeds) {
  JoinAndExpire("g");
  EXPECT_EQ(Commit("g", "t"), 0);
  EXPECT_EQ(Commit("h", "t"), 0);
  EXPECT_EQ(List(), (std::vector<std::string>{"g/Empty", "h/Empty"}));
  // Nothing is swept before all groups are loaded.
  driver_.Advance(driver_.config().offsets_check_interval_ms);
  EXPECT_EQ(List().size(), 2u);
  // Then at once: the topic may have been deleted before this coordinator was elected.
  driver_.LoadAll();
  driver_.Advance(2000);
  EXPECT_EQ(List(), (std::vector<std::string>{}));
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
  // And again after the interval.
  EXPECT_EQ(Commit("h", "t"), 0);
  driver_.Advance(driver_.config().offsets_check_interval_ms - 3000);
  EXPECT_EQ(List().size(), 1u);
  driver_.Advance(3000);
  EXPECT_EQ(List(), (std::vector<std::string>{}));
}

TEST_F(GroupShardTest, WhatASweepCouldNotRemoveGoesWithTheNext) {
  EXPECT_EQ(Commit("g", "t"), 0);
  driver_.LoadAll();
  driver_.RefuseNext(ErrorCode::kCoordinatorNotAvailable);
  driver_.Advance(1000);
  EXPECT_FALSE(driver_.refuses_next());
  EXPECT_EQ(List(), (std::vector<std::string>{"g/Empty"}));
  driver_.Advance(driver_.config().offsets_check_interval_ms);
  EXPECT_EQ(List(), (std::vector<std::string>{}));
}

TEST_F(GroupShardTest, TheSweepLeavesNoGroupInMemory) {
  TopicTable topics;
  topics.Set("t", 1);
  driver_.SetImage(topics.image());
  JoinAndExpire("g");
  EXPECT_EQ(Commit("g", "t"), 0);
  driver_.LoadAll();
  driver_.Advance(driver_.config().offsets_check_interval_ms + 1000);
  EXPECT_EQ(List(), (std::vector<std::string>{"g/Empty"}));
  EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
}

TEST_F(GroupShardTest, TheSweepIsDueWhenTopicsAreDeleted) {
  EXPECT_EQ(Commit("g", "t"), 0);
  driver_.TellOfDeletedTopics();
  driver_.Advance(1000);
  EXPECT_EQ(List().size(), 1u) << "nothing is swept before all groups are loaded";
  driver_.LoadAll();
  driver_.Advance(1000);
  EXPECT_EQ(List(), (std::vector<std::string>{}));
  EXPECT_EQ(Commit("g", "t"), 0);
  driver_.Advance(1000);
  EXPECT_EQ(List().size(), 1u);
  driver_.TellOfDeletedTopics();
  driver_.Advance(0);
  EXPECT_EQ(List(), (std::vector<std::string>{}));
}

TEST_F(GroupShardTest, ADeletionInTheMiddleOfASweepMakesAnother) {
  for (int i = 0; i < 1500; ++i) EXPECT_EQ(Commit("g" + std::to_string(i), "t"), 0);
  driver_.LoadAll();
  driver_.TellOfDeletedTopics();
  driver_.Advance(0);
  EXPECT_EQ(List().size(), 500u) << "a slice of a sweep";
  EXPECT_EQ(Commit("g0", "t"), 0);  // the sweep is past it
  driver_.TellOfDeletedTopics();
  driver_.Advance(1000);
  EXPECT_EQ(List(), (std::vector<std::string>{}));
}

TEST_F(GroupShardTest, AMemberOfTheConsumerProtocolFindsNoSuchGroup) {
  kafka::ConsumerGroupHeartbeatRequest heartbeat;
  heartbeat.group_id = "g";
  heartbeat.member_id = "m";
  heartbeat.member_epoch = 1;
  EXPECT_EQ(Ask<kafka::ConsumerGroupHeartbeatResponse>(heartbeat).error_code,
            WireError(ErrorCode::kGroupIdNotFound));
  EXPECT_EQ(Ask<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(DescribeConsumerGroup{"g"})
                .error_code,
            WireError(ErrorCode::kGroupIdNotFound));
}

TEST_F(GroupShardTest, TheEmptyIdIsOfNoGroupOfTheConsumerProtocol) {
  EXPECT_EQ(Ask<kafka::ConsumerGroupDescribeResponse::DescribedGroup>(DescribeConsumerGroup{""})
                .error_code,
            WireError(ErrorCode::kInvalidGroupId));
}

TEST_F(GroupShardTest, SyncGroupSaysItsProtocolSinceVersion5) {
  kafka::SyncGroupRequest sync;
  sync.group_id = "g";
  sync.member_id = "m";
  const auto error = [&](int16_t version) {
    return Ask<kafka::SyncGroupResponse>(sync, version).error_code;
  };
  EXPECT_EQ(error(4), WireError(ErrorCode::kUnknownMemberId));
  EXPECT_EQ(error(5), WireError(ErrorCode::kInconsistentGroupProtocol));
  sync.protocol_type = "consumer";
  EXPECT_EQ(error(5), WireError(ErrorCode::kInconsistentGroupProtocol));
  sync.protocol_name = "range";
  EXPECT_EQ(error(5), WireError(ErrorCode::kUnknownMemberId));
}

// Every request there is, by name; each but ListGroups names a group.
TEST_F(GroupShardTest, AGroupIdThatFitsIntoNoRecordIsRefused) {
  const std::string id(33000, 'g');
  kafka::JoinGroupRequest join = JoinOf(id);
  kafka::SyncGroupRequest sync;
  kafka::HeartbeatRequest heartbeat;
  kafka::LeaveGroupRequest leave;
  kafka::ConsumerGroupHeartbeatRequest consumer;
  FetchOffsets fetch;
  kafka::OffsetDeleteRequest removal;
  sync.group_id = heartbeat.group_id = leave.group_id = consumer.group_id = id;
  fetch.group.group_id = removal.group_id = id;
  consumer.member_id = "m";
  const GroupRequest requests[] = {join,
                                   sync,
                                   heartbeat,
                                   leave,
                                   consumer,
                                   CommitOf(id, "t"),
                                   fetch,
                                   removal,
                                   DescribeGroup{id},
                                   DescribeConsumerGroup{id},
                                   ExplainGroup{id},
                                   DeleteGroup{id}};
  static_assert(std::size(requests) + 1 == std::variant_size_v<GroupRequest>);
  for (const GroupRequest& request : requests) {
    driver_.Handle({.token = ++tokens_, .version = 9, .client_id = "c", .client_host = {}},
                   request);
    EXPECT_EQ(ErrorOf(answers_.at(tokens_)), WireError(ErrorCode::kInvalidGroupId))
        << request.index();
  }
  EXPECT_EQ(records_.size(), 0u);
}

TEST_F(GroupShardTest, AMemberWhoseStringsFitIntoNoRecordIsRefused) {
  const std::string text(33000, 'x');
  std::vector<kafka::JoinGroupRequest> joins(4, JoinOf("g"));
  joins[0].member_id = joins[1].protocol_type = joins[2].protocols[0].name = text;
  joins[3].group_instance_id = text;
  for (const auto& join : joins) {
    EXPECT_EQ(Ask<kafka::JoinGroupResponse>(join).error_code,
              WireError(ErrorCode::kInvalidRequest));
  }
  for (const bool is_id : {true, false}) {
    driver_.Handle({.token = ++tokens_,
                    .version = 3,
                    .client_id = is_id ? text : "c",
                    .client_host = is_id ? "" : text},
                   JoinOf("g"));
    EXPECT_EQ(std::get<kafka::JoinGroupResponse>(answers_.at(tokens_)).error_code,
              WireError(ErrorCode::kInvalidRequest));
  }
  EXPECT_EQ(records_.size(), 0u);
}

// The tombstone would come behind it in the log.
TEST_F(GroupShardTest, ACommitOnItsWayIsNotSweptAwayWithTheOneBeforeIt) {
  TopicTable topics;
  topics.Set("t", 1);
  MapGroupView view;
  GroupConfig config;
  GroupShard shard({&config, &view, Random(1)});
  GroupMoment moment{0, 0, topics.image()};
  // Gives what the log has then; `calls` is what happens before anything is appended.
  const auto append = [&](const auto&... calls) {
    GroupEffects effects;
    (calls(effects), ...);
    view.Append(effects.records);
    view.CommitAll();
    shard.OnAppended();
    return effects.records;
  };
  const auto commit = [&](GroupEffects& effects) {
    shard.Handle({.token = ++tokens_, .version = 9, .client_id = {}, .client_host = {}},
                 CommitOf("g", "t"), moment, effects);
  };
  const auto sweep = [&](GroupEffects& effects) {
    GroupEffects swept;  // of a call of its own
    shard.RunTimers(moment, swept);
    std::move(swept.records.begin(), swept.records.end(), std::back_inserter(effects.records));
  };
  append(
      [&](GroupEffects& effects) {
        EXPECT_EQ(shard.LoadNext(moment, effects), GroupShard::Loading::kDone);
      },
      commit);
  moment.steady_ms = moment.wall_ms = config.offsets_retention_ms;
  EXPECT_EQ(append(commit, sweep).size(), 1u);
  moment.steady_ms += 1000;
  EXPECT_EQ(append(sweep).size(), 0u);
  moment.wall_ms = 2 * config.offsets_retention_ms;
  size_t removed = 0;
  for (int i = 0; i < 10; ++i) {
    moment.steady_ms += config.offsets_check_interval_ms;
    removed += append(sweep).size();
  }
  EXPECT_EQ(removed, 1u) << "nobody has committed since";
}

TEST(GroupShardLoadTest, ManyGroupsAreLoadedInSlicesAndDamagedOnesStartAnew) {
  MapGroupView view;
  ClassicGroupFacts facts;
  facts.protocol_type = "t";
  facts.protocol = "range";
  facts.generation = 1;
  ClassicMembers members;
  ClassicMember member;
  member.id = "m";
  member.terms.session_ms = 10000;
  members.Add(member);
  const ClassicMembers nobody;
  std::vector<GroupRecord> records;
  for (int i = 0; i < 200; ++i) {
    const ClassicMembers& those = i % 4 == 0 ? nobody : members;
    records.push_back(ClassicGroupRecord("g" + std::to_string(i), facts, those));
  }
  records.push_back({ClassicGroupKey("broken"), "no record"});
  view.Append(records);
  GroupConfig config;
  GroupShard shard({&config, &view, Random(1)});
  const GroupMoment moment{0, 0, metadata::EmptyImage()};
  GroupEffects effects;
  int slices = 1;
  while (shard.LoadNext(moment, effects) == GroupShard::Loading::kMore) ++slices;
  EXPECT_EQ(slices, 4);
  EXPECT_EQ(shard.loaded_groups(), 150u);
  EXPECT_EQ(shard.timers(), 150u);
  kafka::HeartbeatRequest heartbeat;
  heartbeat.group_id = "broken";
  heartbeat.member_id = "m";
  shard.Handle({.token = 1, .version = 4, .client_id = {}, .client_host = {}}, heartbeat, moment,
               effects);
  EXPECT_EQ(std::get<kafka::HeartbeatResponse>(effects.answers.at(0).response).error_code,
            WireError(ErrorCode::kUnknownMemberId));
  shard.Unload(ErrorCode::kNotCoordinator, moment, effects);
  EXPECT_EQ(shard.loaded_groups(), 0u);
  EXPECT_EQ(shard.timers(), 0u);
}

}  // namespace
}  // namespace sluice::broker::testing
