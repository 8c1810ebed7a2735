// Runs the stories of testdata/ (broker/group/testing/group_script.h explains them). After a change
// that is meant:
//
//   cd broker && SLUICE_REWRITE=1 ../build/release/broker_test --gtest_filter='*GroupStories*'
//
// and read the difference.
#include "broker/group/testing/group_script.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::broker::testing {
namespace {

constexpr char kFolder[] = "group/testdata";

std::vector<std::string> Stories() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(kFolder)) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class GroupStoriesTest : public ::testing::TestWithParam<std::string> {};

TEST_P(GroupStoriesTest, GoAsWritten) {
  const std::string path = std::string(kFolder) + "/" + GetParam() + ".txt";
  std::stringstream written;
  written << std::ifstream(path).rdbuf();
  const std::string rerun = GroupScript::Rerun(written.str());
  if (std::getenv("SLUICE_REWRITE") != nullptr) {
    std::ofstream(path) << rerun;
    return;
  }
  EXPECT_EQ(rerun, written.str());
}

INSTANTIATE_TEST_SUITE_P(All, GroupStoriesTest, ::testing::ValuesIn(Stories()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sluice::broker::testing
