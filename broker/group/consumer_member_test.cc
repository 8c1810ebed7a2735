#include "broker/group/consumer_member.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace sluice::broker {
namespace {

// One topic; "1@3 2@4" is partitions 1 and 2, owned since epochs 3 and 4.
const TopicId kTopic = Uuid::FromBytes("0123456789abcdef");

OwnedPartitions Owned(const std::string& text) {
  OwnedPartitions owned;
  std::istringstream in(text);
  int32_t partition = 0;
  int32_t epoch = 0;
  char at = 0;
  while (in >> partition >> at >> epoch) owned[kTopic][partition] = epoch;
  return owned;
}

std::vector<int32_t> Numbers(const std::string& text) {
  std::istringstream in(text);
  std::vector<int32_t> numbers;
  for (int32_t number = 0; in >> number;) numbers.push_back(number);
  return numbers;
}

struct Assignment {
  const char* state;
  int32_t epoch;
  const char* assigned;
  const char* revoking;
};

struct Step {
  const char* story;
  Assignment current;
  int32_t target_epoch;
  const char* target;
  const char* others;  // owned by other members
  const char* owned;   // what the client says; null: nothing
  Assignment next;
};

ConsumerMemberState State(const std::string& name) {
  if (name == "stable") return ConsumerMemberState::kStable;
  if (name == "unrevoked") return ConsumerMemberState::kUnrevoked;
  return name == "unreleased" ? ConsumerMemberState::kUnreleased : ConsumerMemberState::kUnknown;
}

ConsumerAssignment Make(const Assignment& assignment) {
  ConsumerAssignment made;
  made.state = State(assignment.state);
  made.epoch = assignment.epoch;
  made.previous_epoch = assignment.epoch - 1;
  made.assigned = Owned(assignment.assigned);
  made.revoking = Owned(assignment.revoking);
  return made;
}

const Step kSteps[] = {
    {"a new member gets what is free",
     {"stable", 0, "", ""},
     1,
     "0 1",
     "",
     "",
     {"stable", 1, "0@1 1@1", ""}},
    {"nothing to do for one that has come to its target",
     {"stable", 1, "0@1", ""},
     1,
     "0",
     "",
     nullptr,
     {"stable", 1, "0@1", ""}},
    {"a new epoch with the same target",
     {"stable", 1, "0@1", ""},
     2,
     "0",
     "",
     nullptr,
     {"stable", 2, "0@1", ""}},
    {"more, and all of it is free",
     {"stable", 1, "0@1", ""},
     2,
     "0 1",
     "",
     nullptr,
     {"stable", 2, "0@1 1@2", ""}},
    {"more, and some of it is free",
     {"stable", 1, "0@1", ""},
     2,
     "0 1 2",
     "2",
     nullptr,
     {"unreleased", 2, "0@1 1@2", ""}},
    {"more, and none of it is free",
     {"stable", 1, "0@1", ""},
     2,
     "0 1",
     "1",
     nullptr,
     {"unreleased", 2, "0@1", ""}},
    {"less: the client has to give it up first",
     {"stable", 1, "0@1 1@1", ""},
     2,
     "0",
     "",
     "0 1",
     {"unrevoked", 1, "0@1", "1@1"}},
    {"less, and the client does not say what it owns",
     {"stable", 1, "0@1 1@1", ""},
     2,
     "0",
     "",
     nullptr,
     {"unrevoked", 1, "0@1", "1@1"}},
    {"less, and the client has given it up before it was asked",
     {"stable", 1, "0@1 1@1", ""},
     2,
     "0",
     "",
     "0",
     {"stable", 2, "0@1", ""}},
    {"other ones: first less, then more",
     {"stable", 1, "0@1 1@1", ""},
     2,
     "0 2",
     "",
     "0 1",
     {"unrevoked", 1, "0@1", "1@1"}},
    {"still owned",
     {"unrevoked", 1, "0@1", "1@1"},
     2,
     "0 2",
     "",
     "0 1",
     {"unrevoked", 1, "0@1", "1@1"}},
    {"not told whether it is still owned",
     {"unrevoked", 1, "0@1", "1@1"},
     2,
     "0 2",
     "",
     nullptr,
     {"unrevoked", 1, "0@1", "1@1"}},
    {"given up", {"unrevoked", 1, "0@1", "1@1"}, 2, "0 2", "", "0", {"stable", 2, "0@1 2@2", ""}},
    {"given up, and the rest is not free",
     {"unrevoked", 1, "0@1", "1@1"},
     2,
     "0 2",
     "2",
     "0",
     {"unreleased", 2, "0@1", ""}},
    {"given up, and the target wants one more back",
     {"unrevoked", 1, "0@1", "1@1"},
     3,
     "",
     "",
     "0",
     {"unrevoked", 2, "", "0@1"}},
    {"given up, and it comes back",
     {"unrevoked", 1, "0@1", "1@1"},
     3,
     "0 1",
     "",
     "0",
     {"stable", 3, "0@1 1@3", ""}},
    {"waits on",
     {"unreleased", 2, "0@1", ""},
     2,
     "0 1",
     "1",
     nullptr,
     {"unreleased", 2, "0@1", ""}},
    {"free at last",
     {"unreleased", 2, "0@1", ""},
     2,
     "0 1",
     "",
     nullptr,
     {"stable", 2, "0@1 1@2", ""}},
    {"while it waits the target takes something away",
     {"unreleased", 2, "0@1 1@1", ""},
     3,
     "0",
     "",
     "0 1",
     {"unrevoked", 2, "0@1", "1@1"}},
    {"a state of another version: it joins without anything",
     {"unknown", 1, "", ""},
     2,
     "0",
     "",
     "",
     {"stable", 2, "0@2", ""}},
};

TEST(ConsumerMemberTest, Reconciles) {
  for (const Step& step : kSteps) {
    SCOPED_TRACE(step.story);
    const ConsumerAssignment current = Make(step.current);
    PartitionsByTopic target;
    if (!Numbers(step.target).empty()) target[kTopic] = Numbers(step.target);
    ReportedPartitions owned;
    if (step.owned != nullptr) {
      owned.emplace_back().topic_id = kTopic;
      owned.back().partitions = Numbers(step.owned);
    }
    const std::vector<int32_t> others = Numbers(step.others);
    const ConsumerAssignment next = Reconcile(
        current, {step.target_epoch, target, step.owned == nullptr ? nullptr : &owned,
                  [&others](const TopicId&, int32_t partition) {
                    return std::find(others.begin(), others.end(), partition) == others.end();
                  }});
    const ConsumerAssignment expected = Make(step.next);
    EXPECT_EQ(next.state, expected.state);
    EXPECT_EQ(next.epoch, expected.epoch);
    EXPECT_EQ(next.assigned, expected.assigned);
    EXPECT_EQ(next.revoking, expected.revoking);
  }
}

TEST(ConsumerMemberTest, RecordsKeepAll) {
  ConsumerMember member;
  member.instance_id = "i";
  member.rack = "r";
  member.client_id = "c";
  member.client_host = "/h";
  member.topic_names = {"a", "b"};
  member.regex = "x.*";
  member.rebalance_timeout_ms = 7;
  member.server_assignor = "range";
  ConsumerMember read;
  TakeMetadata(MetadataValueOf(member), read);
  EXPECT_EQ(MetadataValueOf(read), MetadataValueOf(member));
  EXPECT_EQ(read.topic_names, member.topic_names);
  for (const Step& step : kSteps) {
    const ConsumerAssignment assignment = Make(step.current);
    EXPECT_EQ(AssignmentOf(AssignmentValueOf(assignment)), assignment);
  }
}

TEST(ConsumerMemberTest, RecordsOfOtherVersions) {
  auto value = AssignmentValueOf(Make({"stable", 5, "0@1 1@2", ""}));
  value.assigned_partitions[0].assignment_epochs = std::nullopt;
  EXPECT_EQ(AssignmentOf(value).assigned, Owned("0@5 1@5"));
  value.state = 9;
  EXPECT_EQ(AssignmentOf(value).state, ConsumerMemberState::kUnknown);
}

TEST(ConsumerMemberTest, WhatIsWithinWhat) {
  ReportedPartitions reported(1);
  reported[0].topic_id = kTopic;
  reported[0].partitions = {0, 1};
  EXPECT_TRUE(IsWithin({}, {}));
  EXPECT_TRUE(IsWithin(reported, Owned("0@1 1@1 2@1")));
  EXPECT_FALSE(IsWithin(reported, Owned("0@1 2@1")));
  EXPECT_FALSE(IsWithin(reported, {}));
}

}  // namespace
}  // namespace sluice::broker
