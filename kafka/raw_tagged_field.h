#pragma once
// RawTaggedField: a tagged field that this build does not know, kept so that a message passes
// through unchanged.
//
// Thread rule: values.

#include <cstdint>
#include <string>

namespace sluice::kafka {

struct RawTaggedField {
  uint32_t tag = 0;
  std::string data;
  bool operator==(const RawTaggedField&) const = default;
};

}  // namespace sluice::kafka
