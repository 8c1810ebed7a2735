#include "base/log_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(LogTextTest, WritesNoLinesOfItsOwnAndNoLongOnes) {
  EXPECT_EQ(LogText("kcat 1.7", 20), "kcat 1.7");
  EXPECT_EQ(LogText("a\nE1123 fake\x1b[0m\x7f", 40), "a?E1123 fake?[0m?");
  EXPECT_EQ(LogText("\xC3\xA4", 10), "??");
  EXPECT_EQ(LogText("abcdef", 6), "abcdef");
  EXPECT_EQ(LogText("abcdefg", 6), "abcdef...");
}

}  // namespace
}  // namespace sluice
