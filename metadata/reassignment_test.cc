// Decide and its helpers: the examples of the header, and every state of up to four brokers against
// the rules that a move must keep.

#include "metadata/reassignment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "metadata/partition_change.h"

namespace sluice::metadata {
namespace {

using Mask = unsigned;

std::vector<NodeId> Nodes(std::initializer_list<int> ids) {
  std::vector<NodeId> nodes;
  for (const int id : ids) nodes.emplace_back(id);
  return nodes;
}

std::vector<NodeId> Nodes(Mask mask) {
  std::vector<NodeId> nodes;
  for (int i = 0; i < 8; ++i) {
    if (mask >> i & 1) nodes.emplace_back(i);
  }
  return nodes;
}

Mask ToMask(const std::vector<NodeId>& nodes) {
  Mask mask = 0;
  for (const NodeId node : nodes) mask |= 1U << node.value();
  return mask;
}

PartitionImage InSync(const std::vector<NodeId>& replicas) {
  PartitionImage partition;
  partition.replicas = replicas;
  partition.isr = replicas;
  partition.leader = replicas.front();
  return partition;
}

ElectionInput InputOf(const PartitionImage& partition,
                      std::optional<std::vector<NodeId>> isr = std::nullopt) {
  return {.partition = partition,
          .min_isr = 2,
          .is_active = [](NodeId) { return true; },
          .wished_isr = std::move(isr)};
}

// The partition after `decision`.
PartitionImage After(const PartitionImage& before, const PartitionDecision& decision) {
  PartitionImage after = before;
  after.replicas = decision.assignment.replicas;
  after.adding = decision.assignment.adding;
  after.removing = decision.assignment.removing;
  after.move_kib_per_second = decision.assignment.kib_per_second;
  after.isr = decision.election.isr;
  after.elr = decision.election.elr;
  after.last_known_elr = decision.election.last_known_elr;
  after.leader = decision.election.leader;
  return after;
}

TEST(ReassignmentTest, GrowsCatchesUpAndShrinks) {
  const PartitionImage before = InSync(Nodes({1, 2, 3}));
  const Assignment wanted = MoveTo(before, Nodes({1, 2, 4}));
  EXPECT_EQ(wanted, (Assignment{Nodes({1, 2, 4, 3}), Nodes({4}), Nodes({3})}));
  const PartitionImage moving = After(before, Decide(InputOf(before), wanted));
  EXPECT_EQ(moving.isr, Nodes({1, 2, 3}));
  EXPECT_EQ(TargetOf(moving), Nodes({1, 2, 4}));
  EXPECT_EQ(OriginOf(moving), Nodes({1, 2, 3}));
  EXPECT_EQ(moving.replication_factor(), 3U);
  const PartitionImage moved = After(moving, Decide(InputOf(moving, Nodes({1, 2, 3, 4}))));
  EXPECT_EQ(moved, After(moving, {{Nodes({1, 2, 4}), {}, {}},
                                  {.leader = NodeId(1), .isr = Nodes({1, 2, 4})}}));
}

TEST(ReassignmentTest, TheLeaderIsHandedOnInTheSameDecision) {
  PartitionImage moving = InSync(Nodes({1, 2}));
  moving = After(moving, Decide(InputOf(moving), MoveTo(moving, Nodes({3, 4}))));
  EXPECT_EQ(moving.leader, NodeId(1));
  PartitionDecision decision = Decide(InputOf(moving, Nodes({1, 2, 4})));
  EXPECT_TRUE(decision.assignment.moving());  // 3 is missing
  decision = Decide(InputOf(moving, Nodes({1, 2, 4, 3})));
  EXPECT_EQ(decision.election.leader, NodeId(3));
  EXPECT_EQ(decision.election.isr, Nodes({4, 3}));
  EXPECT_FALSE(decision.election.may_lose_records);
  const auto record = PartitionChange(TopicId::FromBytes(std::string(16, 't')), PartitionIndex(0),
                                      moving, decision);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->leader(), 3);
  EXPECT_EQ(record->leader_epoch(), 1);
  EXPECT_EQ(record->replicas().ids_size(), 2);
  EXPECT_TRUE(record->has_adding_replicas() && record->has_removing_replicas());
}

TEST(ReassignmentTest, ADroppedReplicaEndsTheEpochThoughTheLeaderStays) {
  PartitionImage moving = InSync(Nodes({1, 2}));
  const TopicId topic = TopicId::FromBytes(std::string(16, 't'));
  const PartitionDecision begun = Decide(InputOf(moving), MoveTo(moving, Nodes({1, 3})));
  EXPECT_FALSE(PartitionChange(topic, PartitionIndex(0), moving, begun)->has_leader_epoch());
  moving = After(moving, begun);
  const auto done =
      PartitionChange(topic, PartitionIndex(0), moving, Decide(InputOf(moving, Nodes({1, 3}))));
  EXPECT_FALSE(done->has_leader());
  EXPECT_EQ(done->leader_epoch(), 1);
}

TEST(ReassignmentTest, FewerReplicasOrAnotherOrderNeedNoMove) {
  const PartitionImage before = InSync(Nodes({1, 2, 3}));
  PartitionImage after = After(before, Decide(InputOf(before), MoveTo(before, Nodes({3, 1}))));
  EXPECT_FALSE(after.moving());
  EXPECT_EQ(after.replicas, Nodes({3, 1}));
  EXPECT_EQ(after.leader, NodeId(1));
  // Unless one of those that stay is not in sync.
  PartitionImage behind = before;
  behind.isr = Nodes({1, 2});
  after = After(behind, Decide(InputOf(behind), MoveTo(behind, Nodes({3, 1}))));
  EXPECT_TRUE(after.moving());
  EXPECT_EQ(after.replicas, Nodes({3, 1, 2}));
  EXPECT_EQ(after.isr, Nodes({1, 2}));
}

TEST(ReassignmentTest, AnotherTargetKeepsTheOrigin) {
  PartitionImage moving = InSync(Nodes({1, 2, 3}));
  moving = After(moving, Decide(InputOf(moving), MoveTo(moving, Nodes({4, 5, 6}))));
  moving = After(moving, Decide(InputOf(moving), MoveTo(moving, Nodes({5, 2, 7}))));
  EXPECT_EQ(moving.replicas, Nodes({5, 2, 7, 1, 3}));
  EXPECT_EQ(moving.adding, Nodes({5, 7}));
  EXPECT_EQ(moving.removing, Nodes({1, 3}));
  EXPECT_EQ(ToMask(MoveBack(moving).replicas), 0b1110U);
}

TEST(ReassignmentTest, TheRateIsGoneWithTheMove) {
  const PartitionImage before = InSync(Nodes({1, 2, 3}));
  const PartitionImage moving =
      After(before, Decide(InputOf(before), MoveTo(before, Nodes({4, 2, 3}), 500)));
  EXPECT_EQ(moving.move_kib_per_second, 500U);
  // An election meanwhile leaves it alone.
  PartitionImage led = After(moving, Decide(InputOf(moving, Nodes({2, 3}))));
  EXPECT_EQ(led.move_kib_per_second, 500U);
  const PartitionDecision done = Decide(InputOf(moving, Nodes({1, 2, 3, 4})));
  EXPECT_EQ(After(moving, done).move_kib_per_second, 0U);
  EXPECT_EQ(After(moving, Decide(InputOf(moving), MoveBack(moving))).move_kib_per_second, 0U);
  EXPECT_EQ(MoveTo(moving, Nodes({5, 2, 3})).kib_per_second, 0U);
  // Nobody copies for another order, or for fewer, though one who stays is away.
  EXPECT_EQ(MoveTo(before, Nodes({3, 2, 1}), 500).kib_per_second, 0U);
  EXPECT_EQ(MoveTo(before, Nodes({3, 2}), 500).kib_per_second, 0U);
}

TEST(ReassignmentTest, WhoAloneHasTheRecordsIsNotDroppedAtOnce) {
  PartitionImage moving = InSync(Nodes({1, 2}));
  moving = After(moving, Decide(InputOf(moving), MoveTo(moving, Nodes({3, 4}))));
  moving.isr = Nodes({1, 2, 3});
  EXPECT_TRUE(MayDropAtOnce(moving, MoveBack(moving), 2));
  moving.isr = Nodes({2, 3});
  EXPECT_FALSE(MayDropAtOnce(moving, MoveBack(moving), 2));
  EXPECT_TRUE(MayDropAtOnce(moving, MoveBack(moving), 1));
  moving.isr = Nodes({3});
  EXPECT_FALSE(MayDropAtOnce(moving, MoveBack(moving), 1));
  moving.isr.clear();
  moving.elr = Nodes({3});
  EXPECT_FALSE(MayDropAtOnce(moving, MoveBack(moving), 1));
  moving.elr = Nodes({2});
  EXPECT_TRUE(MayDropAtOnce(moving, MoveBack(moving), 1));
}

// Below min ISR who is eligible is the second copy: it may be all there is, should the last member
// of the ISR have lost its disk.
TEST(ReassignmentTest, AnEligibleReplicaIsDroppedOnlyWhereEnoughOthersHaveAll) {
  PartitionImage moving = InSync(Nodes({1, 3, 2}));
  moving = After(moving, Decide(InputOf(moving), MoveTo(moving, Nodes({1, 4, 3}))));
  moving.isr = Nodes({2});
  moving.elr = Nodes({4});
  EXPECT_FALSE(MayDropAtOnce(moving, MoveBack(moving), 2));
  EXPECT_FALSE(MayDropAtOnce(moving, MoveTo(moving, Nodes({1, 2, 5})), 2));
  EXPECT_TRUE(MayDropAtOnce(moving, MoveTo(moving, Nodes({1, 2, 4})), 2));
  moving.elr = Nodes({4, 3});
  EXPECT_TRUE(MayDropAtOnce(moving, MoveBack(moving), 2));
  EXPECT_FALSE(MayDropAtOnce(moving, MoveBack(moving), 3));
  moving.elr = Nodes({3});
  EXPECT_TRUE(MayDropAtOnce(moving, MoveBack(moving), 3));
}

// What must hold of a decision on `before`, whatever was asked.
void CheckRules(const PartitionImage& before, const PartitionImage& after, int32_t min_isr,
                Mask active) {
  const Mask replicas = ToMask(after.replicas);
  const Mask isr = ToMask(after.isr);
  ASSERT_EQ(isr & ~(replicas & active), 0U);
  ASSERT_EQ(ToMask(after.elr) & (isr | ~replicas), 0U);
  ASSERT_EQ(after.leader == kNoNode, isr == 0);
  if (isr != 0) {
    ASSERT_TRUE(isr >> after.leader.value() & 1);
  }
  const bool done = (ToMask(TargetOf(after)) & ~isr) == 0;
  ASSERT_FALSE(after.moving() && done);
  // Only who is away leaves the ISR for good; what is dropped leaves at least min ISR, if there
  // was.
  const Mask stayed = ToMask(before.isr) & active;
  if (__builtin_popcount(stayed) >= min_isr && !before.isr.empty()) {
    const auto factor = static_cast<int32_t>(after.replication_factor());
    ASSERT_GE(__builtin_popcount(isr), std::min(min_isr, factor));
  }
  // Who leads had all acknowledged records.
  if (after.leader != kNoNode) {
    const Mask had = ToMask(before.isr) | ToMask(before.elr) | ToMask(before.last_known_elr);
    ASSERT_TRUE(had >> after.leader.value() & 1);
  }
}

template <typename Visit>
void EachState(Visit visit) {
  constexpr Mask kAll = 0b1111;
  for (Mask origin = 1; origin <= kAll; ++origin) {
    for (Mask target = 1; target <= kAll; ++target) {
      PartitionImage partition = InSync(Nodes(origin));
      const Assignment wanted = MoveTo(partition, Nodes(target));
      partition.replicas = wanted.replicas;
      partition.adding = wanted.adding;
      partition.removing = wanted.removing;
      const Mask replicas = origin | target;
      for (Mask isr = 0; isr <= kAll; ++isr) {
        if ((isr & ~replicas) != 0 || (partition.moving() && (target & ~isr) == 0)) continue;
        partition.isr = Nodes(isr);
        for (Mask elr = 0; elr <= kAll; ++elr) {
          if ((elr & (isr | ~replicas)) != 0) continue;
          partition.elr = Nodes(elr);
          partition.leader = isr == 0 ? kNoNode : Nodes(isr).back();
          visit(partition);
        }
      }
    }
  }
}

void CheckMoves(const PartitionImage& before, Mask active, int32_t min_isr) {
  ElectionInput input = InputOf(before);
  input.min_isr = min_isr;
  input.is_active = [active](NodeId node) { return (active >> node.value() & 1) != 0; };
  for (Mask target = 0; target < 16; ++target) {
    const Assignment wanted = target == 0 ? MoveBack(before) : MoveTo(before, Nodes(target));
    if (!MayDropAtOnce(before, wanted, min_isr)) continue;
    const PartitionImage after = After(before, Decide(input, wanted));
    CheckRules(before, after, min_isr, active);
    const size_t needed = std::min(static_cast<size_t>(min_isr), after.replication_factor());
    ASSERT_GE(after.isr.size() + after.elr.size(),
              std::min(needed, before.isr.size() + before.elr.size()));
  }
}

// Brokers that are away, and moves, in every state: moves are only asked for where all of the ISR
// is alive, as the controller sees to.
TEST(ReassignmentTest, EveryStateOfFourBrokers) {
  int states = 0;
  EachState([&](const PartitionImage& before) {
    if (testing::Test::HasFatalFailure()) return;
    ++states;
    for (Mask active = 0; active < 16; ++active) {
      for (int32_t min_isr = 1; min_isr <= 2; ++min_isr) {
        const auto factor = static_cast<int32_t>(before.replication_factor());
        if (min_isr > factor) continue;
        if (static_cast<int32_t>(before.isr.size()) >= min_isr && !before.elr.empty()) continue;
        ElectionInput input = InputOf(before);
        input.min_isr = min_isr;
        input.is_active = [active](NodeId node) { return (active >> node.value() & 1) != 0; };
        const PartitionImage after = After(before, Decide(input));
        CheckRules(before, after, min_isr, active);
        ASSERT_EQ(after.replicas,
                  after.moving() ? std::vector<NodeId>(before.replicas) : TargetOf(before));
        if ((ToMask(before.isr) & ~active) == 0) CheckMoves(before, active, min_isr);
      }
    }
  });
  EXPECT_GT(states, 1000);
}

// The leader adds to its ISR whoever has caught up: the move ends exactly when nobody is missing.
TEST(ReassignmentTest, EveryIsrThatALeaderAsksFor) {
  EachState([&](const PartitionImage& before) {
    if (before.leader == kNoNode || testing::Test::HasFatalFailure()) return;
    for (Mask isr = 1; isr < 16; ++isr) {
      const bool leads = (isr >> before.leader.value() & 1) != 0;
      if ((isr & ~ToMask(before.replicas)) != 0 || !leads) continue;
      const PartitionImage after = After(before, Decide(InputOf(before, Nodes(isr))));
      const bool complete = before.moving() && (ToMask(TargetOf(before)) & ~isr) == 0;
      ASSERT_EQ(after.moving(), before.moving() && !complete);
      if (complete) {
        ASSERT_EQ(after.replicas, TargetOf(before));
        ASSERT_EQ(ToMask(after.isr), ToMask(after.replicas));
        ASSERT_TRUE(after.elr.empty());
      } else {
        ASSERT_EQ(ToMask(after.isr), isr);
        ASSERT_EQ(after.leader, before.leader);
      }
    }
  });
}

}  // namespace
}  // namespace sluice::metadata
