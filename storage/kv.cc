// What follows from a Kv whatever it is made of.
#include "storage/kv.h"

#include <algorithm>

namespace sluice::storage {

std::optional<Offset> TombstonesStayFrom(const Kv& kv, std::string_view stream) {
  const auto applied = kv.Applied(stream);
  const bool no_view = applied.ok() && !*applied;
  if (no_view) return std::nullopt;
  return kv.DurablyApplied(stream).value_or(Offset(0));
}

size_t KvCacheBytes(uint64_t memory_limit_bytes) {
  constexpr uint64_t kLeast = 8 << 20;
  constexpr uint64_t kMost = 512 << 20;
  constexpr uint64_t kShare = 64;
  return static_cast<size_t>(std::clamp(memory_limit_bytes / kShare, kLeast, kMost));
}

}  // namespace sluice::storage
