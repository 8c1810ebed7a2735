#include "broker/group/assignor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <set>

#include "base/clock.h"
#include "base/random.h"

namespace sluice::broker {
namespace {

TopicId Id(int n) {
  std::string bytes(16, '\0');
  bytes[14] = static_cast<char>(n >> 8);
  bytes[15] = static_cast<char>(n);
  return Uuid::FromBytes(bytes);
}

std::string Name(int n) {
  std::string digits = std::to_string(n);
  return "m" + std::string(5 - digits.size(), '0') + digits;
}

// A group that goes from one assignment to the next, as a coordinator's does.
class Group {
 public:
  explicit Group(const std::string& assignor) : assignor_(FindAssignor(assignor)) {}

  void AddTopic(int topic, int32_t partitions) {
    input_.topics[Id(topic)].partition_count = partitions;
  }
  AssignorMember& AddMember(const std::string& id, const std::vector<int>& topics) {
    AssignorMember member;
    member.member_id = id;
    for (const int topic : topics) member.topics.push_back(Id(topic));
    std::sort(member.topics.begin(), member.topics.end());
    const auto place = std::lower_bound(
        input_.members.begin(), input_.members.end(), id,
        [](const AssignorMember& a, const std::string& b) { return a.member_id < b; });
    return *input_.members.insert(place, member);
  }
  void RemoveMember(size_t place) {
    targets_.erase(input_.members[place].member_id);
    input_.members.erase(input_.members.begin() + static_cast<ptrdiff_t>(place));
  }
  // How many partitions went from one member that is still here to another one.
  size_t Assign() {
    for (AssignorMember& member : input_.members) {
      const auto target = targets_.find(member.member_id);
      member.target = target == targets_.end() ? nullptr : &target->second;
    }
    const std::vector<PartitionsByTopic> result = assignor_->Assign(input_);
    EXPECT_EQ(result, assignor_->Assign(input_));
    std::map<std::string, PartitionsByTopic> next;
    size_t kept = 0;
    size_t had = 0;
    for (size_t i = 0; i < result.size(); ++i) {
      const std::string& id = input_.members[i].member_id;
      for (const auto& [topic, partitions] : targets_[id]) {
        had += partitions.size();
        for (const int32_t partition : partitions) kept += Owns(result[i], topic, partition);
      }
      next[id] = result[i];
    }
    targets_ = next;
    return had - kept;
  }
  static bool Owns(const PartitionsByTopic& assignment, const TopicId& topic, int32_t partition) {
    const auto found = assignment.find(topic);
    return found != assignment.end() &&
           std::binary_search(found->second.begin(), found->second.end(), partition);
  }
  size_t CountOf(const std::string& member) {
    size_t count = 0;
    for (const auto& [topic, partitions] : targets_[member]) count += partitions.size();
    return count;
  }
  AssignorInput& input() { return input_; }
  std::map<std::string, PartitionsByTopic>& targets() { return targets_; }

  void ExpectComplete() {
    std::set<std::pair<TopicId, int32_t>> given;
    std::set<TopicId> subscribed;
    for (const AssignorMember& member : input_.members) {
      subscribed.insert(member.topics.begin(), member.topics.end());
      for (const auto& [topic, partitions] : targets_[member.member_id]) {
        EXPECT_TRUE(std::binary_search(member.topics.begin(), member.topics.end(), topic));
        EXPECT_FALSE(partitions.empty());
        EXPECT_TRUE(std::is_sorted(partitions.begin(), partitions.end()));
        for (const int32_t partition : partitions)
          EXPECT_TRUE(given.emplace(topic, partition).second) << "twice";
      }
    }
    size_t expected = 0;
    for (const TopicId& topic : subscribed)
      expected += static_cast<size_t>(input_.topics[topic].partition_count);
    EXPECT_EQ(given.size(), expected);
  }
  // No partition could go to a subscriber with two fewer.
  void ExpectBalanced() {
    for (const AssignorMember& owner : input_.members) {
      for (const auto& [topic, partitions] : targets_[owner.member_id]) {
        for (const AssignorMember& other : input_.members) {
          if (!std::binary_search(other.topics.begin(), other.topics.end(), topic)) continue;
          EXPECT_LE(CountOf(owner.member_id), CountOf(other.member_id) + 1);
        }
      }
    }
  }

