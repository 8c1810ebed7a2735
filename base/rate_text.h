#pragma once
// RateText: a rate for people, in the units that --throttle takes.
//
// Thread rule: pure.

#include <cstdint>
#include <string>

namespace sluice {

// "50 MiB/s", "1.5 MiB/s", "16 KiB/s", "0 KiB/s".
std::string RateText(int64_t bytes_per_second);

}  // namespace sluice
