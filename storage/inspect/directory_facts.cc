#include "storage/inspect/directory_facts.h"

#include "storage/meta_properties.h"
#include "storage/shutdown_marker.h"

namespace sluice::storage {
namespace {

std::optional<Offset> Lookup(const OffsetCheckpoint& offsets, const TopicPartition& partition) {
  const auto found = offsets.find(partition);
  return found == offsets.end() ? std::nullopt : std::optional(found->second);
}

// What a start does without the checkpoint.
const char* WithoutIt(std::string_view name) {
  if (name == kRecoveryPointCheckpointName)
    return "every segment is then scanned at the next start";
  if (name == kHighWatermarkCheckpointName)
    return "the high watermarks are then learnt from the other replicas";
  if (name == kLogStartCheckpointName)
    return "records that were deleted and still lie in a first segment are then readable again";
  return "compaction then begins anew";
}

// Kafka makes its checkpoints empty when it starts, and writes them a minute later.
Result<bool> IsBlank(FileSystem& fs, const std::string& path) {
  if (!fs.Exists(path)) return true;
  SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(path, OpenMode::kRead));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  return size == 0;
}

}  // namespace

PartitionContext DirectoryFacts::For(const TopicPartition& partition) const {
  PartitionContext context;
  context.recovery_point = Lookup(recovery_points, partition);
  context.high_watermark = Lookup(high_watermarks, partition);
  context.log_start = Lookup(log_starts, partition);
  context.clean = clean;
  context.live = live;
  context.compacted = Lookup(cleaner_points, partition).has_value();
  return context;
}

bool IsLogDirectory(FileSystem& fs, const std::string& directory) {
  for (const char* name : {kMetaPropertiesName, kRecoveryPointCheckpointName,
                           kHighWatermarkCheckpointName, kLogStartCheckpointName}) {
    if (fs.Exists(directory + "/" + name)) return true;
  }
  return false;
}

bool IsLocked(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/" + kLockName;
  return fs.Exists(path) && fs.Lock(path).status().code() == StatusCode::kUnavailable;
}

Result<DirectoryFacts> ReadDirectoryFacts(FileSystem& fs, const std::string& directory,
                                          const Report& report) {
  DirectoryFacts facts;
  facts.live = IsLocked(fs, directory);
  facts.clean = fs.Exists(directory + "/" + kShutdownMarkerName);
  const std::pair<const char*, OffsetCheckpoint*> files[] = {
      {kRecoveryPointCheckpointName, &facts.recovery_points},
      {kHighWatermarkCheckpointName, &facts.high_watermarks},
      {kLogStartCheckpointName, &facts.log_starts},
      {kCleanerCheckpointName, &facts.cleaner_points}};
  for (const auto& [name, offsets] : files) {
    const std::string path = directory + "/" + name;
    SLUICE_ASSIGN_OR_RETURN(const bool blank, IsBlank(fs, path));
    if (blank) continue;
    auto read = ReadOffsetCheckpoint(fs, path);
    if (read.ok()) {
      *offsets = *std::move(read);
      continue;
    }
    if (read.status().code() != StatusCode::kCorruption) return read.status();
    report({Finding::Kind::kFault, path, std::nullopt, read.status().message(),
            std::string("with the server stopped, remove this file; ") + WithoutIt(name)});
  }
  return facts;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace sluice::storage
