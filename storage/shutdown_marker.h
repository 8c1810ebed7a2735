#pragma once
// The clean-shutdown marker, .kafka_cleanshutdown: written last of all when a log directory was
// closed, removed at the next start. It carries the broker epoch, so that a controller can tell
// which incarnation stopped cleanly (KIP-966).
//
// Thread rule: as FileSystem.

#include <string>

#include "base/file_system.h"
#include "storage/log_manager.h"

namespace sluice::storage {

inline constexpr char kShutdownMarkerName[] = ".kafka_cleanshutdown";

// Reads the marker and removes it, durably: a crash from now on must not find it.
Result<ShutdownState> TakeShutdownMarker(FileSystem& fs, const std::string& directory);
Status WriteShutdownMarker(FileSystem& fs, const std::string& directory, BrokerEpoch broker_epoch);

}  // namespace sluice::storage
