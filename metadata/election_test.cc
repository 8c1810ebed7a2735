// Elect against a naive twin on bit masks, for every input of up to four replicas, and against the
// rules it must keep.

#include "metadata/election.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace sluice::metadata {
namespace {

using Mask = unsigned;

struct Case {
  int replica_count;
  Mask isr, elr, last_known, active;
  int leader;  // replica index or -1
  int lost;    // replica index or -1
  int wished;  // mask or -1
  int min_isr;
  int preferred = -1;
  bool unclean = false;
  bool lost_all = false;
  Mask yields = 0;
};

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

Mask Bit(int index) { return index < 0 ? 0 : 1U << index; }
int First(Mask mask) { return mask == 0 ? -1 : __builtin_ctz(mask); }

ElectionResult Decide(const Case& c) {
  PartitionImage partition;
  partition.replicas = Nodes((1U << c.replica_count) - 1);
  partition.isr = Nodes(c.isr);
  partition.elr = Nodes(c.elr);
  partition.last_known_elr = Nodes(c.last_known);
  partition.leader = NodeId(c.leader);
  ElectionInput input{.partition = partition,
                      .min_isr = c.min_isr,
                      .is_active = [&](NodeId node) { return (c.active >> node.value() & 1) != 0; },
                      .yields = [&](NodeId node) { return (c.yields >> node.value() & 1) != 0; },
                      .lost_data = NodeId(c.lost),
                      .lost_all = c.lost_all,
                      .wished_isr = {},
                      .preferred = NodeId(c.preferred),
                      .unclean = c.unclean};
  if (c.wished >= 0) input.wished_isr = Nodes(static_cast<Mask>(c.wished));
  return Elect(input);
}

// What Elect should say, in a few lines of set arithmetic.
int TwinLeader(const Case& c, Mask isr, Mask complete) {
  const Mask glad = isr & ~c.yields;
  if (glad & Bit(c.preferred)) return c.preferred;
  if (c.leader >= 0 && (glad & Bit(c.leader))) return c.leader;
  if (glad != 0) return First(glad);
  if (c.leader >= 0 && (isr & Bit(c.leader))) return c.leader;
  if (isr != 0) return First(isr);
  int leader = -1;
  if (complete != 0) {
    leader = First(complete & c.active);
  } else if (__builtin_popcount(c.last_known) == 1) {
    leader = First(c.last_known & c.active);
  }
  const bool any = leader < 0 && c.unclean;
  return any ? First(c.active & ~Bit(c.lost) & ((1U << c.replica_count) - 1)) : leader;
}

void Check(const Case& c) {
  const ElectionResult got = Decide(c);
  const Mask wanted = c.wished >= 0 ? static_cast<Mask>(c.wished) : c.isr;
  Mask isr = wanted & c.active & ~Bit(c.lost);
  const Mask had = (c.isr | c.elr) & ~Bit(c.lost);
  const int leader = TwinLeader(c, isr, had & ~isr);
  const std::string what = "isr=" + std::to_string(c.isr) + " elr=" + std::to_string(c.elr) +
                           " active=" + std::to_string(c.active) +
                           " leader=" + std::to_string(c.leader) +
                           " lost=" + std::to_string(c.lost);
  ASSERT_EQ(got.leader.value(), leader) << what;
  if (leader >= 0 && isr == 0) isr = Bit(leader);
  ASSERT_EQ(ToMask(got.isr), isr) << what;

  // Rules that hold whatever the algorithm.
  if (leader >= 0) {
    ASSERT_TRUE(isr & Bit(leader)) << what;
    ASSERT_TRUE(c.active & Bit(leader)) << what;
    ASSERT_EQ(got.may_lose_records, ((wanted | had) & ~Bit(c.lost) & Bit(leader)) == 0) << what;
    if (got.may_lose_records && !c.unclean) {
      ASSERT_EQ(had, 0U) << what;  // never while a complete replica may come back
    }
  }
  const Mask elr = ToMask(got.elr);
  ASSERT_EQ(elr & isr, 0U) << what;
  if (__builtin_popcount(isr) >= c.min_isr) {
    ASSERT_EQ(elr, 0U) << what;
    ASSERT_TRUE(got.last_known_elr.empty()) << what;
  } else {
    ASSERT_EQ(had & ~(elr | isr), 0U) << what;  // whoever had all the records may still lead
    ASSERT_EQ(elr & ~had, 0U) << what;
    if (isr == 0 && c.leader >= 0) {
      ASSERT_EQ(ToMask(got.last_known_elr), Bit(c.leader)) << what;
    }
  }
}

// Calls `visit` with every state that a partition of `count` replicas can be in.
template <typename Visit>
void EachState(int count, Visit visit) {
  const Mask all = (1U << count) - 1;
  for (Mask isr = 0; isr <= all; ++isr) {
    for (Mask elr = 0; elr <= all; ++elr) {
      if (isr & elr) continue;
      for (int leader = isr == 0 ? -1 : 0; leader < (isr == 0 ? 0 : count); ++leader) {
        if (isr != 0 && !(isr & Bit(leader))) continue;
        for (int known = -1; known <= count; ++known) {
          visit(Case{.replica_count = count,
                     .isr = isr,
                     .elr = elr,
                     .last_known = known == count ? all : Bit(known),
                     .leader = leader,
                     .lost = -1,
                     .wished = -1});
        }
      }
    }
  }
}

TEST(ElectTest, EveryInputOfUpToFourReplicas) {
  for (int count = 1; count <= 4; ++count) {
    EachState(count, [&](Case c) {
      for (c.min_isr = 1; c.min_isr <= count; ++c.min_isr) {
        for (c.active = 0; c.active < (1U << count); ++c.active) {
          c.wished = -1;
          for (c.lost = -1; c.lost < count; ++c.lost) Check(c);
          c.lost = -1;
          for (c.preferred = 0; c.preferred < count; ++c.preferred) Check(c);
          c.preferred = -1;
          c.unclean = true;
          Check(c);
          c.unclean = false;
          for (c.yields = 1; c.yields < (1U << count); ++c.yields) {
            c.preferred = static_cast<int>(c.yields) % (count + 1) - 1;
            Check(c);
          }
          c.yields = 0;
          c.preferred = -1;
          if (c.leader < 0) continue;
          for (Mask wish = 0; wish < (1U << count); ++wish) {
            c.wished = static_cast<int>(wish);
            if (wish & Bit(c.leader)) Check(c);
          }
        }
      }
    });
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(ElectTest, FiveReplicasAtRandom) {
  Random random(5);
  std::vector<Case> states;
  EachState(5, [&](const Case& c) { states.push_back(c); });
  for (int i = 0; i < 200'000; ++i) {
    Case c = states[random.Below(states.size())];
    c.min_isr = static_cast<int>(random.Between(1, 5));
    c.active = static_cast<Mask>(random.Below(32));
    c.lost = static_cast<int>(random.Between(-1, 4));
    c.yields = static_cast<Mask>(random.Below(32));
    Check(c);
    if (testing::Test::HasFatalFailure()) return;
  }
}

// The story of KIP-966: the last replica standing dies and comes back without its tail.
TEST(ElectTest, LastReplicaStanding) {
  Case c{.replica_count = 3,
         .isr = 0b001,
         .elr = 0b010,
         .last_known = 0b100,
         .active = 0b000,
         .leader = 0,
         .lost = -1,
         .wished = -1,
         .min_isr = 2};
  ElectionResult result = Decide(c);
  EXPECT_EQ(result.leader, kNoNode);
  EXPECT_EQ(ToMask(result.elr), 0b011U);
  // Broker 0 comes back having lost data while broker 1, which has all, is still away: nobody
  // leads.
  c = {.replica_count = 3,
       .isr = 0,
       .elr = 0b011,
       .last_known = 0b001,
       .active = 0b001,
       .leader = -1,
       .lost = 0,
       .wished = -1,
       .min_isr = 2};
  result = Decide(c);
  EXPECT_EQ(result.leader, kNoNode);
  EXPECT_EQ(ToMask(result.elr), 0b010U);
  // Broker 1 returns and leads, without loss.
  c = {.replica_count = 3,
       .isr = 0,
       .elr = 0b010,
       .last_known = 0b001,
       .active = 0b011,
       .leader = -1,
       .lost = -1,
       .wished = -1,
       .min_isr = 2};
  result = Decide(c);
  EXPECT_EQ(result.leader, NodeId(1));
  EXPECT_FALSE(result.may_lose_records);
}

// The last replica standing comes back on an empty disk, and the others have all but perhaps its
// tail: it is not the one to follow. Alone it is all there is.
TEST(ElectTest, AnEmptyDiskIsNoLastKnownLeader) {
  for (const int leader : {0, -1}) {
    const Case c{.replica_count = 3,
                 .isr = leader == 0 ? 0b001U : 0,
                 .elr = 0,
                 .last_known = leader == 0 ? 0 : 0b001U,
                 .active = 0b111,
                 .leader = leader,
                 .lost = 0,
                 .wished = -1,
                 .min_isr = 1,
                 .lost_all = true};
    const ElectionResult result = Decide(c);
    EXPECT_EQ(result.leader, kNoNode);
    EXPECT_TRUE(result.last_known_elr.empty());
  }
  const ElectionResult alone = Decide({.replica_count = 1,
                                       .isr = 0,
                                       .elr = 0,
                                       .last_known = 0b1,
                                       .active = 0b1,
                                       .leader = -1,
                                       .lost = 0,
                                       .wished = -1,
                                       .min_isr = 1,
                                       .lost_all = true});
  EXPECT_EQ(alone.leader, NodeId(0));
  EXPECT_TRUE(alone.may_lose_records);
}

}  // namespace
}  // namespace sluice::metadata
