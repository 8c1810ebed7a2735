#pragma once
// Format: makes a directory the metadata log of a controller. That of a first voter holds the
// bootstrap entry, which names the cluster and its first voters with their disks, and no vote; that
// of a controller which joins later is empty. Beside them a meta.properties of its own tells whose
// log it is, and under which disk id it votes: a first voter's is the plan's, so it is not the id
// of a log directory, which is another one whenever it is formatted (what it held is lost then).
//
// Thread rule: functions.

#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "raft/types.h"
#include "storage/log_manager.h"

namespace sluice::controller {

struct FormatOptions {
  std::string directory;  // metadata.log.dir
  std::string cluster_id;
  raft::VoterId self;
  // The first voters, the same in the same order on all of them; none: the controller joins a
  // quorum that exists.
  std::vector<raft::VoterId> voters;
};

// kAlreadyExists when the directory holds a metadata log.
Status FormatController(FileSystem& fs, const FormatOptions& options);
bool IsControllerFormatted(FileSystem& fs, const std::string& directory);
// Whose log the directory holds, and as directory_id the disk id of its voter. nullopt: not told.
Result<std::optional<storage::DirectoryIdentity>> ReadControllerIdentity(
    FileSystem& fs, const std::string& directory);

}  // namespace sluice::controller
