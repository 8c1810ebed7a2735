#pragma once
// Which fault is planted in this process (raft/fault.h). By name, or by the environment's
// SLUICE_PLANTED_FAULT for programs that take no such argument.
//
// Thread rule: one thread.

#include <cstdint>
#include <string_view>
#include <vector>

#include "raft/fault.h"

namespace sluice::raft::testing {

struct NamedFault {
  Fault fault;
  std::string_view name;
};
const std::vector<NamedFault>& NamedFaults();

// False: there is none of that name.
bool PlantFault(std::string_view name);
// How often the code came to the place of the planted one.
uint64_t FaultReached();

}  // namespace sluice::raft::testing
