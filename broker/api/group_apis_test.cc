// The handlers of the group APIs: what they resolve, split and put together themselves. What groups
// decide is tested with the groups.
#include <gtest/gtest.h>

#include "broker/group/offsets_view.h"
#include "broker/testing/api_test_bed.h"
#include "kafka/messages/find_coordinator.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using testing::ApiTestBed;
using FetchedGroup = kafka::OffsetFetchResponse::OffsetFetchResponseGroup;

class GroupApisTest : public ::testing::Test {
 protected:
  ApiTestBed bed_;
  testing::ScriptedGroups& groups_ = bed_.groups;
};

// --- FindCoordinator ---

kafka::FindCoordinatorRequest Find(const std::string& key, int16_t version, int8_t type = 0) {
  kafka::FindCoordinatorRequest request;
  request.key_type = type;
  if (version < 4)
    request.key = key;
  else
    request.coordinator_keys = {key};
  return request;
}

// The one answer, whatever the version's shape.
struct Coordinator {
  int16_t error = 0;
  int32_t node = -1;
  std::string host;
};
Coordinator FindAt(ApiTestBed& bed, const std::string& key, int16_t version, int8_t type = 0) {
  const auto response = bed.Call<kafka::FindCoordinatorResponse>(Find(key, version, type), version);
  if (version < 4) return {response.error_code, response.node_id, response.host};
  const auto& only = response.coordinators.at(0);
  EXPECT_EQ(only.key, key);
  return {only.error_code, only.node_id, only.host};
}

TEST_F(GroupApisTest, TheCoordinatorLeadsTheGroupsPartition) {
  bed_.AddTopic(kOffsetsTopic, 50, 2);
  for (int16_t version = 0; version <= 6; ++version) {
    const Coordinator found = FindAt(bed_, "a group", version);
    EXPECT_EQ(found.error, 0) << version;
    EXPECT_EQ(found.node, 2) << version;
    EXPECT_EQ(found.host, "broker2") << version;
  }
  EXPECT_TRUE(bed_.controller.create_topics.empty());
}

TEST_F(GroupApisTest, TheOffsetsTopicIsMadeWhenFirstAskedFor) {
  EXPECT_EQ(FindAt(bed_, "g", 4).error, 15);
  EXPECT_EQ(FindAt(bed_, "h", 3).error, 15);
  ASSERT_EQ(bed_.controller.create_topics.size(), 1u);
  const controller::CreatableTopic& topic = bed_.controller.create_topics[0].request.topics(0);
  EXPECT_EQ(topic.name(), "__consumer_offsets");
  EXPECT_EQ(topic.partition_count(), 50);
  EXPECT_EQ(topic.replication_factor(), 3);
  EXPECT_EQ(topic.configs().at("cleanup.policy"), "compact");
  EXPECT_EQ(topic.configs().at("compression.type"), "producer");
  EXPECT_EQ(topic.configs().at("segment.bytes"), "104857600");
}

TEST_F(GroupApisTest, FewerBrokersThanReplicasAreEnoughForTheOffsetsTopic) {
  bed_.Edit([](metadata::Image& image) {
    image.brokers.erase(NodeId(2));
    auto fenced = std::make_shared<metadata::BrokerImage>(*image.brokers[NodeId(3)]);
    fenced->fenced = true;
    image.brokers[NodeId(3)] = fenced;
  });
  EXPECT_EQ(FindAt(bed_, "g", 4).error, 15);
  ASSERT_EQ(bed_.controller.create_topics.size(), 1u);
  EXPECT_EQ(bed_.controller.create_topics[0].request.topics(0).replication_factor(), 1);
}

TEST_F(GroupApisTest, ACoordinatorWithoutLeaderOrOfAnotherKindIsNotAvailable) {
  bed_.AddTopic(kOffsetsTopic, 1, -1);
  EXPECT_EQ(FindAt(bed_, "g", 4).error, 15);
  EXPECT_EQ(FindAt(bed_, "transaction", 4, 1).error, 15);
  EXPECT_EQ(FindAt(bed_, "share", 6, 2).error, 15);
  EXPECT_EQ(FindAt(bed_, "share", 5, 2).error, 42);
  EXPECT_EQ(FindAt(bed_, "?", 6, 3).error, 42);
}

// --- Offsets ---

