#include "raft/types.h"

#include <gtest/gtest.h>

#include <set>

#include "raft/metrics.h"
#include "raft/testing/hand_fed.h"

namespace sluice::raft::testing {
namespace {

TEST(TypesTest, ABootstrapEntryIsReadAsItWasWritten) {
  const Bootstrap given{"count", {Voter(1), Voter(2)}, "the first records"};
  const Result<Bootstrap> read = DecodeBootstrap(EncodeBootstrap(given));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->cluster_id, given.cluster_id);
  EXPECT_EQ(read->voters, given.voters);
  EXPECT_EQ(read->payload, given.payload);
}

TEST(TypesTest, ABootstrapEntryThatWasCutOrHasMoreIsRefused) {
  const std::string whole = EncodeBootstrap({"count", {Voter(1), Voter(2)}, "records"});
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_EQ(DecodeBootstrap(whole.substr(0, size)).status().code(), StatusCode::kCorruption)
        << size;
  EXPECT_FALSE(DecodeBootstrap(whole + "x").ok());
  EXPECT_FALSE(DecodeBootstrap(EncodeBootstrap({"count", {}, ""})).ok()) << "nobody would vote";
  std::string of_later_version = whole;
  of_later_version[0] = 9;
  EXPECT_NE(DecodeBootstrap(of_later_version).status().message().find("version 9"),
            std::string::npos);
}

TEST(TypesTest, MembersThatCannotBeAreNotTakenFromTheBootstrapEntry) {
  EXPECT_FALSE(MembersIn(BootstrapEntry({"count", {Voter(1), Voter(1)}, ""})).ok());
  EXPECT_FALSE(MembersIn({LogIndex(0), Term(0), EntryType::kBootstrap, "rot"}).ok());
  EXPECT_EQ(MembersIn(BootstrapEntry({"count", {Voter(1)}, ""}))->voters.size(), 1u);
}

// Metrics and logs tell them apart.
TEST(TypesTest, EachRefusalAndRoleHasItsOwnName) {
  std::set<std::string_view> names, texts;
  for (size_t i = 0; i < kRefusalCount; ++i) {
    names.insert(RefusalName(static_cast<Refusal>(i)));
    texts.insert(RefusalText(static_cast<Refusal>(i)));
  }
  EXPECT_EQ(names.size(), kRefusalCount);
  EXPECT_EQ(texts.size(), kRefusalCount);
  EXPECT_FALSE(names.contains(""));
  EXPECT_FALSE(texts.contains(""));
  std::set<std::string_view> roles;
  for (const Role role : {Role::kFollower, Role::kPreCandidate, Role::kCandidate, Role::kLeader})
    roles.insert(RoleName(role));
  EXPECT_EQ(roles.size(), 4u);
}

}  // namespace
}  // namespace sluice::raft::testing
