#pragma once
// The product's version, as `sluice version`, registrations and metrics show it.

namespace sluice {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace sluice
