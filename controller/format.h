#pragma once
// Format: makes a directory the metadata log of a controller. That of a first voter holds the
// bootstrap entry, which names the cluster and its first voters with their disks, and no vote; that
// of a controller which joins later is empty. meta.properties, the directory's identity, is
// storage::LogManager's.
//
// Thread rule: functions.

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "raft/types.h"

namespace sluice::controller {

struct FormatOptions {
  std::string directory;  // metadata.log.dir
  std::string cluster_id;
  // The first voters, the same in the same order on all of them; none: the controller joins a
  // quorum that exists.
  std::vector<raft::VoterId> voters;
};

// kAlreadyExists when the directory holds a metadata log.
Status FormatController(FileSystem& fs, const FormatOptions& options);
bool IsControllerFormatted(FileSystem& fs, const std::string& directory);

}  // namespace sluice::controller
