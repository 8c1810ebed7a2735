// Elect against a naive twin on bit masks, for every input of up to four replicas, and against the
// rules it must keep.

#include "metadata/election.h"

#include <gtest/gtest.h>

#include <array>

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
  Mask full = 0;
  // What each replica has told of its log: kSilent, or an index of kEnds.
  std::array<int, 8> told = {2, 2, 2, 2, 2, 2, 2, 2};
};

constexpr int kSilent = -1;
// Ascending: the log cannot be used, is empty, has many records of an older epoch, few of a newer.
constexpr LogEnd kEnds[] = {
    {}, {kNoEpoch, Offset(0)}, {LeaderEpoch(4), Offset(60)}, {LeaderEpoch(5), Offset(10)}};

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
                      .is_full = [&](NodeId node) { return (c.full >> node.value() & 1) != 0; },
                      .lost_data = NodeId(c.lost),
                      .lost_all = c.lost_all,
                      .wished_isr = {},
                      .preferred = NodeId(c.preferred),
                      .unclean = c.unclean,
                      .log_end = [&](NodeId node) -> std::optional<LogEnd> {
                        const int told = c.told[static_cast<size_t>(node.value())];
                        if (told == kSilent) return std::nullopt;
                        return kEnds[told];
                      }};
  if (c.wished >= 0) input.wished_isr = Nodes(static_cast<Mask>(c.wished));
  return Elect(input);
}

Mask All(const Case& c) { return (1U << c.replica_count) - 1; }
Mask Live(const Case& c) { return c.active & ~Bit(c.lost) & All(c); }

Mask Telling(const Case& c, Mask among, auto what) {
  Mask mask = 0;
  for (int i = 0; i < c.replica_count; ++i) {
    if ((among >> i & 1) && what(c.told[static_cast<size_t>(i)])) mask |= Bit(i);
  }
  return mask;
}

Mask Silent(const Case& c, Mask among) {
  return Telling(c, among, [](int told) { return told == kSilent; });
}

int Longest(const Case& c, Mask among) {
  for (int rank = 3; rank >= 1; --rank) {
    const Mask those = Telling(c, among, [&](int told) { return told == rank; });
    if (those != 0) return First(those);
  }
  return -1;
}

// What Elect should say, in a few lines of set arithmetic.
int TwinLeader(const Case& c, Mask isr, Mask complete) {
  if (isr & ~c.yields & ~c.full & Bit(c.preferred)) return c.preferred;
  for (const Mask willing : {isr & ~c.yields & ~c.full, isr & ~c.full, isr}) {
    if (c.leader >= 0 && (willing & Bit(c.leader))) return c.leader;
    if (willing != 0) return First(willing);
  }
  int leader = -1;
  if (complete != 0) {
    leader = First(complete & c.active);
  } else if (__builtin_popcount(c.last_known) == 1 && c.replica_count == 1) {
    leader = First(c.last_known & c.active);
  } else if (__builtin_popcount(c.last_known) == 1 && Live(c) == All(c)) {
    const Mask usable = Telling(c, All(c), [](int told) { return told > 0; });
    if (usable == All(c)) leader = Longest(c, usable);
  }
  const bool longest = leader < 0 && c.unclean && Silent(c, Live(c)) == 0;
  return longest ? Longest(c, Live(c)) : leader;
}

std::string Describe(const Case& c) {
  return "isr=" + std::to_string(c.isr) + " elr=" + std::to_string(c.elr) +
         " active=" + std::to_string(c.active) + " leader=" + std::to_string(c.leader) +
         " lost=" + std::to_string(c.lost);
}

