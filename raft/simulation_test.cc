// The simulation (testing/simulation.h): hundreds of seeds, each a cluster of its own with faults
// of its own. Once with drivers and all, and once of cores alone, where a step costs less than a
// microsecond: raft_sim runs that one for many more schedules. One seed repeats one run exactly.
//
//   SLUICE_SIM_SEEDS=20000   more seeds            SLUICE_SIM_SEED=1234   only this one
//   SLUICE_SIM_TRACE=FILE    with SLUICE_SIM_SEED: all messages of the run, in words
#include "raft/testing/simulation.h"

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "raft/testing/lean_cluster.h"
#include "raft/testing/sim_cluster.h"

namespace sluice::raft::testing {
namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr uint64_t kSeedsDefault = 200;  // each takes ten times as long
constexpr uint64_t kLeanSeedsDefault = 200;
#else
constexpr uint64_t kSeedsDefault = 1000;
constexpr uint64_t kLeanSeedsDefault = 500;  // raft_sim runs many more, and longer ones
#endif

uint64_t current_seed = 0;

// A broken invariant inside the core aborts: the seed must be told all the same.
// Not [[noreturn]]: glog wants the attribute in the type, where clang puts only this spelling.
__attribute__((noreturn)) void DieWithSeed() {
  std::cerr << "simulation: seed " << current_seed << " (SLUICE_SIM_SEED=" << current_seed
            << " repeats it)\n";
  std::abort();
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

void WriteTrace(const std::vector<std::string>& trace) {
  const char* path = std::getenv("SLUICE_SIM_TRACE");
  if (path == nullptr) return;
  std::ofstream out(path);
  for (const std::string& line : trace) out << line << '\n';
}

// Cores alone, in a lean cluster.
struct LeanTotals {
  uint64_t steps = 0;
  size_t committed = 0;
  size_t reads = 0;
  uint64_t member_changes = 0;
};

bool RunLeanSeed(uint64_t seed, LeanTotals& totals) {
  current_seed = seed;
  Simulation<LeanCluster> simulation(seed);
  const std::string wrong = simulation.Run();
  totals.steps += simulation.cluster().steps();
  totals.committed += simulation.cluster().invariants().committed_count();
  totals.reads += simulation.history().reads();
  totals.member_changes += simulation.cluster().member_changes();
  EXPECT_EQ(wrong, "") << "lean, seed " << seed << " (SLUICE_SIM_SEED=" << seed << " repeats it)";
  if (seed % 20 == 0) {
    Simulation<LeanCluster> again(seed);
    EXPECT_EQ(again.Run(), wrong);
    EXPECT_EQ(again.cluster().trace_hash(), simulation.cluster().trace_hash())
        << "seed " << seed << " ran differently the second time";
  }
  return wrong.empty();
}

bool RunSeed(uint64_t seed, size_t& committed) {
  current_seed = seed;
  std::vector<std::string> trace;
  Simulation<SimCluster> simulation(seed);
  if (std::getenv("SLUICE_SIM_SEED") != nullptr) simulation.cluster().set_trace(&trace);
  const std::string wrong = simulation.Run();
  WriteTrace(trace);
  committed += simulation.cluster().invariants().committed_count();
  EXPECT_EQ(wrong, "") << "seed " << seed << " (SLUICE_SIM_SEED=" << seed << " repeats it)";
  if (seed % 20 == 0) {
    Simulation<SimCluster> again(seed);
    EXPECT_EQ(again.Run(), wrong);
    EXPECT_EQ(again.cluster().trace_hash(), simulation.cluster().trace_hash())
        << "seed " << seed << " ran differently the second time";
  }
  return wrong.empty();
}

TEST(Simulation, SafeUnderFaultsAndLiveAfterwards) {
  google::InstallFailureFunction(&DieWithSeed);
  size_t committed = 0;
  if (std::getenv("SLUICE_SIM_SEED") != nullptr) {
    RunSeed(FromEnvironment("SLUICE_SIM_SEED", 0), committed);
    return;
  }
  const uint64_t seeds = FromEnvironment("SLUICE_SIM_SEEDS", kSeedsDefault);
  int failures = 0;
  for (uint64_t seed = 1; seed <= seeds && failures < 5; ++seed)
    failures += RunSeed(seed, committed) ? 0 : 1;
  // A simulator in which nothing is ever committed would find nothing.
  EXPECT_GT(committed, seeds * 20);
  RecordProperty("committed_entries", static_cast<int>(committed));
}

TEST(Simulation, TheSameOfCoresAlone) {
  google::InstallFailureFunction(&DieWithSeed);
  LeanTotals totals;
  if (std::getenv("SLUICE_SIM_SEED") != nullptr) {
    RunLeanSeed(FromEnvironment("SLUICE_SIM_SEED", 0), totals);
    return;
  }
  const uint64_t seeds = FromEnvironment("SLUICE_SIM_SEEDS", kLeanSeedsDefault);
  int failures = 0;
  for (uint64_t seed = 1; seed <= seeds && failures < 5; ++seed)
    failures += RunLeanSeed(seed, totals) ? 0 : 1;
  EXPECT_GT(totals.committed, seeds * 20);
  EXPECT_GT(totals.reads, seeds * 20);
  EXPECT_GT(totals.member_changes, seeds / 2);
  EXPECT_GT(totals.steps, seeds * 1000);
  RecordProperty("steps", static_cast<int64_t>(totals.steps));
  RecordProperty("member_changes", static_cast<int64_t>(totals.member_changes));
}

}  // namespace
}  // namespace sluice::raft::testing
