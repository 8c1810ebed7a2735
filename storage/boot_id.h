#pragma once
// The boot id in a log directory, "boot-id": during which boot of the host every log in it was
// whole in the page cache. A start on that boot need not read what was written without a sync.
//
// Invariant: it is kept only once every log of the directory is open. One that could not be opened
// was not read since the host came up; the next start must not take its pages for whole.
//
// Thread rule: as FileSystem.

#include <string>

#include "base/file_system.h"

namespace sluice::storage {

// Whether what was written to `directory` without a sync may have been lost. `boot_id`: the host's
// now; a host that does not tell ("") counts as restarted each time.
bool HostRestarted(FileSystem& fs, const std::string& directory, const std::string& boot_id);

// Whether no start of this software has come to its end with all logs of `directory`: what wrote
// them may have been another.
bool TakenOver(FileSystem& fs, const std::string& directory);

// Once the logs are recovered: what the last boot left half written is gone then.
void KeepBootId(FileSystem& fs, const std::string& directory, const std::string& boot_id);

}  // namespace sluice::storage
