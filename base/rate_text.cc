#include "base/rate_text.h"

namespace sluice {

std::string RateText(int64_t bytes_per_second) {
  constexpr int64_t kKiB = 1024, kMiB = kKiB * 1024;
  if (bytes_per_second < kMiB)
    return std::to_string((bytes_per_second + kKiB / 2) / kKiB) + " KiB/s";
  const int64_t tenths = (bytes_per_second + kMiB / 20) / (kMiB / 10);
  const std::string fraction = tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10);
  return std::to_string(tenths / 10) + fraction + " MiB/s";
}

}  // namespace sluice
