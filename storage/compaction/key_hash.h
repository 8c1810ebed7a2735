#pragma once
// KeyHash: what the cleaner remembers of a record's key in place of the key: SipHash-2-4 with 128
// bits of output (Aumasson and Bernstein, 2012), under a secret that is drawn anew for each run.
// Two keys with the same hash would cost one of them its record; with a secret nobody can make such
// a pair, and by chance it does not happen.
//
// Thread rule: pure functions over values.

#include <cstdint>
#include <string_view>

#include "base/random.h"

namespace sluice::storage {

struct KeyHash {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const KeyHash&, const KeyHash&) = default;
};

class KeyHasher {
 public:
  KeyHasher(uint64_t secret_low, uint64_t secret_high) : low_(secret_low), high_(secret_high) {}
  explicit KeyHasher(Random& random) : low_(random.Next()), high_(random.Next()) {}

  KeyHash Hash(std::string_view key) const;

 private:
  uint64_t low_;
  uint64_t high_;
};

}  // namespace sluice::storage
