// cluster_sim: runs seeds of the cluster simulation (tests/sim/cluster): controllers, brokers,
// storage and raft as they are, over simulated clock, network, disks and loops; faults, then
// healing, after which everything that was acknowledged must be there, once and in order. One seed
// in twenty runs twice and must do the same.
//
//   cluster_sim --seeds 300 [--first 1] [--past FILE] [--speed-min VIRTUAL_SECONDS_A_SECOND]
//   SLUICE_SIM_LOG=0 cluster_sim --seeds 1 --first SEED       with what the nodes log (0: all of
//   it)
//
// Each failure is told with its seed; `--seeds 1 --first SEED` repeats it. FILE holds seeds that
// are run besides. The last line is JSON: seeds, steps, seconds (of processor time),
// virtual_seconds, failures and first_failing_seed (null: none). Exit code 1 when any failed, or
// when fewer virtual seconds than asked for went into one of processor time.
#include <glog/logging.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

#include "tests/sim/cluster/simulation.h"
#include "tests/sim/seeds.h"

namespace sluice::sim {
namespace {

struct Work {
  uint64_t steps = 0;
  int64_t virtual_ms = 0;
};

// Gives what was wrong, or nothing.
std::string RunSeed(uint64_t seed, Work& work) {
  Simulation simulation(seed);
  std::string wrong = simulation.Run();
  work.steps += simulation.cluster().steps();
  work.virtual_ms += simulation.cluster().now_ms();
  if (wrong.empty() && seed % 20 == 0) {
    Simulation again(seed);
    again.Run();
    work.steps += again.cluster().steps();
    work.virtual_ms += again.cluster().now_ms();
    if (again.cluster().world().trace_hash() != simulation.cluster().world().trace_hash())
      wrong = "it ran differently the second time";
  }
  if (!wrong.empty()) wrong += "\n  (" + Describe(simulation.swarm()) + ")";
  return wrong;
}

// As members of a JSON object.
std::string Measures(const Work& work, double seconds) {
  char text[200];
  std::snprintf(text, sizeof(text), "\"steps\": %llu, \"seconds\": %.2f, \"virtual_seconds\": %.0f",
                static_cast<unsigned long long>(work.steps), seconds,
                static_cast<double>(work.virtual_ms) / 1000);
  return text;
}

int Main(int argc, char** argv) {
  // What the nodes say of the faults is meant.
  const char* level = std::getenv("SLUICE_SIM_LOG");
  LogSeeds(argv[0], level == nullptr ? google::GLOG_FATAL : std::atoi(level));
  double speed_min = 0;
  const auto seeds =
      ParseSeedOptions(argc, argv, [&speed_min](std::string_view option, const char* value) {
        if (option != "--speed-min") return false;
        speed_min = std::atof(value);
        return true;
      });
  if (!seeds.has_value()) {
    std::fprintf(stderr,
                 "usage: cluster_sim --seeds N [--first S] [--past FILE] [--speed-min SECONDS]\n");
    return 2;
  }
  const std::clock_t begin = std::clock();
  Work work;
  const SeedTotals totals =
      RunSeeds(*seeds, [&work](uint64_t seed) { return RunSeed(seed, work); });
  const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  const double speed = static_cast<double>(work.virtual_ms) / 1000 / seconds;
  if (speed < speed_min) {
    std::printf("too slow: %.0f virtual seconds a second of processor time; asked for: %.0f\n",
                speed, speed_min);
  }
  PrintTotals(totals, Measures(work, seconds));
  return totals.failures == 0 && speed >= speed_min ? 0 : 1;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) { return sluice::sim::Main(argc, argv); }
