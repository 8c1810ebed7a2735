#include "storage/compaction/key_hash.h"

#include <bit>
#include <cstring>

namespace sluice::storage {
namespace {

static_assert(std::endian::native == std::endian::little);

struct SipState {
  uint64_t v0, v1, v2, v3;

  void Rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void Absorb(uint64_t word) {
    v3 ^= word;
    Rounds(2);
    v0 ^= word;
  }
  uint64_t Output() {
    Rounds(4);
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

KeyHash KeyHasher::Hash(std::string_view key) const {
  SipState state{low_ ^ 0x736f6d6570736575, high_ ^ 0x646f72616e646f6d ^ 0xee,
                 low_ ^ 0x6c7967656e657261, high_ ^ 0x7465646279746573};
  const char* at = key.data();
  size_t left = key.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state.Absorb(word);
  }
  uint64_t last = static_cast<uint64_t>(key.size()) << 56;
  for (size_t i = 0; i < left; ++i) last |= uint64_t{static_cast<uint8_t>(at[i])} << (8 * i);
  state.Absorb(last);
  state.v2 ^= 0xee;
  KeyHash hash;
  hash.low = state.Output();
  state.v1 ^= 0xdd;
  hash.high = state.Output();
  return hash;
}

}  // namespace sluice::storage
