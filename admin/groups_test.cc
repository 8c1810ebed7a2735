// Groups and offsets through the admin service's handlers, with brokers that answer what each test
// wants: who is asked, what becomes of answers that do not come, and what is computed of them.
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "admin/group_explain.h"
#include "admin/group_lag.h"
#include "admin/group_reset.h"
#include "admin/group_routes.h"
#include "admin/testing/handlers_fixture.h"

namespace sluice::admin {
namespace {

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

GroupMember Member(const std::string& id, std::vector<int32_t> partitions) {
  GroupMember member;
  member.set_member_id(id);
  member.set_client_id("app-" + id);
  member.set_client_host("/10.0.0.7");
  member.set_session_timeout_ms(6000);
  member.set_heard_ms_ago(500);
  if (partitions.empty()) return member;
  TopicPartitions& topic = *member.add_assignment();
  topic.set_topic("orders");
  for (const int32_t partition : partitions) topic.add_partitions(partition);
  return member;
}

Group StableGroup(std::vector<GroupMember> members) {
  Group group;
  group.set_name("g");
  group.set_type("classic");
  group.set_protocol_type("consumer");
  group.set_state(members.empty() ? "Empty" : "Stable");
  group.set_state_since_ms(-1);
  for (GroupMember& member : members) *group.add_members() = std::move(member);
  return group;
}

GroupOffset Committed(int32_t partition, int64_t offset) {
  GroupOffset committed;
  committed.set_topic("orders");
  committed.set_partition(partition);
  committed.set_offset(offset);
  committed.set_leader_epoch(4);
  committed.set_metadata("m");
  return committed;
}

PartitionOffsets Ends(int32_t partition, int64_t start, int64_t end) {
  PartitionOffsets ends;
  ends.set_topic("orders");
  ends.set_partition(partition);
  ends.set_log_start(start);
  ends.set_log_end(end);
  return ends;
}

class GroupsTest : public testing::HandlersFixture {
 protected:
  GroupsTest() {
    timeout_ms_ = 9000;  // longer than what is sampled
    backend_.describe_group =
        [this](NodeId node, const DescribeGroupRequest& request) -> Result<DescribeGroupResponse> {
      asked_.insert(node);
      EXPECT_TRUE(request.at_coordinator());
      if (missing_.count(request.name()) != 0)
        return Status::NotFound("group '" + request.name() + "' does not exist");
      DescribeGroupResponse response;
      *response.mutable_group() = group_;
      return response;
    };
    backend_.get_group_offsets = [this](NodeId, const GetGroupOffsetsRequest& request) {
      GetGroupOffsetsResponse response;
      for (const GroupOffset& offset : committed_[request.name()]) *response.add_offsets() = offset;
      // The next look finds that it has gone on.
      for (GroupOffset& offset : committed_[request.name()])
        offset.set_offset(offset.offset() + commits_between_looks_);
      return response;
    };
    backend_.list_offsets = [this](NodeId node, const ListOffsetsRequest& request) {
      EXPECT_TRUE(request.at_leader());
      return Answer(node, request);
    };
    backend_.reset_group_offsets = [this](NodeId, const ResetGroupOffsetsRequest& request) {
      EXPECT_TRUE(request.at_coordinator());
      written_ = request;
      ResetGroupOffsetsResponse response;
      for (const GroupOffset& offset : request.offsets().offsets()) {
        OffsetChange& change = *response.add_changes();
        change.set_topic(offset.topic());
        change.set_partition(offset.partition());
      }
      return response;
    };
  }

  Result<ListOffsetsResponse> Answer(NodeId node, const ListOffsetsRequest& request) {
    leaders_.insert(node);
    if (silent_.count(node) != 0) return Status::Timeout("Deadline Exceeded");
    ListOffsetsResponse response;
    for (const OffsetQuery& query : request.queries()) {
      PartitionOffsets& out = *response.add_partitions();
      out = ends_.at(query.partition());
      if (query.has_offset() && query.offset() < out.log_end())
        out.set_record_time_ms(backend_.clock().WallMs() - oldest_ms_);
      if (query.has_time_ms() && query.time_ms() < 1000) out.set_time_offset(20);
      ends_.at(query.partition()).set_log_end(out.log_end() + arrive_between_looks_);
    }
    return response;
  }

  Result<GroupLagResponse> Lag(int32_t sample_ms) {
    GroupLagRequest request;
    request.set_name("g");
    request.set_sample_ms(sample_ms);
    return Call(&Handlers::GroupLag, request);
  }

