// cluster_mutants: the cluster simulation with one planted fault (base/planted_fault.h). Seeds run
// until one of them fails, as it must.
//
//   cluster_mutants --list                  one line a fault: its number in the table and its name
//   cluster_mutants NAME [SEEDS]            1,000 unless told
//   cluster_mutants --scenario FILE         the fault that the scenario names must make it fail
//
// The last line of the output is JSON: fault, caught, seed, reached (how often the code came to the
// place of the fault) and how it showed. Exit code 0: caught; 1: it survived.
#include <glog/logging.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted_fault.h"
#include "tests/sim/cluster/scenario.h"
#include "tests/sim/cluster/simulation.h"

namespace sluice {
namespace {

struct NamedFault {
  ReplicationFault fault;
  std::string_view name;
};

const std::vector<NamedFault>& Faults() {
  static const std::vector<NamedFault> faults = {
      {ReplicationFault::kAcksBeforeReplicated, "acks-before-replicated"},
      {ReplicationFault::kCountsUnflushed, "counts-unflushed"},
      {ReplicationFault::kTruncatesToHighWatermark, "truncates-to-high-watermark"},
      {ReplicationFault::kPendingIsrIgnored, "pending-isr-ignored"},
      {ReplicationFault::kIsrWithoutBrokerEpoch, "isr-without-broker-epoch"},
      {ReplicationFault::kIsrWithoutPartitionEpoch, "isr-without-partition-epoch"},
      {ReplicationFault::kLeaseIgnored, "lease-ignored"},
      {ReplicationFault::kUnfencedEarly, "unfenced-early"},
      {ReplicationFault::kLeaseWhileFencing, "lease-while-fencing"},
      {ReplicationFault::kElectsAnyReplica, "elects-any-replica"},
      {ReplicationFault::kNoLeaseAtAcksOne, "no-lease-at-acks-one"},
      {ReplicationFault::kTruncatesTooFar, "truncates-too-far"},
      {ReplicationFault::kHighWatermarkBeyondEnd, "high-watermark-beyond-end"},
      {ReplicationFault::kElrIgnored, "elr-ignored"},
      {ReplicationFault::kElectsFenced, "elects-fenced"},
      {ReplicationFault::kProducersNotRebuilt, "producers-not-rebuilt"},
      {ReplicationFault::kOldLogKept, "old-log-kept"},
      {ReplicationFault::kDropsBeforeCatchUp, "drops-before-catch-up"},
      {ReplicationFault::kSequenceUnchecked, "sequence-unchecked"},
      {ReplicationFault::kFlushedBeyondCapture, "flushed-beyond-capture"},
      {ReplicationFault::kJoinsBehind, "joins-behind"},
      {ReplicationFault::kDivergingCounts, "diverging-counts"},
      {ReplicationFault::kMinIsrUnchecked, "min-isr-unchecked"},
      {ReplicationFault::kReadsUncommitted, "reads-uncommitted"},
      {ReplicationFault::kEndBeforeSettled, "end-before-settled"},
      {ReplicationFault::kUnsyncedCounts, "unsynced-counts"},
      {ReplicationFault::kEmptyDiskCounts, "empty-disk-counts"},
      {ReplicationFault::kOldEpochFetches, "old-epoch-fetches"},
      {ReplicationFault::kEndsWhileStopping, "ends-while-stopping"},
      {ReplicationFault::kEndsWhileRelieved, "ends-while-relieved"},
      {ReplicationFault::kEligibleDropped, "eligible-dropped"},
      {ReplicationFault::kMoveEndsUnheard, "move-ends-unheard"},
      {ReplicationFault::kNobodysLogKept, "nobodys-log-kept"},
      {ReplicationFault::kShorterLogLeads, "shorter-log-leads"},
      {ReplicationFault::kFormerDurabilityForgotten, "former-durability-forgotten"},
      {ReplicationFault::kSyncedUnproven, "synced-unproven"},
      {ReplicationFault::kFullStays, "full-stays"},
      {ReplicationFault::kDivergenceUntold, "divergence-untold"},
  };
  return faults;
}

const NamedFault* planted = nullptr;
uint64_t reached = 0;
uint64_t current_seed = 0;

void Print(bool caught, std::string how) {
  how = how.substr(0, how.find('\n'));
  std::replace(how.begin(), how.end(), '"', '\'');
  std::printf(
      "{\"fault\": \"%s\", \"caught\": %s, \"seed\": %llu, \"reached\": %llu, \"how\": \"%s\"}\n",
      std::string(planted->name).c_str(), caught ? "true" : "false",
      static_cast<unsigned long long>(current_seed), static_cast<unsigned long long>(reached),
      how.c_str());
  std::fflush(stdout);
}

// An invariant inside the product: that catches, too.
// Not [[noreturn]]: glog wants the attribute in the type, where clang puts only this spelling.
__attribute__((noreturn)) void CaughtByCheck() {
  Print(true, "a check in the product");
  std::_Exit(0);
}

bool Plant(std::string_view name) {
  for (const NamedFault& fault : Faults()) {
    if (fault.name == name) planted = &fault;
  }
  return planted != nullptr;
}

int RunScenario(const char* path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  Result<sim::Scenario> scenario = sim::Scenario::Parse(text.str());
  if (!scenario.ok() || !Plant(scenario->fault())) {
    std::fprintf(stderr, "%s: no scenario with a fault that is known\n", path);
    return 2;
  }
  constexpr uint64_t kSeeds = 5;
  for (current_seed = 1; current_seed <= kSeeds; ++current_seed) {
    const std::string wrong = scenario->Run(current_seed);
    if (wrong.empty()) continue;
    Print(true, wrong);
    return 0;
  }
  Print(false, "");
  return 1;
}

void BeginLogging(const char* program) {
  google::InitGoogleLogging(program);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_FATAL;
  google::InstallFailureFunction(&CaughtByCheck);
}

int Main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (argc == 2 && name == "--list") {
    for (const NamedFault& fault : Faults())
      std::printf("%d %s\n", static_cast<int>(fault.fault), std::string(fault.name).c_str());
    return 0;
  }
  BeginLogging(argv[0]);
  if (argc == 3 && name == "--scenario") return RunScenario(argv[2]);
  if (argc > 3 || !Plant(name)) {
    std::fprintf(stderr, "usage: cluster_mutants --list | --scenario FILE | NAME [SEEDS]\n");
    return 2;
  }
  const uint64_t seeds = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 1000;
  for (current_seed = 1; current_seed <= seeds; ++current_seed) {
    const std::string wrong = sim::Simulation(current_seed).Run();
    if (wrong.empty()) continue;
    Print(true, wrong);
    return 0;
  }
  --current_seed;
  Print(false, "");
  return 1;
}

}  // namespace

bool FaultPlanted(ReplicationFault fault) {
  if (planted == nullptr || fault != planted->fault) return false;
  ++reached;
  return true;
}

}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
