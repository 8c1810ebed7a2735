#pragma once
// The ways to compute CRC-32C, by name, so that tests and benchmarks reach each of them. Product
// code calls base/crc32c.h, which chooses the fastest that the processor offers.
//
// Thread rule: pure functions.

#include <cstdint>
#include <string_view>

namespace sluice::crc32c_internal {

// Each takes and returns the finished (inverted) checksum, as Crc32cExtend does.
using Extend = uint32_t (*)(uint32_t crc, std::string_view data);

// Slicing by eight; runs everywhere.
uint32_t ExtendByTable(uint32_t crc, std::string_view data);
// nullptr when this processor has no such instructions.
Extend HardwareExtend();
// By 512-bit vectors, for long inputs; likewise.
Extend WideExtend();

}  // namespace sluice::crc32c_internal
