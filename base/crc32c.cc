// The implementations of CRC-32C and the choice between them.
//
// The instruction computes eight bytes a cycle but answers only after three, so the SSE4.2 path
// runs three streams beside each other and joins them: the checksum of A|B|C is
// crc(A)*x^(8(|B|+|C|)) + crc(B)*x^(8|C|) + crc(C) in GF(2)[x] modulo the polynomial, and the
// product is one carry-less multiplication. Its constants are computed by the compiler below.
// Processors with 512-bit carry-less products fold instead, at more than twice that speed.

#include "base/crc32c.h"

#include <array>
#include <cstring>

#include "base/crc32c_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace sluice {
namespace crc32c_internal {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // reflected: bit 31 is x^0

using Tables = std::array<std::array<uint32_t, 256>, 8>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < 8; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

inline uint64_t LoadWord(const char* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

}  // namespace

uint32_t ExtendByTable(uint32_t crc, std::string_view data) {
  crc = ~crc;
  const char* at = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) {
    const uint64_t word = LoadWord(at) ^ crc;
    crc = 0;
    for (size_t byte = 0; byte < 8; ++byte) crc ^= kTables[7 - byte][(word >> (8 * byte)) & 0xFF];
  }
  for (; left > 0; --left, ++at) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<uint8_t>(*at)) & 0xFF];
  }
  return ~crc;
}

#if defined(__x86_64__)
namespace {

constexpr size_t kLongStream = 1024;  // bytes of each of the three streams
constexpr size_t kShortStream = 128;

// The factor that moves a checksum over `bytes` more bytes: x^(8*bytes - 33) mod P. The missing 33
// come from the step itself: the carry-less product of two reflected numbers is one power of x too
// high, and the crc32 instruction multiplies by x^32 while reducing.
constexpr uint32_t MoveFactor(size_t bytes) {
  uint32_t factor = 0x80000000;  // x^0
  for (size_t power = 0; power < 8 * bytes - 33; ++power) {
    factor = (factor >> 1) ^ ((factor & 1) != 0 ? kPolynomial : 0);
  }
  return factor;
}

#define SLUICE_CRC_TARGET __attribute__((target("sse4.2,pclmul")))

SLUICE_CRC_TARGET inline uint64_t Multiply(uint64_t crc, uint32_t factor) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(crc)),
                                               _mm_cvtsi64_si128(factor), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

// Consumes as many triples of streams as fit.
template <size_t kStream>
SLUICE_CRC_TARGET inline uint64_t ExtendTriples(uint64_t crc, const char*& at, size_t& left) {
  constexpr uint32_t kOneStream = MoveFactor(kStream);
  constexpr uint32_t kTwoStreams = MoveFactor(2 * kStream);
  for (; left >= 3 * kStream; left -= 3 * kStream, at += 3 * kStream) {
    uint64_t first = crc;
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kStream; i += 8) {
      first = _mm_crc32_u64(first, LoadWord(at + i));
      second = _mm_crc32_u64(second, LoadWord(at + kStream + i));
      third = _mm_crc32_u64(third, LoadWord(at + 2 * kStream + i));
    }
    const uint64_t moved = Multiply(first, kTwoStreams) ^ Multiply(second, kOneStream);
    crc = _mm_crc32_u64(0, moved) ^ third;
  }
  return crc;
}

SLUICE_CRC_TARGET uint32_t ExtendBySse42(uint32_t crc32, std::string_view data) {
  uint64_t crc = ~crc32;
  const char* at = data.data();
  size_t left = data.size();
  crc = ExtendTriples<kLongStream>(crc, at, left);
  crc = ExtendTriples<kShortStream>(crc, at, left);
  for (; left >= 8; left -= 8, at += 8) crc = _mm_crc32_u64(crc, LoadWord(at));
  for (; left > 0; --left, ++at) {
    crc = _mm_crc32_u8(static_cast<uint32_t>(crc), static_cast<uint8_t>(*at));
  }
  return ~static_cast<uint32_t>(crc);
}

// Folding: a block of the message is moved over the bytes behind it by two carry-less products, so
// that it can be added to a later block; what is left at the end is 64 bytes with the same
// checksum. A product of a 64-bit and a 32-bit factor is reflected at 128 bits and thereby x^33 too
// high, which MoveFactor makes good; the first eight bytes of a block lie eight bytes further
// ahead.
#define SLUICE_FOLD_TARGET __attribute__((target("sse4.2,pclmul,avx512f,avx512vl,vpclmulqdq")))

