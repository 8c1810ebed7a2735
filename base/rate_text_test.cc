#include "base/rate_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice {
namespace {

TEST(RateTextTest, SaysItInTheUnitThatFits) {
  constexpr int64_t kMiB = 1 << 20;
  EXPECT_EQ(RateText(0), "0 KiB/s");
  EXPECT_EQ(RateText(16 << 10), "16 KiB/s");
  EXPECT_EQ(RateText(kMiB), "1 MiB/s");
  EXPECT_EQ(RateText(kMiB * 3 / 2), "1.5 MiB/s");
  EXPECT_EQ(RateText(41 * kMiB / 2), "20.5 MiB/s");
  EXPECT_EQ(RateText(50 * kMiB), "50 MiB/s");
  EXPECT_NE(RateText(std::numeric_limits<int64_t>::max() - kMiB), "");
}

}  // namespace
}  // namespace sluice