  ResetGroupOffsetsRequest ResetOf(bool execute) {
    ResetGroupOffsetsRequest request;
    request.set_name("g");
    request.set_execute(execute);
    return request;
  }

  Group group_ = StableGroup({Member("a", {0}), Member("b", {1})});
  std::map<std::string, std::vector<GroupOffset>> committed_ = {
      {"g", {Committed(0, 10), Committed(1, 90)}}};
  std::map<int32_t, PartitionOffsets> ends_ = {{0, Ends(0, 5, 100)}, {1, Ends(1, 0, 90)}};
  int64_t commits_between_looks_ = 0, arrive_between_looks_ = 0, oldest_ms_ = 1500;
  std::set<NodeId> asked_, leaders_, silent_;
  std::set<std::string> missing_;
  ResetGroupOffsetsRequest written_;
};

// --- Who is asked ---

TEST_F(GroupsTest, TheCoordinatorIsAskedAgainWhileItMoves) {
  int attempts = 0;
  backend_.group_coordinator = [&](const std::string&) -> Result<NodeId> {
    if (++attempts == 1) return Status::Unavailable("no leader");
    return NodeId(attempts == 2 ? 2 : 3);
  };
  backend_.describe_group = [](NodeId node,
                               const DescribeGroupRequest&) -> Result<DescribeGroupResponse> {
    if (node == NodeId(2)) return Status::Unavailable("node 2: connection refused");
    DescribeGroupResponse response;
    response.mutable_group()->set_name("g");
    return response;
  };
  DescribeGroupRequest request;
  request.set_name("g");
  EXPECT_EQ(Call(&Handlers::DescribeGroup, request)->group().name(), "g");
  EXPECT_EQ(attempts, 3);
  backend_.group_coordinator = [](const std::string&) { return Status::Unavailable("no leader"); };
  EXPECT_EQ(Call(&Handlers::DescribeGroup, request).status(), Status::Unavailable("no leader"));
}

TEST_F(GroupsTest, AGroupThatIsNotThereIsNotAskedForAgain) {
  int attempts = 0;
  backend_.describe_group = [&](NodeId,
                                const DescribeGroupRequest&) -> Result<DescribeGroupResponse> {
    ++attempts;
    return Status::NotFound("group 'g' does not exist");
  };
  DescribeGroupRequest request;
  EXPECT_EQ(Call(&Handlers::DescribeGroup, request).status().code(), StatusCode::kInvalidArgument);
  request.set_name("g");
  EXPECT_EQ(Call(&Handlers::DescribeGroup, request).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(attempts, 1);
}

// What two attempts to delete a group are answered with, and what the caller hears.
struct DeletionCase {
  const char* name;
  Status described, first, second;
  StatusCode heard;
  int attempts;
};

const DeletionCase kDeletionCases[] = {
    {"at once", Status::Ok(), Status::Ok(), Status::Ok(), StatusCode::kOk, 1},
    {"the coordinator moves", Status::Ok(), Status::Unavailable("moves"), Status::Ok(),
     StatusCode::kOk, 2},
    {"the first attempt did it", Status::Ok(), Status::Unavailable("moves"),
     Status::NotFound("gone"), StatusCode::kOk, 2},
    {"a member came", Status::Ok(), Status::Unavailable("moves"), Status::Fenced("members"),
     StatusCode::kFenced, 2},
    {"it was never there", Status::NotFound("none"), Status::Ok(), Status::Ok(),
     StatusCode::kNotFound, 0},
    {"the coordinator stays away", Status::Ok(), Status::Unavailable("away"),
     Status::Timeout("silent"), StatusCode::kTimeout, 2},
};

TEST_F(GroupsTest, AGroupIsDeletedAlsoWhileItsCoordinatorMoves) {
  for (const DeletionCase& expected : kDeletionCases) {
    int attempts = 0;
    backend_.describe_group = [&](NodeId,
                                  const DescribeGroupRequest&) -> Result<DescribeGroupResponse> {
      if (!expected.described.ok()) return expected.described;
      return DescribeGroupResponse();
    };
    backend_.delete_group = [&](NodeId,
                                const DeleteGroupRequest& request) -> Result<DeleteGroupResponse> {
      EXPECT_TRUE(request.at_coordinator());
      EXPECT_EQ(request.name(), "g");
      const Status& outcome = ++attempts == 1 ? expected.first : expected.second;
      if (!outcome.ok()) return outcome;
      return DeleteGroupResponse();
    };
    DeleteGroupRequest request;
    request.set_name("g");
    EXPECT_EQ(Call(&Handlers::DeleteGroup, request).status().code(), expected.heard)
        << expected.name;
    EXPECT_EQ(attempts, expected.attempts) << expected.name;
  }
}

TEST_F(GroupsTest, GroupsOfAllBrokersAreOneListByNameInPages) {
  backend_.list_groups = [](NodeId node, const ListGroupsRequest& request) {
    EXPECT_TRUE(request.at_node());
    ListGroupsResponse response;
    for (const char* name : {"z", "b"})
      response.add_groups()->set_name(name + std::to_string(node.value()));
    return response;
  };
  ListGroupsRequest request;
  request.set_page_size(4);
  auto page = Call(&Handlers::ListGroups, request);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  ASSERT_EQ(page->groups_size(), 4);
  EXPECT_EQ(page->groups(0).name(), "b1");
  EXPECT_EQ(page->groups(3).name(), "z1");
  request.set_page_token(page->next_page_token());
  page = Call(&Handlers::ListGroups, request);
  ASSERT_EQ(page->groups_size(), 2);
  EXPECT_EQ(page->groups(0).name(), "z2");
  EXPECT_EQ(page->next_page_token(), "");
  request.set_page_token("");
  request.set_pattern("?2");
  EXPECT_EQ(Call(&Handlers::ListGroups, request)->groups_size(), 2);
  request.set_page_size(-1);
  EXPECT_EQ(Call(&Handlers::ListGroups, request).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(GroupsTest, AFilterThatCanMatchNothingIsRefused) {
  ListGroupsRequest request;
  request.add_states("STABLE");
  EXPECT_TRUE(Call(&Handlers::ListGroups, request).ok());
  request.add_states("bogus");
  const Status refused = Call(&Handlers::ListGroups, request).status();
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(Has(refused.message(), "'bogus' is none; there are Empty, PreparingRebalance"));
  request.clear_states();
  request.add_types("Consumers");
  EXPECT_TRUE(Has(Call(&Handlers::ListGroups, request).status().message(), "classic, consumer"));
}

TEST_F(GroupsTest, AListWithoutANodesGroupsSaysSo) {
  backend_.list_groups = [](NodeId node, const ListGroupsRequest&) -> Result<ListGroupsResponse> {
    if (node == NodeId(3)) return Status::Timeout("Deadline Exceeded");
    return ListGroupsResponse();
  };
  auto listed = Call(&Handlers::ListGroups, ListGroupsRequest());
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->incomplete_size(), 1);
  EXPECT_TRUE(Has(listed->incomplete(0), "node 3 did not tell its groups"));
  backend_.list_groups = [](NodeId, const ListGroupsRequest&) -> Result<ListGroupsResponse> {
    return Status::Timeout("Deadline Exceeded");
  };
  EXPECT_FALSE(Call(&Handlers::ListGroups, ListGroupsRequest()).ok());
}

TEST_F(GroupsTest, OffsetsComeFromEachPartitionsLeader) {
  ListOffsetsRequest request;
  for (const int32_t partition : {1, 0, 7}) {
    request.add_queries()->set_topic("orders");
    request.mutable_queries()->rbegin()->set_partition(partition);
  }
  request.add_queries()->set_topic("nothing");
  silent_ = {NodeId(2)};
  const auto found = Call(&Handlers::ListOffsets, request);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(leaders_, (std::set<NodeId>{NodeId(1), NodeId(2)}));
  ASSERT_EQ(found->partitions_size(), 4);
  EXPECT_TRUE(Has(found->partitions(0).error(), "its leader, node 2, did not say"));
  EXPECT_EQ(found->partitions(1).log_end(), 100);
  EXPECT_TRUE(Has(found->partitions(2).error(), "has no partition 7: it has 2"));
  EXPECT_TRUE(Has(found->partitions(3).error(), "'nothing' does not exist"));
}

TEST(MatchesPatternTest, StarsAndQuestionMarks) {
  EXPECT_TRUE(MatchesPattern("billing-1", "billing-?"));
  EXPECT_TRUE(MatchesPattern("billing-1", "*ing*"));
  EXPECT_TRUE(MatchesPattern("aab", "*ab"));
  EXPECT_TRUE(MatchesPattern("", "*"));
  EXPECT_FALSE(MatchesPattern("billing", "bill"));
  EXPECT_FALSE(MatchesPattern("billing", "billing?"));
}

// --- Lag ---

TEST_F(GroupsTest, LagInRecordsAndSeconds) {
  const auto lag = Lag(0);
  ASSERT_TRUE(lag.ok()) << lag.status().ToString();
  ASSERT_EQ(lag->partitions_size(), 2);
  EXPECT_EQ(lag->partitions(0).lag(), 90);
  EXPECT_DOUBLE_EQ(lag->partitions(0).lag_seconds(), 1.5);
  EXPECT_EQ(lag->partitions(0).client_id(), "app-a");
  EXPECT_EQ(lag->partitions(1).lag(), 0);
  EXPECT_EQ(lag->partitions(1).lag_seconds(), 0) << "nothing is waiting";
  EXPECT_EQ(lag->lag(), 90);
  EXPECT_DOUBLE_EQ(lag->lag_seconds(), 1.5);
  EXPECT_FALSE(lag->partitions(0).has_committed_per_second());
  EXPECT_TRUE(Has(lag->measured(), "no rates"));
}

TEST_F(GroupsTest, RatesAndEtaComeFromTwoLooks) {
  commits_between_looks_ = 30;
  arrive_between_looks_ = 10;
  const auto lag = Lag(2000);
  ASSERT_TRUE(lag.ok()) << lag.status().ToString();
  const PartitionLag& partition = lag->partitions(0);
  EXPECT_EQ(partition.committed(), 40);
  EXPECT_EQ(partition.lag(), 70);
  EXPECT_DOUBLE_EQ(partition.committed_per_second(), 15);
  EXPECT_DOUBLE_EQ(partition.arriving_per_second(), 5);
  EXPECT_DOUBLE_EQ(partition.eta_seconds(), 7);
  EXPECT_TRUE(Has(lag->measured(), "2.0 s apart"));
  commits_between_looks_ = 0;
  EXPECT_FALSE(Lag(2000)->partitions(0).has_eta_seconds()) << "it grows";
  EXPECT_EQ(Lag(8500).status().code(), StatusCode::kInvalidArgument) << "longer than the call";
}

TEST_F(GroupsTest, LagThatIsNotKnownIsNotNone) {
  silent_ = {NodeId(2)};
  group_ = StableGroup({Member("a", {0, 1, 2})});
  const auto lag = Lag(0);
  ASSERT_TRUE(lag.ok());
  ASSERT_EQ(lag->partitions_size(), 3);
  EXPECT_FALSE(lag->partitions(1).has_lag());
  EXPECT_EQ(lag->partitions(1).log_end(), -1);
  EXPECT_TRUE(Has(lag->partitions(1).note(), "node 2, did not say"));
  EXPECT_FALSE(lag->partitions(2).has_committed()) << "assigned, nothing committed";
  EXPECT_EQ(lag->incomplete_size(), 2);
}

TEST_F(GroupsTest, DeletedRecordsAreNoLag) {
  committed_["g"] = {Committed(0, 2), Committed(1, 95)};
  const auto lag = Lag(0);
  EXPECT_EQ(lag->partitions(0).lag(), 95);
  EXPECT_TRUE(Has(lag->partitions(0).note(), "3 offsets above the committed one are deleted"));
  EXPECT_EQ(lag->partitions(1).lag(), 0);
  EXPECT_TRUE(Has(lag->partitions(1).note(), "above the log's end"));
}

// --- Words ---

std::string AllWords(const ExplainGroupResponse& response) {
  std::string words = response.summary() + "\n";
  for (const Finding& finding : response.findings())
    words += finding.what() + "\n  " + finding.why() + "\n  " + finding.next_step() + "\n";
  return words;
}

TEST_F(GroupsTest, ExplainsWhoseLagGrows) {
  arrive_between_looks_ = 680;
  commits_between_looks_ = 420;
  ends_.at(0).set_log_end(1000);
  oldest_ms_ = 4000;
  ExplainGroupRequest request;
  request.set_name("g");
  request.set_sample_ms(2000);
  const auto explained = Call(&Handlers::ExplainGroup, request);
  ASSERT_TRUE(explained.ok()) << explained.status().ToString();
  const std::string words = AllWords(*explained);
  EXPECT_TRUE(Has(words,
                  "lag grows: member 'app-a' at /10.0.0.7 (a) has 1 of 2 partitions; it "
                  "commits 210/s while 340/s arrive"))
      << words;
  EXPECT_TRUE(Has(explained->summary(), "stable with 2 members; 1510 records behind")) << words;
}

TEST_F(GroupsTest, ExplainsWhoIsWaitedFor) {
  group_.set_state("PreparingRebalance");
  group_.set_state_since_ms(backend_.clock().WallMs() - 2000);
  group_.mutable_members(1)->set_awaited("join");
  group_.mutable_members(1)->set_heard_ms_ago(4000);
  group_.mutable_last_rebalance()->set_time_ms(backend_.clock().WallMs() - 2000);
  group_.mutable_last_rebalance()->set_reason("a member joined");
  group_.mutable_last_rebalance()->set_member_id("gone");
  const std::string words =
      AllWords(ExplainInWords({group_, GroupLagResponse(), {}}, backend_.clock().WallMs()));
  EXPECT_TRUE(Has(words, "rebalancing for 2.0 s with 2 members; no lag")) << words;
  EXPECT_TRUE(Has(words, "waits for member 'app-b' at /10.0.0.7 (b) to join again")) << words;
  EXPECT_TRUE(Has(words, "last heard of 4.0 s ago")) << words;
  EXPECT_TRUE(Has(words, "it is out in 2.0 s")) << words;
  EXPECT_TRUE(Has(words, "the rebalance began 2.0 s ago\n  a member joined (member gone)"))
      << words;
}

TEST_F(GroupsTest, NothingCommittedIsNotNoLag) {
  committed_["g"].clear();
  ExplainGroupRequest request;
  request.set_name("g");
  EXPECT_EQ(Call(&Handlers::ExplainGroup, request)->summary(),
            "stable with 2 members; no lag; nothing is committed of 2 partitions");
}

// --- Offsets ---

TEST_F(GroupsTest, AGroupThatIsNotThereIsToldFromOneWithoutOffsets) {
  committed_["g"].clear();
  GetGroupOffsetsRequest request;
  request.set_name("g");
  EXPECT_EQ(Call(&Handlers::GetGroupOffsets, request)->offsets_size(), 0);
  missing_ = {"g", "source"};
  EXPECT_EQ(Call(&Handlers::GetGroupOffsets, request).status(),
            Status::NotFound("group 'g' does not exist"));
  auto reset = ResetOf(false);
  reset.set_earliest(true);
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, reset).status(),
            Status::NotFound("group 'g' does not exist; to make it, name the topics"));
  reset.add_topics()->set_topic("orders");
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, reset)->changes_size(), 2);
  reset.set_group("source");
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, reset).status(),
            Status::NotFound("group 'source' does not exist"));
}

