#include "base/uuid.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

TEST(UuidTest, PrintsAsKafkaDoes) {
  EXPECT_EQ(Uuid().ToString(), "AAAAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(Uuid::FromBytes(std::string(16, '\xFF')).ToString(), "_____________________w");
  // The id that Kafka reserves for its metadata topic: fifteen zero bytes and a one.
  EXPECT_EQ(Uuid::FromBytes(std::string(15, '\0') + '\1').ToString(), "AAAAAAAAAAAAAAAAAAAAAQ");
}

TEST(UuidTest, ParsesWhatItPrints) {
  Random random(7);
  for (int i = 0; i < 100; ++i) {
    const Uuid id = Uuid::Generate(random);
    const Result<Uuid> parsed = Uuid::Parse(id.ToString());
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, id);
  }
}

TEST(UuidTest, RefusesWhatIsNoUuid) {
  EXPECT_FALSE(Uuid::Parse("").ok());
  EXPECT_FALSE(Uuid::Parse("AAAAAAAAAAAAAAAAAAAAA").ok());
  EXPECT_FALSE(Uuid::Parse("AAAAAAAAAAAAAAAAAAAAAA==").ok());
  const Result<Uuid> wrong = Uuid::Parse("AAAAAAAAAAAAAAAAAAAAA+");
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.status().message(),
            "uuid 'AAAAAAAAAAAAAAAAAAAAA+' holds a character outside A-Z a-z 0-9 - _");
}

TEST(UuidTest, GeneratesVersionFourAndNoLeadingDash) {
  Random random(1);
  std::set<Uuid> seen;
  for (int i = 0; i < 1000; ++i) {
    const Uuid id = Uuid::Generate(random);
    EXPECT_EQ(id.bytes()[6] >> 4, 4);
    EXPECT_EQ(id.bytes()[8] >> 6, 2);
    EXPECT_NE(id.ToString().front(), '-');
    EXPECT_FALSE(id.IsZero());
    seen.insert(id);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(UuidTest, OneSeedGivesTheSameIds) {
  Random a(3);
  Random b(3);
  EXPECT_EQ(Uuid::Generate(a), Uuid::Generate(b));
}

}  // namespace
}  // namespace sluice
