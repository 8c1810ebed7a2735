#pragma once
// Random numbers come by constructor, so that one seed repeats a whole run. Xoshiro256** (Blackman
// and Vigna, 2018) with SplitMix64 seeding: the same bits on every platform, unlike the
// distributions of <random>.
//
// Thread rule: one owner; give each thread its own.

#include <cstdint>

namespace sluice {

class Random {
 public:
  explicit Random(uint64_t seed);
  // A generator seeded from the operating system; only composition roots call this.
  static Random FromSystem();

  uint64_t Next();
  // Uniform in [0, bound); bound > 0. Lemire's multiply-shift: the bias is below 2^-32 for the
  // bounds in use here.
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high], both included; low <= high.
  int64_t Between(int64_t low, int64_t high);
  // True with probability numerator/denominator.
  bool Chance(uint64_t numerator, uint64_t denominator) { return Below(denominator) < numerator; }
  // An independent generator, seeded from this one.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_[4];
};

}  // namespace sluice
