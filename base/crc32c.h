#pragma once
// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), the checksum of Kafka's record batches and
// of our own files. Uses SSE4.2 or ARMv8 instructions when the processor has them, else a table.
//
// Thread rule: pure functions.

#include <cstdint>
#include <string_view>

namespace sluice {

// The checksum of `data`.
uint32_t Crc32c(std::string_view data);
// The checksum of what gave `crc` followed by `data`.
uint32_t Crc32cExtend(uint32_t crc, std::string_view data);

}  // namespace sluice
