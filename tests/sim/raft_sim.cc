// raft_sim: runs seeds of the Raft simulation (raft/testing/simulation.h, of cores alone): faults
// for so many steps, then healing, after which the cluster must work again. One seed in twenty runs
// twice and must do the same.
//
//   raft_sim --seeds 2000 [--first 1] [--steps-min 30000] [--past FILE]
//   raft_sim --seeds 1 --first SEED --trace FILE       what the cores did
//   (raft/testing/json_trace.h)
//
// Each failure is told with its seed; `--seeds 1 --first SEED` repeats it. FILE holds seeds that
// are run besides. The last line is JSON: seeds, steps, seconds, steps_per_minute, failures and
// first_failing_seed (null: none). Exit code 1 when any failed.
#include <glog/logging.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "raft/testing/lean_cluster.h"
#include "raft/testing/simulation.h"

namespace sluice::raft::testing {
namespace {

struct Options {
  uint64_t seeds = 0;
  uint64_t first = 1;
  uint64_t steps_min = 30'000;
  std::vector<uint64_t> past;
  std::string trace_path;
};

struct Totals {
  uint64_t seeds = 0;
  uint64_t steps = 0;
  uint64_t failures = 0;
  std::optional<uint64_t> first_failing_seed;
};

uint64_t current_seed = 0;

// A broken invariant inside the core aborts: the seed must be told all the same.
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
    if (name == "--trace") {
      options.trace_path = argv[i + 1];
      continue;
    }
    const auto value = ParseNumber(argv[i + 1]);
    uint64_t* const target = name == "--seeds"       ? &options.seeds
                             : name == "--first"     ? &options.first
                             : name == "--steps-min" ? &options.steps_min
                                                     : nullptr;
    if (target == nullptr || !value.has_value()) return std::nullopt;
    *target = *value;
  }
  if (argc % 2 == 0 || options.seeds == 0) return std::nullopt;
  if (!options.trace_path.empty() && (options.seeds > 1 || !options.past.empty()))
    return std::nullopt;
  return options;
}

void RunSeed(uint64_t seed, uint64_t steps_min, Totals& totals, JsonTrace* trace = nullptr) {
  current_seed = seed;
  Simulation<LeanCluster> simulation(seed, steps_min);
  simulation.cluster().set_trace(trace);
  std::string wrong = simulation.Run();
  ++totals.seeds;
  totals.steps += simulation.cluster().steps();
  if (wrong.empty() && seed % 20 == 0) {
    Simulation<LeanCluster> again(seed, steps_min);
    again.Run();
    totals.steps += again.cluster().steps();
    if (again.cluster().trace_hash() != simulation.cluster().trace_hash())
      wrong = "it ran differently the second time";
  }
  if (wrong.empty()) return;
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
  ++totals.failures;
  if (!totals.first_failing_seed.has_value()) totals.first_failing_seed = seed;
}

void PrintTotals(const Totals& totals, double seconds) {
  const std::string failing =
      totals.first_failing_seed.has_value() ? std::to_string(*totals.first_failing_seed) : "null";
  std::printf(
      "{\"seeds\": %llu, \"steps\": %llu, \"seconds\": %.2f, \"steps_per_minute\": %.0f, "
      "\"failures\": %llu, \"first_failing_seed\": %s}\n",
      static_cast<unsigned long long>(totals.seeds), static_cast<unsigned long long>(totals.steps),
      seconds, seconds > 0 ? static_cast<double>(totals.steps) / seconds * 60 : 0.0,
      static_cast<unsigned long long>(totals.failures), failing.c_str());
}

int Main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_ERROR;  // of what is refused there is a lot, and it is meant
  google::InstallFailureFunction(&DieWithSeed);
  const std::optional<Options> options = ParseOptions(argc, argv);
  if (!options.has_value()) {
    std::fprintf(
        stderr,
        "usage: raft_sim --seeds N [--first S] [--steps-min N] [--past FILE | --trace FILE]\n");
    return 2;
  }
  const SystemClock clock;
  const int64_t begin_ms = clock.SteadyMs();
  Totals totals;
  for (const uint64_t seed : options->past) RunSeed(seed, options->steps_min, totals);
  std::ofstream trace_file(options->trace_path);
  JsonTrace trace(trace_file);
  JsonTrace* const traced = options->trace_path.empty() ? nullptr : &trace;
  for (uint64_t i = 0; i < options->seeds; ++i)
    RunSeed(options->first + i, options->steps_min, totals, traced);
  PrintTotals(totals, static_cast<double>(clock.SteadyMs() - begin_ms) / 1000);
  return totals.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::raft::testing

int main(int argc, char** argv) { return sluice::raft::testing::Main(argc, argv); }
