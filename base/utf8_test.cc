#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using namespace std::string_view_literals;

TEST(Utf8Test, TakesTheFirstAndTheLastCharacterOfEveryLength) {
  for (const std::string_view good :
       {""sv, "plain"sv, "\0"sv, "\x7F"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv,
        "\xED\x9F\xBF"sv, "\xEE\x80\x80"sv, "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv,
        "\xF4\x8F\xBF\xBF"sv, "caf\xC3\xA9 \xE2\x82\xAC"sv}) {
    EXPECT_TRUE(IsUtf8(good)) << ::testing::PrintToString(good);
  }
}

TEST(Utf8Test, RefusesWhatRfc3629Forbids) {
  for (const std::string_view bad :
       {"\xFF"sv, "\x80"sv, "a\xBF"sv, "\xC2"sv, "\xE2\x82"sv, "\xF0\x9F\x98"sv, "\xC2z"sv,
        "\xE2z\xAC"sv, "\xE2\x82z"sv, "\xC0\x80"sv, "\xC1\xBF"sv, "\xE0\x9F\xBF"sv,
        "\xED\xA0\x80"sv, "\xED\xBF\xBF"sv, "\xF0\x8F\xBF\xBF"sv, "\xF4\x90\x80\x80"sv,
        "\xF5\x80\x80\x80"sv}) {
    EXPECT_FALSE(IsUtf8(bad)) << ::testing::PrintToString(bad);
    EXPECT_FALSE(IsUtf8("before " + std::string(bad) + " after"));
  }
}

TEST(Utf8Test, TakesOneCharacterAfterTheOther) {
  std::string_view bytes =
      "a\xC3\xA4\xE4\xB8\x96\xF0\x9F\x98\x80\xED\xA0\x80z\xF4\x8F\xBF\xBF\xC3"sv;
  std::u32string characters;
  while (!bytes.empty()) characters.push_back(TakeUtf8Character(bytes));
  EXPECT_EQ(characters, U"a\u00E4\u4E16\U0001F600\uFFFD\uFFFD\uFFFDz\U0010FFFF\uFFFD");
}

}  // namespace
}  // namespace sluice
