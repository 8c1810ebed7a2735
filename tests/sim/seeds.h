#pragma once
// What the simulations that run seed after seed have in common: which seeds, what came of them, and
// that a seed is told even when it ends the process.
//
// Thread rule: one thread, one run in a process.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::sim {

struct SeedOptions {
  uint64_t seeds = 0;  // how many, from `first` on
  uint64_t first = 1;
  std::vector<uint64_t> past;  // that are run before them
};

// Digits and nothing else, within 64 bits.
std::optional<uint64_t> ParseNumber(const char* text);

// --seeds N, which has to be there, --first S, and --past FILE with a seed at the beginning of each
// line that is not empty and does not begin with '#'. `other` takes what else the program knows,
// and says whether it does. nullopt: it is not understood.
std::optional<SeedOptions> ParseSeedOptions(
    int argc, char** argv,
    const std::function<bool(std::string_view name, const char* value)>& other);

struct SeedTotals {
  uint64_t seeds = 0;
  uint64_t failures = 0;
  std::optional<uint64_t> first_failing_seed;
};

// The log goes to stderr from `level_min` on (glog's numbers). A broken invariant inside the
// product aborts: the seed that runs is told all the same.
void LogSeeds(const char* program, int level_min);

// `run`: gives what was wrong, or nothing.
SeedTotals RunSeeds(const SeedOptions& options,
                    const std::function<std::string(uint64_t seed)>& run);

// The last line: a JSON object with the totals around `measures`, members that the program adds.
void PrintTotals(const SeedTotals& totals, const std::string& measures);

}  // namespace sluice::sim