kafka::OffsetCommitRequest CommitOf(const std::string& topic, TopicId id = {}) {
  kafka::OffsetCommitRequest request;
  request.group_id = "g";
  auto& out = request.topics.emplace_back();
  out.name = topic;
  out.topic_id = id;
  out.partitions.emplace_back().committed_offset = 3;
  return request;
}

TEST_F(GroupApisTest, ACommitForATopicThatIsNotThereIsRefusedHere) {
  bed_.AddTopic("here", 1);
  auto request = CommitOf("gone");
  auto response = bed_.Call<kafka::OffsetCommitResponse>(request, 9);
  EXPECT_EQ(response.topics[0].partitions[0].error_code, 3);
  EXPECT_TRUE(groups_.requests.empty());
  request.topics.push_back(CommitOf("here").topics[0]);
  response = bed_.Call<kafka::OffsetCommitResponse>(request, 9);
  ASSERT_EQ(groups_.requests.size(), 1u);
  EXPECT_EQ(std::get<kafka::OffsetCommitRequest>(groups_.requests[0]).topics.size(), 1u);
  ASSERT_EQ(response.topics.size(), 2u);
  EXPECT_EQ(response.topics[0].name, "here");
  EXPECT_EQ(response.topics[0].partitions[0].error_code, 0);
  EXPECT_EQ(response.topics[1].partitions[0].error_code, 3);
}

TEST_F(GroupApisTest, ACommitByIdsReachesTheGroupByNames) {
  const TopicId id = bed_.AddTopic("here", 1);
  auto request = CommitOf("", id);
  const TopicId unknown = Uuid::FromBytes("0123456789abcdef");
  request.topics.push_back(CommitOf("", unknown).topics[0]);
  const auto response = bed_.Call<kafka::OffsetCommitResponse>(request, 10);
  EXPECT_EQ(std::get<kafka::OffsetCommitRequest>(groups_.requests.at(0)).topics.at(0).name, "here");
  ASSERT_EQ(response.topics.size(), 2u);
  EXPECT_EQ(response.topics[0].topic_id, id);
  EXPECT_EQ(response.topics[0].partitions[0].error_code, 0);
  EXPECT_EQ(response.topics[1].topic_id, unknown);
  EXPECT_EQ(response.topics[1].partitions[0].error_code, 100);
}

TEST_F(GroupApisTest, EachVersionOfACommitIsAnswered) {
  const TopicId id = bed_.AddTopic("here", 1);
  for (int16_t version = 2; version <= 10; ++version) {
    const auto response = bed_.Call<kafka::OffsetCommitResponse>(CommitOf("here", id), version);
    EXPECT_EQ(response.topics.at(0).partitions.at(0).error_code, 0) << version;
    EXPECT_EQ(groups_.callers.back().version, version);
    EXPECT_EQ(groups_.callers.back().client_host, "/127.0.0.1");
  }
}

GroupResponse PositionsOf(const GroupRequest& request) {
  FetchedGroup group;
  group.group_id = GroupIdOf(request);
  auto& topic = group.topics.emplace_back();
  topic.name = "here";
  const auto& asked = std::get<FetchOffsets>(request).group.topics;
  topic.topic_id = asked.has_value() ? asked->at(0).topic_id : Uuid::FromBytes("0123456789ABCDEF");
  auto& position = topic.partitions.emplace_back();
  position.committed_offset = 17;
  position.metadata = "m";
  return group;
}

TEST_F(GroupApisTest, APositionIsReadInEachVersion) {
  bed_.AddTopic("here", 1);
  groups_.answer = PositionsOf;
  for (int16_t version = 1; version <= 10; ++version) {
    kafka::OffsetFetchRequest request;
    if (version < 8) {
      request.group_id = "g";
      auto& topic = request.topics->emplace_back();
      topic.name = "here";
      topic.partition_indexes = {0};
      const auto response = bed_.Call<kafka::OffsetFetchResponse>(request, version);
      EXPECT_EQ(response.topics.at(0).partitions.at(0).committed_offset, 17) << version;
      continue;
    }
    request.groups.emplace_back().group_id = "g";
    request.groups.emplace_back().group_id = "h";
    for (auto& group : request.groups) group.topics = std::nullopt;
    const auto response = bed_.Call<kafka::OffsetFetchResponse>(request, version);
    ASSERT_EQ(response.groups.size(), 2u) << version;
    EXPECT_EQ(response.groups[1].group_id, "h");
    EXPECT_EQ(response.groups[1].topics.at(0).partitions.at(0).committed_offset, 17);
    EXPECT_EQ(response.groups[1].topics[0].topic_id.IsZero(), version < 10);
  }
}

