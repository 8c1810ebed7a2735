// Runs the stories of testdata/ (raft/testing/script.h explains them). After a change that is
// meant:
//
//   cd raft && ../build/release/raft_test --rewrite     and read the difference.
#include "raft/testing/script.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>

namespace sluice::raft::testing {
namespace {

std::vector<std::string> Stories() {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator("testdata")) {
    if (file.path().extension() == ".txt") names.push_back(file.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool rewrite = false;  // by main, before any test runs

class StoriesTest : public ::testing::TestWithParam<std::string> {};

TEST_P(StoriesTest, GoAsWritten) {
  const std::string path = "testdata/" + GetParam() + ".txt";
  std::stringstream written;
  written << std::ifstream(path).rdbuf();
  const std::string rerun = Script::Rerun(written.str());
  if (rewrite) {
    std::ofstream(path) << rerun;
    return;
  }
  EXPECT_EQ(rerun, written.str());
}

INSTANTIATE_TEST_SUITE_P(All, StoriesTest, ::testing::ValuesIn(Stories()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sluice::raft::testing

// Of all tests of this folder.
int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  sluice::raft::testing::rewrite = argc > 1 && std::string_view(argv[1]) == "--rewrite";
  if (sluice::raft::testing::rewrite) GTEST_FLAG_SET(filter, "*Stories*");
  return RUN_ALL_TESTS();
}
