#include "broker/leaderless_logs.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace sluice::broker {
namespace {

using Replica = LeaderlessLogs::Replica;

Replica At(int32_t partition) {
  return {Uuid::FromBytes(std::string(16, 't')), PartitionIndex(partition)};
}

std::vector<LeaderlessLogs::End> Ends(const std::vector<Replica>& replicas) {
  std::vector<LeaderlessLogs::End> ends;
  for (const Replica& replica : replicas) ends.push_back({.replica = replica});
  return ends;
}

TEST(LeaderlessLogsTest, EachIsToldInItsTurn) {
  LeaderlessLogs logs;
  constexpr int kCount = 2500;
  for (int i = 0; i < kCount; ++i) logs.Note(At(i), true);
  std::map<Replica, int> told;
  for (int heartbeat = 0; heartbeat < 5; ++heartbeat) {
    const std::vector<Replica> next = logs.NextToTell();
    EXPECT_EQ(next.size(), LeaderlessLogs::kToldMax);
    logs.Offer(Ends(next));
    for (const auto& end : logs.Take()) ++told[end.replica];
  }
  EXPECT_EQ(told.size(), static_cast<size_t>(kCount));
  for (const auto& [replica, times] : told) EXPECT_EQ(times, 2);
}

TEST(LeaderlessLogsTest, WhatNoHeartbeatHasTakenStays) {
  LeaderlessLogs logs;
  EXPECT_TRUE(logs.NextToTell().empty());
  logs.Note(At(1), true);
  logs.Offer(Ends(logs.NextToTell()));
  EXPECT_TRUE(logs.NextToTell().empty());
  EXPECT_EQ(logs.Take().size(), 1U);
  EXPECT_TRUE(logs.Take().empty());
  EXPECT_EQ(logs.NextToTell(), std::vector<Replica>{At(1)});
  logs.Note(At(1), false);
  EXPECT_TRUE(logs.NextToTell().empty());
}

}  // namespace
}  // namespace sluice::broker