// --- Reset ---

TEST_F(GroupsTest, AShiftBeyondAllNumbersEndsAtTheLogsEnds) {
  group_ = StableGroup({});
  auto request = ResetOf(false);
  request.set_shift_by(std::numeric_limits<int64_t>::max() - 7);
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, request)->changes(0).after().offset(), 100);
  request.set_shift_by(std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, request)->changes(0).after().offset(), 5);
}

TEST_F(GroupsTest, APlanRefusesTheMetadataThatTheCoordinatorWould) {
  group_ = StableGroup({});
  auto request = ResetOf(true);
  for (const size_t size : {4097, 4096}) {
    GroupOffset& offset = *request.mutable_offsets()->add_offsets();
    offset = Committed(size == 4096 ? 1 : 0, 50);
    offset.set_metadata(std::string(size, 'm'));
  }
  const auto done = Call(&Handlers::ResetGroupOffsets, request);
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_EQ(done->changes(0).error(),
            "its metadata has 4097 bytes, and offset.metadata.max.bytes allows 4096");
  EXPECT_EQ(done->changes(1).error(), "");
  ASSERT_EQ(written_.offsets().offsets_size(), 1);
  EXPECT_EQ(written_.offsets().offsets(0).partition(), 1);
}

TEST_F(GroupsTest, APlanChangesNothing) {
  group_ = StableGroup({});
  auto request = ResetOf(false);
  request.set_earliest(true);
  const auto plan = Call(&Handlers::ResetGroupOffsets, request);
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  ASSERT_EQ(plan->changes_size(), 2);
  EXPECT_EQ(plan->changes(0).before().offset(), 10);
  EXPECT_EQ(plan->changes(0).after().offset(), 5);
  EXPECT_EQ(plan->changes(0).repeated(), 5);
  EXPECT_EQ(plan->changes(1).repeated(), 90);
  EXPECT_FALSE(plan->executed());
  EXPECT_EQ(written_.name(), "");
}