 private:
  const Assignor* assignor_;
  AssignorInput input_;
  std::map<std::string, PartitionsByTopic> targets_;
};

std::vector<int> Range(int count) {
  std::vector<int> numbers(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = i;
  return numbers;
}

TEST(AssignorTest, IsFoundByName) {
  EXPECT_EQ(FindAssignor("uniform")->name(), "uniform");
  EXPECT_EQ(FindAssignor("range")->name(), "range");
  EXPECT_EQ(FindAssignor("sticky"), nullptr);
}

TEST(UniformAssignorTest, AMemberThatJoinsTakesItsShareAndNoMore) {
  Group group("uniform");
  group.AddTopic(0, 60);
  for (int members = 1; members <= 12; ++members) {
    group.AddMember(Name(members), {0});
    const size_t moved = group.Assign();
    group.ExpectComplete();
    group.ExpectBalanced();
    EXPECT_EQ(moved, members == 1 ? 0 : 60 / static_cast<size_t>(members));
  }
}

TEST(UniformAssignorTest, AMemberThatLeavesMovesOnlyWhatItHad) {
  Group group("uniform");
  for (int topic = 0; topic < 5; ++topic) group.AddTopic(topic, 13);
  for (int member = 0; member < 10; ++member) group.AddMember(Name(member), Range(5));
  group.Assign();
  while (group.input().members.size() > 1) {
    group.RemoveMember(group.input().members.size() / 2);
    EXPECT_EQ(group.Assign(), 0u);
    group.ExpectComplete();
    group.ExpectBalanced();
  }
}

TEST(UniformAssignorTest, MoreMembersThanPartitions) {
  Group group("uniform");
  group.AddTopic(0, 3);
  for (int member = 0; member < 7; ++member) group.AddMember(Name(member), {0});
  group.Assign();
  group.ExpectComplete();
  group.ExpectBalanced();
  EXPECT_EQ(group.Assign(), 0u);
}

TEST(UniformAssignorTest, GroupsWithoutMembersOrTopics) {
  EXPECT_TRUE(FindAssignor("uniform")->Assign({}).empty());
  EXPECT_TRUE(FindAssignor("range")->Assign({}).empty());
  Group group("uniform");
  group.AddMember("m", {});
  group.Assign();
  EXPECT_TRUE(group.targets()["m"].empty());
}

TEST(UniformAssignorTest, TargetsThatAreGoneOrTakenTwiceAreNotKept) {
  Group group("uniform");
  group.AddTopic(0, 4);
  group.AddMember("a", {0});
  group.AddMember("b", {0});
  group.targets()["a"] = {{Id(0), {0, 1, 7}}, {Id(9), {0}}};
  group.targets()["b"] = {{Id(0), {1, 2}}};
  group.Assign();
  group.ExpectComplete();
  EXPECT_EQ(group.targets()["a"].at(Id(0)), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(group.targets()["b"].at(Id(0)), (std::vector<int32_t>{2, 3}));
}

// Each partition has one replica a rack, of three racks; each rack has as many members.
TEST(UniformAssignorTest, PrefersTheRackOfAReplica) {
  Group group("uniform");
  group.AddTopic(0, 12);
  for (int i = 0; i < 12; ++i)
    group.input().topics[Id(0)].racks.push_back({"r" + std::to_string(i / 4)});
  for (int i = 0; i < 6; ++i) group.AddMember(Name(i), {0}).rack = "r" + std::to_string(i % 3);
  group.Assign();
  group.ExpectBalanced();
  for (int i = 0; i < 6; ++i) {
    for (const int32_t partition : group.targets()[Name(i)].at(Id(0)))
      EXPECT_EQ(partition / 4, i % 3) << "member " << i;
  }
  // A near member does not get more than its share, and nothing moves for nearness alone.
  for (AssignorMember& member : group.input().members) member.rack = "r0";
  EXPECT_EQ(group.Assign(), 0u);
  group.ExpectBalanced();
}

TEST(RangeAssignorTest, TopicsWithEquallyManyPartitionsAreShared) {
  Group group("range");
  group.AddTopic(0, 3);
  group.AddTopic(1, 3);
  group.AddMember("a", {0, 1});
  group.AddMember("b", {0, 1});
  group.Assign();
  EXPECT_EQ(group.targets()["a"], (PartitionsByTopic{{Id(0), {0, 1}}, {Id(1), {0, 1}}}));
  EXPECT_EQ(group.targets()["b"], (PartitionsByTopic{{Id(0), {2}}, {Id(1), {2}}}));
}

TEST(RangeAssignorTest, StaticMembersKeepTheirRangesUnderAnyMemberId) {
  Group before("range");
  before.AddTopic(0, 6);
  before.AddMember("dynamic", {0});
  before.AddMember("x", {0}).instance_id = "i1";
  before.AddMember("y", {0}).instance_id = "i2";
  before.Assign();
  Group after("range");
  after.AddTopic(0, 6);
  after.AddMember("a", {0}).instance_id = "i2";
  after.AddMember("dynamic", {0});
  after.AddMember("z", {0}).instance_id = "i1";
  after.Assign();
  EXPECT_EQ(before.targets()["x"], after.targets()["z"]);
  EXPECT_EQ(before.targets()["y"], after.targets()["a"]);
  EXPECT_EQ(before.targets()["x"].at(Id(0)), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(after.targets()["dynamic"].at(Id(0)), (std::vector<int32_t>{4, 5}));
}

TEST(RangeAssignorTest, MoreMembersThanPartitions) {
  Group group("range");
  group.AddTopic(0, 2);
  for (int member = 0; member < 5; ++member) group.AddMember(Name(member), {0});
  group.Assign();
  group.ExpectComplete();
  EXPECT_TRUE(group.targets()[Name(4)].empty());
}

// Members, subscriptions, topics and partitions come and go at random.
class AssignorHistory : public ::testing::TestWithParam<uint64_t> {};

TEST_P(AssignorHistory, EveryStepIsCompleteAndBalanced) {
  Random random(GetParam());
  Group uniform("uniform");
  Group range("range");
  const bool alike = random.Chance(1, 2);
  const int topics = static_cast<int>(random.Between(1, 8));
  for (Group* group : {&uniform, &range}) {
    Random same(GetParam());
    for (int topic = 0; topic < topics; ++topic)
      group->AddTopic(topic, static_cast<int32_t>(same.Between(0, 12)));
  }
  int next = 0;
  for (int step = 0; step < 60; ++step) {
    const size_t size = uniform.input().members.size();
    if (size > 0 && random.Chance(2, 5)) {
      const size_t place = random.Below(size);
      uniform.RemoveMember(place);
      range.RemoveMember(place);
    } else if (random.Chance(1, 10)) {
      const int topic = static_cast<int>(random.Below(static_cast<uint64_t>(topics)));
      const int32_t more = static_cast<int32_t>(random.Between(1, 5));
      uniform.input().topics[Id(topic)].partition_count += more;
      range.input().topics[Id(topic)].partition_count += more;
    } else {
      std::vector<int> subscribed;
      for (int topic = 0; topic < topics; ++topic) {
        if (alike || random.Chance(1, 2)) subscribed.push_back(topic);
      }
      // Ids are not in the order of joining.
      const std::string id = Name(++next * 7919 % 50000);
      uniform.AddMember(id, subscribed);
      range.AddMember(id, subscribed);
    }
    uniform.Assign();
    uniform.ExpectComplete();
    uniform.ExpectBalanced();
    EXPECT_EQ(uniform.Assign(), 0u) << "a second run moves something";
    range.Assign();
    range.ExpectComplete();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, AssignorHistory, ::testing::Range(uint64_t{1}, uint64_t{41}));

// Prints what a rebalance of a large group costs; asserts only what holds on any machine.
TEST(AssignorTest, LargeGroups) {
  struct Size {
    int members;
    int topics;
    int32_t partitions;  // of each topic
    bool alike;
  };
  for (const Size& size : {Size{100, 10, 100, true}, Size{100, 10, 100, false},
                           Size{1000, 10, 1000, true}, Size{1000, 100, 100, false}}) {
    for (const char* const assignor : {"uniform", "range"}) {
      Group group(assignor);
      for (int topic = 0; topic < size.topics; ++topic) group.AddTopic(topic, size.partitions);
      for (int i = 0; i < size.members; ++i) {
        std::vector<int> topics = Range(size.topics);
        if (!size.alike) std::erase_if(topics, [i](int topic) { return (topic + i) % 3 == 0; });
        group.AddMember(Name(i), topics);
      }
      group.Assign();
      group.AddMember("new", Range(size.topics));
      for (AssignorMember& member : group.input().members)
        member.target = &group.targets()[member.member_id];
      const int64_t start = SystemClock().SteadyMicros();
      const auto result = FindAssignor(assignor)->Assign(group.input());
      const int64_t took = SystemClock().SteadyMicros() - start;
      EXPECT_EQ(result.size(), group.input().members.size());
      std::cout << assignor << ": one member more than " << size.members << " with "
                << size.topics * size.partitions << " partitions of " << size.topics
                << (size.alike ? " topics: " : " topics, two thirds each: ") << took << " us\n";
    }
  }
}

}  // namespace
}  // namespace sluice::broker
