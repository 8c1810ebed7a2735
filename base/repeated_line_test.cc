#include "base/repeated_line.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(RepeatedLineTest, TheFirstIsToldThenOneAMinuteWithTheirNumber) {
  RepeatedLine line;
  EXPECT_FALSE(line.Over());
  EXPECT_EQ(line.Failed(1000), "");
  for (int64_t ms = 2000; ms < 61'000; ms += 1000) EXPECT_EQ(line.Failed(ms), std::nullopt) << ms;
  EXPECT_EQ(line.Failed(61'000), " (60 times since the last line)");
  EXPECT_EQ(line.Failed(62'000), std::nullopt);
  EXPECT_TRUE(line.Over());
  EXPECT_FALSE(line.Over());
  EXPECT_EQ(line.Failed(63'000), "") << "another first one";
  EXPECT_EQ(line.Failed(200'000), "");
}

}  // namespace
}  // namespace sluice
