#include "broker/group/pending_members.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

TEST(PendingMembersTest, TheyLeaveWhenTheyComeBackOrTheirTimeIsOver) {
  PendingMembers pending;
  EXPECT_EQ(pending.next_deadline_ms(), std::nullopt);
  pending.Add("b", 10);
  pending.Add("a", 30);
  pending.Add("c", 20);
  EXPECT_EQ(pending.next_deadline_ms(), 10);
  EXPECT_EQ(pending.ids(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(pending.Erase("c"));
  EXPECT_FALSE(pending.Erase("c"));
  EXPECT_FALSE(pending.Expire(9));
  EXPECT_TRUE(pending.Expire(10));
  EXPECT_FALSE(pending.Contains("b"));
  EXPECT_EQ(pending.next_deadline_ms(), 30);
  EXPECT_TRUE(pending.Expire(30));
  EXPECT_TRUE(pending.empty());
}

TEST(PendingMembersTest, TheOldestLeaveWhenThereAreTooMany) {
  PendingMembers pending;
  // Their names are in another order than they come.
  const auto name = [](size_t i) { return (i % 2 == 0 ? "a" : "b") + std::to_string(i); };
  for (size_t i = 0; i < PendingMembers::kCountMax; ++i) pending.Add(name(i), 100);
  EXPECT_TRUE(pending.Erase(name(0)));
  pending.Add("x", 100);
  EXPECT_TRUE(pending.Contains(name(1))) << "there was room";
  pending.Add("y", 100);
  EXPECT_FALSE(pending.Contains(name(1)));
  EXPECT_TRUE(pending.Contains(name(2)));
  EXPECT_EQ(pending.size(), PendingMembers::kCountMax);
}

TEST(PendingMembersTest, TheyAreFewerWhenTheirIdsAreLong) {
  PendingMembers pending;
  constexpr size_t kIdBytes = 32000;
  for (char id = 'A'; id <= 'z'; ++id) pending.Add(std::string(kIdBytes, id), 100);
  EXPECT_EQ(pending.size(), PendingMembers::kBytesMax / kIdBytes);
  EXPECT_TRUE(pending.Contains(std::string(kIdBytes, 'z')));
  // The newest is kept whatever its size.
  pending.Add(std::string(PendingMembers::kBytesMax + 1, 'x'), 100);
  EXPECT_EQ(pending.size(), 1u);
}

}  // namespace
}  // namespace sluice::broker
