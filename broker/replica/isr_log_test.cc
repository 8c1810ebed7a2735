#include "broker/replica/isr_log.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

storage::TopicPartition Orders(int32_t index) { return {"orders", PartitionIndex(index)}; }

TEST(IsrLog, ABurstIsOneLineWithAFewNames) {
  IsrLog log;
  for (int32_t i = 0; i < 380; ++i) log.NoteJoined(Orders(i), NodeId(2));
  log.NoteRefused(Orders(8), NodeId(4));
  log.NoteLeaves(Orders(7), NodeId(3));
  EXPECT_EQ(log.TakeSummary(),
            "broker 3 is to leave the ISR of 1 partition: orders-7; broker 2 has joined the ISR of "
            "380 partitions: orders-0, orders-1, orders-2 and 377 more; broker 4 has all there is, "
            "and is refused by the controller in the ISR of 1 partition: orders-8");
}

TEST(IsrLog, WhatIsToldIsNotToldAgain) {
  IsrLog log;
  EXPECT_EQ(log.TakeSummary(), "");
  log.NoteJoined(Orders(0), NodeId(2));
  EXPECT_EQ(log.TakeSummary(), "broker 2 has joined the ISR of 1 partition: orders-0");
  EXPECT_EQ(log.TakeSummary(), "");
}

}  // namespace
}  // namespace sluice::broker