TEST_F(GroupApisTest, AnErrorOfAllPositionsStandsWhereTheVersionHasAPlaceForIt) {
  groups_.answer = [](const GroupRequest& request) {
    return ErrorResponse(request, ErrorCode::kNotCoordinator);
  };
  kafka::OffsetFetchRequest request;
  request.group_id = "g";
  auto& topic = request.topics->emplace_back();
  topic.name = "here";
  topic.partition_indexes = {0, 1};
  const auto first = bed_.Call<kafka::OffsetFetchResponse>(request, 1);
  ASSERT_EQ(first.topics.at(0).partitions.size(), 2u);
  EXPECT_EQ(first.topics[0].partitions[1].error_code, 16);
  EXPECT_EQ(first.topics[0].partitions[1].committed_offset, -1);
  EXPECT_EQ(bed_.Call<kafka::OffsetFetchResponse>(request, 7).error_code, 16);
  kafka::OffsetFetchRequest several;
  several.groups.emplace_back().group_id = "g";
  EXPECT_EQ(bed_.Call<kafka::OffsetFetchResponse>(several, 8).groups.at(0).error_code, 16);
}

TEST_F(GroupApisTest, APositionByAnUnknownIdIsRefusedHere) {
  const TopicId id = bed_.AddTopic("here", 1);
  groups_.answer = PositionsOf;
  kafka::OffsetFetchRequest request;
  auto& group = request.groups.emplace_back();
  group.group_id = "g";
  group.topics.emplace();
  for (const TopicId& asked : {Uuid::FromBytes("0123456789abcdef"), id}) {
    auto& topic = group.topics->emplace_back();
    topic.topic_id = asked;
    topic.partition_indexes = {0};
  }
  const auto response = bed_.Call<kafka::OffsetFetchResponse>(request, 10);
  ASSERT_EQ(response.groups.at(0).topics.size(), 2u);
  EXPECT_EQ(response.groups[0].topics[0].topic_id, id);
  EXPECT_EQ(response.groups[0].topics[0].partitions.at(0).committed_offset, 17);
  EXPECT_EQ(response.groups[0].topics[1].partitions.at(0).error_code, 100);
}

// The coordinator has told the id; what this broker knows by the name may be the next topic.
TEST_F(GroupApisTest, APositionGoesWithTheIdThatTheGroupTells) {
  bed_.AddTopic("here", 1);
  const TopicId told = Uuid::FromBytes("fedcba9876543210");
  groups_.answer = [told](const GroupRequest& request) {
    auto group = std::get<FetchedGroup>(PositionsOf(request));
    group.topics[0].topic_id = told;
    group.topics.push_back(group.topics[0]);
    group.topics[1].topic_id = Uuid();
    return group;
  };
  kafka::OffsetFetchRequest request;
  request.groups.emplace_back().group_id = "g";
  request.groups[0].topics = std::nullopt;
  const auto response = bed_.Call<kafka::OffsetFetchResponse>(request, 10);
  ASSERT_EQ(response.groups.at(0).topics.size(), 1u);
  EXPECT_EQ(response.groups[0].topics[0].topic_id, told);
}

TEST_F(GroupApisTest, PositionsOfATopicThatIsNotThereAreNotDeleted) {
  bed_.AddTopic("here", 1);
  kafka::OffsetDeleteRequest request;
  request.group_id = "g";
  for (const char* name : {"gone", "here"}) {
    auto& topic = request.topics.emplace_back();
    topic.name = name;
    topic.partitions.emplace_back();
  }
  const auto response = bed_.Call<kafka::OffsetDeleteResponse>(request, 0);
  EXPECT_EQ(std::get<kafka::OffsetDeleteRequest>(groups_.requests.at(0)).topics.size(), 1u);
  EXPECT_EQ(response.topics.at(0).name, "gone");
  EXPECT_EQ(response.topics[0].partitions.at(0).error_code, 3);
}

// --- Members and admin ---

