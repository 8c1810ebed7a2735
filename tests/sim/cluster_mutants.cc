// cluster_mutants: the cluster simulation with one planted fault (base/planted_fault.h). Seeds run
// until one of them fails, as it must.
//
//   cluster_mutants --list                  one line a fault: its number in the table and its name
//   cluster_mutants NAME [SEEDS]            300 unless told
//
// The last line of the output is JSON: fault, caught, seed, reached (how often the code came to the
// place of the fault) and how it showed. Exit code 0: caught; 1: it survived.
#include <glog/logging.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/planted_fault.h"
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

int Main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (argc == 2 && name == "--list") {
    for (const NamedFault& fault : Faults())
      std::printf("%d %s\n", static_cast<int>(fault.fault), std::string(fault.name).c_str());
    return 0;
  }
  for (const NamedFault& fault : Faults()) {
    if (fault.name == name) planted = &fault;
  }
  if (planted == nullptr || argc > 3) {
    std::fprintf(stderr, "usage: cluster_mutants --list | NAME [SEEDS]\n");
    return 2;
  }
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_FATAL;
  google::InstallFailureFunction(&CaughtByCheck);
  const uint64_t seeds = argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 300;
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
