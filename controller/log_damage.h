#pragma once
// Damage in a metadata log: what is whole, and how much more there was. Opening looks at that when
// it cannot make sense of the files, reads all of them, and only then knows what is lost
// (docs/decisions/0013).
//
// Thread rule: pure but for the file system, while nobody else has the log open.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/ids.h"
#include "base/status.h"
#include "raft/types.h"

namespace sluice::controller {

struct LogDamage {
  LogIndex from;  // the first entry that is lost; those below are whole
  LogIndex upto;  // none was above it
  std::string what;
  std::vector<std::string> files;  // names of the segments from that entry on
  // The newest configuration that an entry tells of, in front of the damage or behind it.
  std::optional<std::pair<LogIndex, raft::Membership>> members;
};

// What is known of the log from elsewhere.
struct LogExtent {
  LogIndex start_max;   // there is no state to go on from, if it starts above
  LogIndex synced_end;  // entries below it had been synced
};

// nullopt: all of it is whole.
Result<std::optional<LogDamage>> FindDamage(FileSystem& fs, const std::string& directory,
                                            const LogExtent& extent);

// Copies the files under `<name>.damaged`, durably, to be looked into. Those of an earlier damage
// go.
Status KeepAside(FileSystem& fs, const std::string& directory, const LogDamage& damage);

}  // namespace sluice::controller
