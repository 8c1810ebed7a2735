#include "controller/format.h"

#include "base/clock.h"
#include "controller/quorum_log.h"
#include "storage/meta_properties.h"

namespace sluice::controller {

namespace {

std::string PathIn(const std::string& directory) { return directory + "/" + kQuorumLogDirectory; }

}  // namespace

Status FormatController(FileSystem& fs, const FormatOptions& options) {
  const std::string directory = PathIn(options.directory);
  if (QuorumLog::IsFormatted(fs, directory))
    return Status::AlreadyExists(directory + " is formatted already");
  // The log comes last: it is what makes the directory formatted. What an interrupted formatting
  // has left is begun anew.
  const std::string left = directory + "/" + std::string(storage::kMetaPropertiesName);
  if (fs.Exists(left)) SLUICE_RETURN_IF_ERROR(fs.Remove(left));
  SLUICE_RETURN_IF_ERROR(storage::LogManager::Format(
      fs, directory, {options.cluster_id, options.self.id, options.self.disk_id}));
  if (options.voters.empty()) return QuorumLog::FormatToJoin(fs, SystemClock(), directory);
  const raft::Bootstrap bootstrap{
      .cluster_id = options.cluster_id, .voters = options.voters, .payload = ""};
  return QuorumLog::Format(fs, SystemClock(), directory, bootstrap);
}

bool IsControllerFormatted(FileSystem& fs, const std::string& directory) {
  return QuorumLog::IsFormatted(fs, PathIn(directory));
}

Result<std::optional<storage::DirectoryIdentity>> ReadControllerIdentity(
    FileSystem& fs, const std::string& directory) {
  return storage::LogManager::ReadIdentity(fs, PathIn(directory));
}

}  // namespace sluice::controller