void Check(const Case& c) {
  const ElectionResult got = Decide(c);
  const Mask wanted = c.wished >= 0 ? static_cast<Mask>(c.wished) : c.isr;
  Mask isr = wanted & c.active & ~Bit(c.lost);
  const Mask had = (c.isr | c.elr) & ~Bit(c.lost);
  const int leader = TwinLeader(c, isr, had & ~isr);
  ASSERT_EQ(got.leader.value(), leader) << Describe(c);
  if (leader >= 0 && isr == 0) isr = Bit(leader);
  ASSERT_EQ(ToMask(got.isr), isr) << Describe(c);
  ASSERT_EQ(ToMask(got.silent), leader < 0 && c.unclean ? Silent(c, Live(c)) : 0) << Describe(c);

  // Rules that hold whatever the algorithm.
  if (leader >= 0) {
    ASSERT_TRUE(isr & Bit(leader)) << Describe(c);
    ASSERT_TRUE(c.active & Bit(leader)) << Describe(c);
    ASSERT_EQ(got.may_lose_records, ((wanted | had) & ~Bit(c.lost) & Bit(leader)) == 0)
        << Describe(c);
    if (got.may_lose_records && !c.unclean) {
      ASSERT_EQ(had, 0U) << Describe(c);  // never while a complete replica may come back
    }
  }
  const Mask elr = ToMask(got.elr);
  ASSERT_EQ(elr & isr, 0U) << Describe(c);
  if (__builtin_popcount(isr) >= c.min_isr) {
    ASSERT_EQ(elr, 0U) << Describe(c);
    ASSERT_TRUE(got.last_known_elr.empty()) << Describe(c);
  } else {
    ASSERT_EQ(had & ~(elr | isr), 0U) << Describe(c);  // whoever had all the records may still lead
    ASSERT_EQ(elr & ~had, 0U) << Describe(c);
    if (isr == 0 && c.leader >= 0) {
      ASSERT_EQ(ToMask(got.last_known_elr), Bit(c.leader)) << Describe(c);
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
          for (c.yields = 0; c.yields < (1U << count); ++c.yields) {
            c.preferred = static_cast<int>(c.yields) % (count + 1) - 1;
            for (c.full = 0; c.full < (1U << count); ++c.full) Check(c);
          }
          c.yields = 0;
          c.full = 0;
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

// What is left out here is drawn at random below.
TEST(ElectTest, EveryStateOfFiveReplicasAndWhoLosesItsRecords) {
  EachState(5, [&](Case c) {
    for (c.min_isr = 1; c.min_isr <= 5; ++c.min_isr) {
      for (c.active = 0; c.active < 32 && !testing::Test::HasFatalFailure(); ++c.active) {
        for (c.lost = -1; c.lost < 5; ++c.lost) Check(c);
      }
    }
  });
}

// Calls `visit` with all that up to three replicas can have told.
template <typename Visit>
void EachTelling(Case c, Visit visit) {
  for (int code = 0; code < 5 * 5 * 5; ++code) {
    c.told = {code % 5 - 1, code / 5 % 5 - 1, code / 25 - 1};
    if (c.replica_count < 3 && code >= (c.replica_count == 1 ? 5 : 25)) return;
    visit(c);
  }
}

TEST(ElectTest, WhateverUpToThreeReplicasWithoutALeaderHaveTold) {
  for (int count = 1; count <= 3; ++count) {
    EachState(count, [&](Case c) {
      if (c.isr != 0 || testing::Test::HasFatalFailure()) return;
      c.min_isr = 1;
      for (c.active = 0; c.active < (1U << count); ++c.active) {
        for (c.lost = -1; c.lost < count; ++c.lost) {
          for (const bool unclean : {false, true}) {
            c.unclean = unclean;
            EachTelling(c, [](const Case& told) { Check(told); });
          }
        }
      }
    });
  }
}

// Whoever led last has lost records: nobody is to cut its log on account of one that has less.
TEST(ElectTest, TheLongestLogLeadsOnceAllHaveTold) {
  Case c{.replica_count = 3,
         .isr = 0,
         .elr = 0,
         .last_known = 0b001,
         .active = 0b011,
         .leader = -1,
         .lost = -1,
         .wished = -1,
         .min_isr = 1,
         .told = {1, 2, kSilent}};
  EXPECT_EQ(Decide(c).leader, kNoNode);
  c.active = 0b111;
  EXPECT_EQ(Decide(c).leader, kNoNode);
  c.told[2] = 0;  // what it has, nobody knows
  EXPECT_EQ(Decide(c).leader, kNoNode);
  c.told[2] = 3;
  EXPECT_EQ(Decide(c).leader, NodeId(2));
  EXPECT_TRUE(Decide(c).may_lose_records);
  c.told[2] = 2;
  EXPECT_EQ(Decide(c).leader, NodeId(1)) << "the first of equals";
}

// Who lives is asked, who is away is not waited for, and who cannot use its log is passed over.
TEST(ElectTest, AnUncleanElectionTakesTheLongestLogThatLives) {
  Case c{.replica_count = 3,
         .isr = 0,
         .elr = 0b100,
         .last_known = 0,
         .active = 0b011,
         .leader = -1,
         .lost = -1,
         .wished = -1,
         .min_isr = 2,
         .unclean = true,
         .told = {1, kSilent, kSilent}};
  EXPECT_EQ(Decide(c).leader, kNoNode);
  EXPECT_EQ(Decide(c).silent, std::vector<NodeId>{NodeId(1)});
  c.told[1] = 2;
  EXPECT_EQ(Decide(c).leader, NodeId(1));
  EXPECT_EQ(ToMask(Decide(c).elr), 0b100U) << "it may still bring back what this leader lacks";
  c.told[1] = 0;
  EXPECT_EQ(Decide(c).leader, NodeId(0));
  c.told[0] = 0;
  EXPECT_EQ(Decide(c).leader, kNoNode);
  EXPECT_TRUE(Decide(c).silent.empty());
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
    c.full = random.Chance(1, 2) ? static_cast<Mask>(random.Below(32)) : 0;
    c.unclean = random.Chance(1, 4);
    for (int& told : c.told)
      told = static_cast<int>(random.Between(random.Chance(1, 2) ? 1 : -1, 3));
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