TEST_F(GroupsTest, AResetIsWrittenByTheCoordinator) {
  group_ = StableGroup({});
  auto request = ResetOf(true);
  request.set_shift_by(-3);
  TopicPartitions& topic = *request.add_topics();
  topic.set_topic("orders");
  topic.add_partitions(0);
  const auto done = Call(&Handlers::ResetGroupOffsets, request);
  ASSERT_TRUE(done.ok()) << done.status().ToString();
  EXPECT_TRUE(done->executed());
  ASSERT_EQ(written_.offsets().offsets_size(), 1);
  EXPECT_EQ(written_.offsets().offsets(0).offset(), 7);
}

TEST_F(GroupsTest, AGroupWithMembersIsRefused) {
  auto request = ResetOf(true);
  request.set_latest(true);
  const auto refused = Call(&Handlers::ResetGroupOffsets, request);
  EXPECT_EQ(refused.status().code(), StatusCode::kFenced);
  EXPECT_TRUE(Has(refused.status().message(), "is Stable with 2 members"))
      << refused.status().message();
  EXPECT_EQ(written_.name(), "");
  request.set_execute(false);
  const auto plan = Call(&Handlers::ResetGroupOffsets, request);
  ASSERT_TRUE(plan.ok());
  EXPECT_TRUE(Has(plan->refusal(), "2 members"));
}

