#pragma once
// The clean-shutdown marker, .kafka_cleanshutdown: written last of all when a log directory was
// closed, removed at the next start. It carries the broker epoch, so that a controller can tell
// which incarnation stopped cleanly (KIP-966).
//
// A stop that cannot vouch for every log leaves no marker but a note, which says why in words: the
// next start treats its logs as after a crash, and must not call it one.
//
// Thread rule: as FileSystem.

#include <string>

#include "base/file_system.h"
#include "storage/log_manager.h"

namespace sluice::storage {

inline constexpr char kShutdownMarkerName[] = ".kafka_cleanshutdown";

inline constexpr char kStopNoteName[] = "unclean-stop";

// Reads the marker, or the note, and removes it, durably: a crash from now on must not find it.
Result<ShutdownState> TakeShutdownMarker(FileSystem& fs, const std::string& directory);
Status WriteShutdownMarker(FileSystem& fs, const std::string& directory, BrokerEpoch broker_epoch);
Status WriteStopNote(FileSystem& fs, const std::string& directory, const std::string& why);

}  // namespace sluice::storage
