#pragma once
// What the end of a metadata log proves about itself, before storage::Log opens it. Each entry says
// how far the log had been synced when it was written: a group is written only after the one before
// it is durable. So a whole entry behind a bad one tells damage (the bad one lies below what the
// entry says) from a power cut that tore the last group, of which any pages may be whole
// (docs/decisions/0010).
//
// Thread rule: pure but for the file system, while nobody else has the log open.

#include <string>

#include "base/file_system.h"
#include "base/ids.h"
#include "base/status.h"
#include "raft/types.h"

namespace sluice::controller {

struct Tail {
  FileSystem& fs;
  std::string directory;
  LogIndex synced_end;  // entries below it are known to have been synced
};

// The highest end below which all entries had been synced, as the tail's marker and every whole
// entry at or above it tell. Damage is passed over: judging it is for storage::Log.
Result<LogIndex> EvidenceOf(const Tail& tail);

// Writes the bytes above `synced_end` again, in place, and syncs them. After a failed sync the page
// cache may show bytes as clean that the device does not have: only written anew will they get
// there. Nothing is cut, and every byte stays what it was.
Status RewriteTail(const Tail& tail);

}  // namespace sluice::controller
