#pragma once
// DiskWrites: whether the disk below a directory still completes writes, no matter whose. It tells
// a disk that hangs from one that has much to do. The real one reads what the kernel counts of the
// block device; in the simulator it is the host's (tests/sim/cluster/host.h).
//
// Thread rule: one owner. Neither asking nor the end of it waits for the disk, though it hangs.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/file_system.h"

namespace sluice {

class DiskWrites {
 public:
  virtual ~DiskWrites() = default;
  // Another number than the last time when writes were completed since. nullopt: nothing tells, or
  // no longer.
  virtual std::optional<uint64_t> Completed() const = 0;
};

// Of the block device, or the partition of one, that holds the directory. Null where nothing is
// counted: tmpfs, overlay, btrfs and network file systems have no block device of their own. Waits
// for the disk, as any look at a directory may.
std::unique_ptr<DiskWrites> OpenDiskWrites(FileSystem& fs, const std::string& directory);

// The same of the device with these numbers.
std::unique_ptr<DiskWrites> OpenWritesOfDevice(FileSystem& fs, uint32_t major, uint32_t minor);

}  // namespace sluice
