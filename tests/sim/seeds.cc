#include "tests/sim/seeds.h"

#include <glog/logging.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace sluice::sim {
namespace {

uint64_t current_seed = 0;

// Not [[noreturn]]: glog wants the attribute in the type, where clang puts only this spelling.
__attribute__((noreturn)) void DieWithSeed() {
  std::fprintf(stderr, "seed %llu aborted\n", static_cast<unsigned long long>(current_seed));
  std::abort();
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

}  // namespace

std::optional<uint64_t> ParseNumber(const char* text) {
  char* end = nullptr;
  errno = 0;
  const uint64_t number = std::strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || *text == '-') return std::nullopt;
  return number;
}

std::optional<SeedOptions> ParseSeedOptions(
    int argc, char** argv,
    const std::function<bool(std::string_view name, const char* value)>& other) {
  SeedOptions options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--past") {
      if (!ReadPast(argv[i + 1], options.past)) return std::nullopt;
    } else if (name == "--seeds" || name == "--first") {
      const auto value = ParseNumber(argv[i + 1]);
      if (!value.has_value()) return std::nullopt;
      (name == "--seeds" ? options.seeds : options.first) = *value;
    } else if (!other(name, argv[i + 1])) {
      return std::nullopt;
    }
  }
  if (argc % 2 == 0 || options.seeds == 0) return std::nullopt;
  return options;
}

void LogSeeds(const char* program, int level_min) {
  google::InitGoogleLogging(program);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = level_min;
  google::InstallFailureFunction(&DieWithSeed);
}

SeedTotals RunSeeds(const SeedOptions& options,
                    const std::function<std::string(uint64_t seed)>& run) {
  SeedTotals totals;
  const auto run_one = [&](uint64_t seed) {
    current_seed = seed;
    ++totals.seeds;
    const std::string wrong = run(seed);
    if (wrong.empty()) return;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    std::fflush(stdout);
    ++totals.failures;
    if (!totals.first_failing_seed.has_value()) totals.first_failing_seed = seed;
  };
  for (const uint64_t seed : options.past) run_one(seed);
  for (uint64_t i = 0; i < options.seeds; ++i) run_one(options.first + i);
  return totals;
}

void PrintTotals(const SeedTotals& totals, const std::string& measures) {
  const std::string failing =
      totals.first_failing_seed.has_value() ? std::to_string(*totals.first_failing_seed) : "null";
  std::printf("{\"seeds\": %llu, %s, \"failures\": %llu, \"first_failing_seed\": %s}\n",
              static_cast<unsigned long long>(totals.seeds), measures.c_str(),
              static_cast<unsigned long long>(totals.failures), failing.c_str());
}

}  // namespace sluice::sim
