// raft_sim: runs seeds of the Raft simulation (raft/testing/simulation.h, of cores alone): faults
// for so many steps, then healing, after which the cluster must work again. One seed in twenty runs
// twice and must do the same.
//
//   raft_sim --seeds 2000 [--first 1] [--steps-min 30000] [--past FILE]
//   raft_sim --seeds 1 --first SEED --trace FILE       what the cores did
//   (raft/testing/json_trace.h)
//
// Each failure is told with its seed; `--seeds 1 --first SEED` repeats it. FILE holds seeds that
// are run besides. The last line is JSON: seeds, steps, seconds, steps_per_minute, excused (without
// a leader in the end, where nobody could be one), failures and first_failing_seed (null: none).
// Exit code 1 when any failed.
#include <glog/logging.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "raft/testing/lean_cluster.h"
#include "raft/testing/simulation.h"
#include "tests/sim/seeds.h"

namespace sluice::raft::testing {
namespace {

struct Options {
  uint64_t steps_min = 30'000;
  std::string trace_path;
};

struct Measures {
  uint64_t steps = 0;
  uint64_t excused = 0;  // seeds that ended without a leader, and nobody could be one
};

// Adds to `measures`. Gives what was wrong, or nothing.
std::string RunSeed(uint64_t seed, uint64_t steps_min, JsonTrace* trace, Measures& measures) {
  Simulation<LeanCluster> simulation(seed, steps_min);
  simulation.cluster().set_trace(trace);
  const std::string wrong = simulation.Run();
  measures.steps += simulation.cluster().steps();
  measures.excused += simulation.excused() ? 1 : 0;
  if (!wrong.empty() || seed % 20 != 0) return wrong;
  Simulation<LeanCluster> again(seed, steps_min);
  again.Run();
  measures.steps += again.cluster().steps();
  return again.cluster().trace_hash() == simulation.cluster().trace_hash()
             ? ""
             : "it ran differently the second time";
}

// As members of a JSON object.
std::string Tell(const Measures& measures, double seconds) {
  char text[200];
  std::snprintf(text, sizeof(text),
                "\"steps\": %llu, \"seconds\": %.2f, \"steps_per_minute\": %.0f, \"excused\": %llu",
                static_cast<unsigned long long>(measures.steps), seconds,
                seconds > 0 ? static_cast<double>(measures.steps) / seconds * 60 : 0.0,
                static_cast<unsigned long long>(measures.excused));
  return text;
}

int Main(int argc, char** argv) {
  sim::LogSeeds(argv[0], google::GLOG_ERROR);  // of what is refused there is a lot, and it is meant
  Options options;
  const auto own = [&options](std::string_view name, const char* value) {
    if (name == "--trace") options.trace_path = value;
    const auto number = name == "--steps-min" ? sim::ParseNumber(value) : std::nullopt;
    options.steps_min = number.value_or(options.steps_min);
    return name == "--trace" || number.has_value();
  };
  const auto seeds = sim::ParseSeedOptions(argc, argv, own);
  const bool traced = !options.trace_path.empty();
  if (!seeds.has_value() || (traced && (seeds->seeds > 1 || !seeds->past.empty()))) {
    std::fprintf(
        stderr,
        "usage: raft_sim --seeds N [--first S] [--steps-min N] [--past FILE | --trace FILE]\n");
    return 2;
  }
  const SystemClock clock;
  const int64_t begin_ms = clock.SteadyMs();
  std::ofstream trace_file(options.trace_path);
  JsonTrace trace(trace_file);
  Measures measures;
  const sim::SeedTotals totals = sim::RunSeeds(*seeds, [&](uint64_t seed) {
    return RunSeed(seed, options.steps_min, traced ? &trace : nullptr, measures);
  });
  sim::PrintTotals(totals, Tell(measures, static_cast<double>(clock.SteadyMs() - begin_ms) / 1000));
  return totals.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::raft::testing

int main(int argc, char** argv) { return sluice::raft::testing::Main(argc, argv); }
