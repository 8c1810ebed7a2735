#include "controller/format.h"

#include "base/clock.h"
#include "controller/quorum_log.h"

namespace sluice::controller {

Status FormatController(FileSystem& fs, const FormatOptions& options) {
  const std::string directory = options.directory + "/" + kQuorumLogDirectory;
  if (options.voters.empty()) return QuorumLog::FormatToJoin(fs, SystemClock(), directory);
  const raft::Bootstrap bootstrap{
      .cluster_id = options.cluster_id, .voters = options.voters, .payload = ""};
  return QuorumLog::Format(fs, SystemClock(), directory, bootstrap);
}

bool IsControllerFormatted(FileSystem& fs, const std::string& directory) {
  return QuorumLog::IsFormatted(fs, directory + "/" + kQuorumLogDirectory);
}

}  // namespace sluice::controller
