#pragma once
// The features whose levels the cluster tells (ApiVersions, UpdateFeatures). Only what is complete:
// a client takes a finalised feature at its word. metadata.version 7 is Kafka's 3.3-IV3.
//
// Thread rule: constants.

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice::broker {

struct Feature {
  std::string_view name;
  int16_t level_min;
  int16_t level_max;
};
inline constexpr std::array<Feature, 3> kFeatures{{{"eligible.leader.replicas.version", 0, 1},
                                                   {"group.version", 0, 1},
                                                   {"metadata.version", 7, 30}}};

}  // namespace sluice::broker
