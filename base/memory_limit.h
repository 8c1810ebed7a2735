#pragma once
// How much memory this process may use: the least of what the machine has and what the control
// groups that it is in allow (version 2 and version 1).
//
// Thread rule: as FileSystem.

#include <cstdint>

#include "base/file_system.h"

namespace sluice {

// 0 when nothing tells.
uint64_t MemoryLimitBytes(FileSystem& fs);

}  // namespace sluice