constexpr uint64_t kFoldLanes = 4;  // of 64 bytes: what is folded at a time
constexpr size_t kFoldBytes = 64 * kFoldLanes;
constexpr size_t kFoldBytesMin = 2 * kFoldBytes;  // below it folding does not pay

SLUICE_FOLD_TARGET inline __m512i Fold(__m512i block, __m512i factors, __m512i onto) {
  const __m512i first = _mm512_clmulepi64_epi128(block, factors, 0x00);
  const __m512i second = _mm512_clmulepi64_epi128(block, factors, 0x11);
  return _mm512_ternarylogic_epi64(first, second, onto, 0x96);  // exclusive or of the three
}

// The factors that fold blocks over `bytes`.
template <size_t bytes>
SLUICE_FOLD_TARGET inline __m512i FoldFactors() {
  constexpr int64_t kFirst = MoveFactor(bytes + 8);
  constexpr int64_t kSecond = MoveFactor(bytes);
  return _mm512_set_epi64(kSecond, kFirst, kSecond, kFirst, kSecond, kFirst, kSecond, kFirst);
}

SLUICE_FOLD_TARGET uint32_t ExtendByFolding(uint32_t crc32, std::string_view data) {
  if (data.size() < kFoldBytesMin) return ExtendBySse42(crc32, data);
  const char* at = data.data();
  size_t left = data.size();
  __m512i lanes[kFoldLanes];
  for (size_t i = 0; i < kFoldLanes; ++i) lanes[i] = _mm512_loadu_si512(at + 64 * i);
  const auto inverted = static_cast<int>(~crc32);
  lanes[0] = _mm512_xor_si512(lanes[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128(inverted)));
  const __m512i over_all = FoldFactors<kFoldBytes>();
  for (at += kFoldBytes, left -= kFoldBytes; left >= kFoldBytes;
       at += kFoldBytes, left -= kFoldBytes) {
    for (size_t i = 0; i < kFoldLanes; ++i)
      lanes[i] = Fold(lanes[i], over_all, _mm512_loadu_si512(at + 64 * i));
  }
  const __m512i over_one = FoldFactors<64>();
  __m512i sum = lanes[0];
  for (size_t i = 1; i < kFoldLanes; ++i) sum = Fold(sum, over_one, lanes[i]);
  alignas(64) uint64_t words[8];
  _mm512_store_si512(words, sum);
  uint64_t crc = 0;
  for (const uint64_t word : words) crc = _mm_crc32_u64(crc, word);
  return ExtendBySse42(~static_cast<uint32_t>(crc), {at, left});
}

}  // namespace

Extend HardwareExtend() {
  __builtin_cpu_init();
  const bool has = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
  return has ? ExtendBySse42 : nullptr;
}

Extend WideExtend() {
  const bool has = HardwareExtend() != nullptr && __builtin_cpu_supports("avx512f") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("vpclmulqdq");
  return has ? ExtendByFolding : nullptr;
}

#elif defined(__aarch64__)
namespace {

// Spelled as assembly, since compilers declare the intrinsics only when the whole file is built for
// processors that have them.
inline uint32_t StepWord(uint32_t crc, uint64_t word) {
  asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
  return crc;
}

inline uint32_t StepByte(uint32_t crc, uint8_t byte) {
  asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(uint32_t{byte}));
  return crc;
}

uint32_t ExtendByArm(uint32_t crc, std::string_view data) {
  crc = ~crc;
  const char* at = data.data();
  size_t left = data.size();
  for (; left >= 8; left -= 8, at += 8) crc = StepWord(crc, LoadWord(at));
  for (; left > 0; --left, ++at) crc = StepByte(crc, static_cast<uint8_t>(*at));
  return ~crc;
}

}  // namespace

Extend HardwareExtend() {
  constexpr uint64_t kHasCrc32 = 1 << 7;  // HWCAP_CRC32 of the arm64 kernel
  return (getauxval(AT_HWCAP) & kHasCrc32) != 0 ? ExtendByArm : nullptr;
}

Extend WideExtend() { return nullptr; }

#else

Extend HardwareExtend() { return nullptr; }
Extend WideExtend() { return nullptr; }

#endif

}  // namespace crc32c_internal

uint32_t Crc32cExtend(uint32_t crc, std::string_view data) {
  static const crc32c_internal::Extend extend = [] {
    if (const auto wide = crc32c_internal::WideExtend(); wide != nullptr) return wide;
    const crc32c_internal::Extend hardware = crc32c_internal::HardwareExtend();
    return hardware != nullptr ? hardware : crc32c_internal::ExtendByTable;
  }();
  return extend(crc, data);
}

uint32_t Crc32c(std::string_view data) { return Crc32cExtend(0, data); }

}  // namespace sluice
