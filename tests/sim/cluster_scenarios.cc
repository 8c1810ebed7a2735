// cluster_scenarios: tells a simulated cluster the scenarios of a directory (tests/sim/scenarios),
// each with several seeds, and fails where one does not end well.
//
//   cluster_scenarios DIRECTORY [SEEDS]              5 seeds unless told
//   SLUICE_SIM_LOG=0 cluster_scenarios FILE 1        one of them, with what the nodes log
//
// A line of output for each that fails. Exit code 1 when any does, 2 when one cannot be read.
#include <glog/logging.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/sim/cluster/scenario.h"

namespace sluice::sim {
namespace {

std::vector<std::string> FilesOf(const std::string& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

int Main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  const char* level = std::getenv("SLUICE_SIM_LOG");
  FLAGS_minloglevel = level == nullptr ? google::GLOG_FATAL : std::atoi(level);
  if (argc < 2 || argc > 3) {
    std::fprintf(stderr, "usage: cluster_scenarios DIRECTORY|FILE [SEEDS]\n");
    return 2;
  }
  const int seeds = argc == 3 ? std::atoi(argv[2]) : 5;
  int failures = 0;
  const std::vector<std::string> files = FilesOf(argv[1]);
  for (const std::string& file : files) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    Result<Scenario> scenario = Scenario::Parse(text.str());
    if (!scenario.ok()) {
      std::fprintf(stderr, "%s: %s\n", file.c_str(), scenario.status().message().c_str());
      return 2;
    }
    for (int seed = 1; seed <= seeds; ++seed) {
      const std::string wrong = scenario->Run(static_cast<uint64_t>(seed));
      if (wrong.empty()) continue;
      std::printf("%s, seed %d: %s\n", file.c_str(), seed, wrong.c_str());
      ++failures;
      break;
    }
  }
  std::printf("%zu scenarios, %d fail\n", files.size(), failures);
  return failures == 0 && !files.empty() ? 0 : 1;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) { return sluice::sim::Main(argc, argv); }