TEST_F(GroupApisTest, MembersAreAnsweredInEachVersion) {
  for (int16_t version = 0; version <= 9; ++version) {
    kafka::JoinGroupRequest join;
    join.group_id = "g";
    EXPECT_EQ(bed_.Call<kafka::JoinGroupResponse>(join, version).error_code, 0) << version;
  }
  for (int16_t version = 0; version <= 5; ++version) {
    EXPECT_EQ(bed_.Call<kafka::SyncGroupResponse>(kafka::SyncGroupRequest(), version).error_code,
              0);
    EXPECT_EQ(bed_.Call<kafka::LeaveGroupResponse>(kafka::LeaveGroupRequest(), version).error_code,
              0);
  }
  for (int16_t version = 0; version <= 4; ++version)
    EXPECT_EQ(bed_.Call<kafka::HeartbeatResponse>(kafka::HeartbeatRequest(), version).error_code,
              0);
  EXPECT_EQ(groups_.requests.size(), 27u);
  EXPECT_EQ(groups_.callers[0].client_id, "tester");
}

TEST_F(GroupApisTest, GroupsAreDescribedInTheOrderAskedFor) {
  for (int16_t version = 0; version <= 6; ++version) {
    kafka::DescribeGroupsRequest request;
    request.groups = {"b", "a"};
    request.include_authorized_operations = version >= 3;
    const auto response = bed_.Call<kafka::DescribeGroupsResponse>(request, version);
    ASSERT_EQ(response.groups.size(), 2u);
    EXPECT_EQ(response.groups[0].group_id, "b");
    EXPECT_EQ(response.groups[1].group_id, "a");
    EXPECT_EQ(response.groups[0].authorized_operations, version < 3 ? INT32_MIN : 0b110101001000);
  }
  EXPECT_TRUE(
      bed_.Call<kafka::DescribeGroupsResponse>(kafka::DescribeGroupsRequest(), 5).groups.empty());
}

TEST_F(GroupApisTest, GroupsOfTheConsumerProtocolAreDescribedInTheOrderAskedFor) {
  for (int16_t version = 0; version <= 1; ++version) {
    kafka::ConsumerGroupDescribeRequest request;
    request.group_ids = {"b", "a"};
    request.include_authorized_operations = version == 1;
    const auto response = bed_.Call<kafka::ConsumerGroupDescribeResponse>(request, version);
    ASSERT_EQ(response.groups.size(), 2u);
    EXPECT_EQ(response.groups[0].group_id, "b");
    EXPECT_EQ(response.groups[1].group_id, "a");
    EXPECT_EQ(response.groups[0].authorized_operations, version < 1 ? INT32_MIN : 0b110101001000);
  }
}

TEST_F(GroupApisTest, AHeartbeatOfTheConsumerProtocolGoesToTheGroup) {
  groups_.answer = [](const GroupRequest& request) -> GroupResponse {
    kafka::ConsumerGroupHeartbeatResponse response;
    response.member_id = std::get<kafka::ConsumerGroupHeartbeatRequest>(request).member_id;
    response.member_epoch = 7;
    return response;
  };
  for (int16_t version = 0; version <= 1; ++version) {
    kafka::ConsumerGroupHeartbeatRequest request;
    request.group_id = "g";
    request.member_id = "m";
    const auto response = bed_.Call<kafka::ConsumerGroupHeartbeatResponse>(request, version);
    EXPECT_EQ(response.member_id, "m");
    EXPECT_EQ(response.member_epoch, 7);
    EXPECT_EQ(groups_.callers.back().version, version);
  }
}

TEST_F(GroupApisTest, AGroupNamedTwiceIsDeletedOnce) {
  kafka::DeleteGroupsRequest request;
  request.groups_names = {"b", "a", "b"};
  for (int16_t version = 0; version <= 2; ++version)
    EXPECT_EQ(bed_.Call<kafka::DeleteGroupsResponse>(request, version).results.size(), 2u);
}

TEST_F(GroupApisTest, TheListIsFilteredByTheGroups) {
  for (int16_t version = 0; version <= 5; ++version) {
    kafka::ListGroupsRequest request;
    if (version >= 4) request.states_filter = {"PreparingRebalance"};
    if (version >= 5) request.types_filter = {"Classic"};
    EXPECT_EQ(bed_.Call<kafka::ListGroupsResponse>(request, version).error_code, 0);
  }
  const auto& last = std::get<ListGroups>(groups_.requests.back());
  EXPECT_EQ(last.states, (std::vector<std::string>{"PreparingRebalance"}));
  EXPECT_EQ(last.types, (std::vector<std::string>{"Classic"}));
}

}  // namespace
}  // namespace sluice::broker
