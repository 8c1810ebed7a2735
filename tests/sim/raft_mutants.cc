// raft_mutants: the Raft simulation with one planted fault (raft/fault.h). Seeds run until one of
// them fails, as it must.
//
//   raft_mutants --list                     one line a fault: its number in the table and its name
//   raft_mutants NAME [SEEDS]               2,000 unless told
//
// The last line of the output is JSON: fault, caught, seed, reached (how often the code came to the
// place of the fault) and how it showed. Exit code 0: caught; 1: it survived.
#include <glog/logging.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "raft/testing/lean_cluster.h"
#include "raft/testing/simulation.h"
#include "tests/sim/planted_faults.h"

namespace sluice::raft::testing {
namespace {

constexpr uint64_t kStepsMin = 30'000;

std::string fault_name;
uint64_t current_seed = 0;

void Print(bool caught, const std::string& how) {
  std::printf(
      "{\"fault\": \"%s\", \"caught\": %s, \"seed\": %llu, \"reached\": %llu, "
      "\"how\": \"%s\"}\n",
      fault_name.c_str(), caught ? "true" : "false", static_cast<unsigned long long>(current_seed),
      static_cast<unsigned long long>(FaultReached()), how.c_str());
  std::fflush(stdout);
}

// An invariant inside the core: that catches, too.
// Not [[noreturn]]: glog wants the attribute in the type, where clang puts only this spelling.
__attribute__((noreturn)) void CaughtByCheck() {
  Print(true, "a check in the core");
  std::_Exit(0);
}

int Main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const NamedFault& fault : NamedFaults())
      std::printf("%d %s\n", static_cast<int>(fault.fault), std::string(fault.name).c_str());
    return 0;
  }
  if (argc < 2 || argc > 3 || !PlantFault(argv[1])) {
    std::fprintf(stderr, "usage: raft_mutants --list | NAME [SEEDS]\n");
    return 2;
  }
  fault_name = argv[1];
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_ERROR;
  google::InstallFailureFunction(&CaughtByCheck);
  const uint64_t seeds = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 2000;
  for (current_seed = 1; current_seed <= seeds; ++current_seed) {
    const std::string wrong = Simulation<LeanCluster>(current_seed, kStepsMin).Run();
    if (wrong.empty()) continue;
    Print(true, wrong);
    return 0;
  }
  --current_seed;
  Print(false, "");
  return 1;
}

}  // namespace
}  // namespace sluice::raft::testing

int main(int argc, char** argv) { return sluice::raft::testing::Main(argc, argv); }
