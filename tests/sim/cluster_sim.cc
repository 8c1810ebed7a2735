// cluster_sim: runs seeds of the cluster simulation (tests/sim/cluster): controllers, brokers,
// storage and raft as they are, over simulated clock, network, disks and loops; faults, then
// healing, after which everything that was acknowledged must be there, once and in order. One seed
// in twenty runs twice and must do the same.
//
//   cluster_sim --seeds 300 [--first 1] [--past FILE]
//   SLUICE_SIM_LOG=0 cluster_sim --seeds 1 --first SEED       with what the nodes log (0: all of
//   it)
//
// Each failure is told with its seed; `--seeds 1 --first SEED` repeats it. FILE holds seeds that
// are run besides. The last line is JSON: seeds, steps, seconds (of processor time),
// virtual_seconds, failures and first_failing_seed (null: none). Exit code 1 when any failed.
#include <glog/logging.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/cluster/simulation.h"

namespace sluice::sim {
namespace {

struct Options {
  uint64_t seeds = 0;
  uint64_t first = 1;
  std::vector<uint64_t> past;
};

struct Totals {
  uint64_t seeds = 0;
  uint64_t steps = 0;
  int64_t virtual_ms = 0;
  uint64_t failures = 0;
  std::optional<uint64_t> first_failing_seed;
};

uint64_t current_seed = 0;

// A broken invariant inside the product aborts: the seed must be told all the same.
// Not [[noreturn]]: glog wants the attribute in the type, where clang puts only this spelling.
__attribute__((noreturn)) void DieWithSeed() {
  std::fprintf(stderr, "seed %llu aborted\n", static_cast<unsigned long long>(current_seed));
  std::abort();
}

std::optional<uint64_t> ParseNumber(const char* text) {
  char* end = nullptr;
  errno = 0;
  const uint64_t number = std::strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || *text == '-') return std::nullopt;
  return number;
}

bool ReadPast(const char* path, std::vector<uint64_t>& seeds) {
  std::ifstream in(path);
  if (!in) return false;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    const auto seed = ParseNumber(line.substr(0, line.find(' ')).c_str());
    if (!seed.has_value()) return false;
    seeds.push_back(*seed);
  }
  return true;
}

std::optional<Options> ParseOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--past") {
      if (!ReadPast(argv[i + 1], options.past)) return std::nullopt;
      continue;
    }
    const auto value = ParseNumber(argv[i + 1]);
    uint64_t* const target = name == "--seeds"   ? &options.seeds
                             : name == "--first" ? &options.first
                                                 : nullptr;
    if (target == nullptr || !value.has_value()) return std::nullopt;
    *target = *value;
  }
  if (argc % 2 == 0 || options.seeds == 0) return std::nullopt;
  return options;
}

void RunSeed(uint64_t seed, Totals& totals) {
  current_seed = seed;
  Simulation simulation(seed);
  std::string wrong = simulation.Run();
  ++totals.seeds;
  totals.steps += simulation.cluster().steps();
  totals.virtual_ms += simulation.cluster().now_ms();
  if (wrong.empty() && seed % 20 == 0) {
    Simulation again(seed);
    again.Run();
    totals.steps += again.cluster().steps();
    totals.virtual_ms += again.cluster().now_ms();
    if (again.cluster().world().trace_hash() != simulation.cluster().world().trace_hash())
      wrong = "it ran differently the second time";
  }
  if (wrong.empty()) return;
  std::printf("seed %llu: %s\n  (%s)\n", static_cast<unsigned long long>(seed), wrong.c_str(),
              Describe(simulation.swarm()).c_str());
  std::fflush(stdout);
  ++totals.failures;
  if (!totals.first_failing_seed.has_value()) totals.first_failing_seed = seed;
}

void PrintTotals(const Totals& totals, double seconds) {
  const std::string failing =
      totals.first_failing_seed.has_value() ? std::to_string(*totals.first_failing_seed) : "null";
  std::printf(
      "{\"seeds\": %llu, \"steps\": %llu, \"seconds\": %.2f, \"virtual_seconds\": %.0f, "
      "\"failures\": %llu, \"first_failing_seed\": %s}\n",
      static_cast<unsigned long long>(totals.seeds), static_cast<unsigned long long>(totals.steps),
      seconds, static_cast<double>(totals.virtual_ms) / 1000,
      static_cast<unsigned long long>(totals.failures), failing.c_str());
}

int Main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  // What the nodes say of the faults is meant.
  const char* level = std::getenv("SLUICE_SIM_LOG");
  FLAGS_minloglevel = level == nullptr ? google::GLOG_FATAL : std::atoi(level);
  google::InstallFailureFunction(&DieWithSeed);
  const std::optional<Options> options = ParseOptions(argc, argv);
  if (!options.has_value()) {
    std::fprintf(stderr, "usage: cluster_sim --seeds N [--first S] [--past FILE]\n");
    return 2;
  }
  const std::clock_t begin = std::clock();
  Totals totals;
  for (const uint64_t seed : options->past) RunSeed(seed, totals);
  for (uint64_t i = 0; i < options->seeds; ++i) RunSeed(options->first + i, totals);
  PrintTotals(totals, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  return totals.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) { return sluice::sim::Main(argc, argv); }