TEST_F(GroupsTest, ResetToATimeOrToAnotherGroup) {
  group_ = StableGroup({});
  auto request = ResetOf(false);
  request.set_time_ms(500);
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, request)->changes(0).after().offset(), 20);
  request.set_time_ms(5000);
  const auto late = Call(&Handlers::ResetGroupOffsets, request);
  EXPECT_EQ(late->changes(0).after().offset(), 100);
  EXPECT_TRUE(Has(late->changes(0).note(), "no record is that new"));
  committed_["other"] = {Committed(1, 50)};
  request.set_group("other");
  const auto copy = Call(&Handlers::ResetGroupOffsets, request);
  ASSERT_EQ(copy->changes_size(), 1) << "what the other group has";
  EXPECT_EQ(copy->changes(0).after().offset(), 50);
  EXPECT_EQ(copy->changes(0).after().metadata(), "m");
  EXPECT_EQ(copy->changes(0).repeated(), 40);
  request.set_group("g");
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, request).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(GroupsTest, PlacesOutsideOfTheLogAreItsEnds) {
  group_ = StableGroup({});
  auto request = ResetOf(false);
  request.set_offset(1000);
  const auto plan = Call(&Handlers::ResetGroupOffsets, request);
  EXPECT_EQ(plan->changes(0).after().offset(), 100);
  EXPECT_EQ(plan->changes(0).skipped(), 90);
  EXPECT_TRUE(Has(plan->changes(0).note(), "1000 is outside of the log"));
  request.set_offset(-1);
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, request).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Call(&Handlers::ResetGroupOffsets, ResetOf(false)).status().code(),
            StatusCode::kInvalidArgument);
}

TEST_F(GroupsTest, WhatWasNotCommittedIsDeletedAgain) {
  group_ = StableGroup({});
  auto request = ResetOf(true);
  GroupOffset& none = *request.mutable_offsets()->add_offsets();
  none.set_topic("orders");
  none.set_partition(0);
  ASSERT_TRUE(Call(&Handlers::ResetGroupOffsets, request).ok());
  ASSERT_EQ(written_.offsets().offsets_size(), 1);
  EXPECT_FALSE(written_.offsets().offsets(0).has_offset());
}

TEST_F(GroupsTest, PartitionsThatCannotBeMovedStay) {
  group_ = StableGroup({});
  silent_ = {NodeId(2)};
  auto request = ResetOf(true);
  request.set_latest(true);
  const auto done = Call(&Handlers::ResetGroupOffsets, request);
  ASSERT_TRUE(done.ok());
  EXPECT_EQ(done->changes(0).error(), "");
  EXPECT_TRUE(Has(done->changes(1).error(), "did not say"));
  ASSERT_EQ(written_.offsets().offsets_size(), 1);
  EXPECT_EQ(written_.offsets().offsets(0).partition(), 0);
}

}  // namespace
}  // namespace sluice::admin
