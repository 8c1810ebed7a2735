#include "storage/compaction/swap_recovery.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "storage/batch_scanner.h"
#include "storage/file_names.h"

namespace sluice::storage {
namespace {

constexpr std::string_view kSuffixes[] = {kLogSuffix, kIndexSuffix, kTimeIndexSuffix,
                                          kTxnIndexSuffix, kSnapshotSuffix};

struct SegmentFile {
  std::string name;
  Offset base;
  std::string_view suffix;  // one of kSuffixes
};

// A file of a segment under its final name with `stage` behind it.
std::optional<SegmentFile> ParseName(const std::string& name, std::string_view stage) {
  for (const std::string_view suffix : kSuffixes) {
    const std::string whole = std::string(suffix) + std::string(stage);
    if (auto base = ParseOffsetFileName(name, whole)) return SegmentFile{name, *base, suffix};
  }
  return std::nullopt;
}

std::vector<SegmentFile> FilesAt(const std::vector<std::string>& names, std::string_view stage) {
  std::vector<SegmentFile> files;
  for (const std::string& name : names) {
    if (auto file = ParseName(name, stage)) files.push_back(*std::move(file));
  }
  return files;
}

Status RemoveFiles(FileSystem& fs, const std::string& directory,
                   const std::vector<SegmentFile>& files) {
  for (const SegmentFile& file : files)
    SLUICE_RETURN_IF_ERROR(fs.Remove(directory + "/" + file.name));
  return Status::Ok();
}

// One above the last offset in the .log file.
Result<Offset> EndOf(FileSystem& fs, const std::string& path, Offset base) {
  SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(path, OpenMode::kRead));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  BatchScanner scanner(*file, 0, size);
  Offset end = base;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (!more) break;
    end = scanner.header().last_offset + 1;
  }
  if (!scanner.damaged()) return end;
  return Status::Corruption(path + ": no batch begins at position " +
                            std::to_string(scanner.next_position()) +
                            "; it was written by a compaction that a crash cut short. Nothing was "
                            "removed for it");
}

// The segments in [log.base, end) and their snapshots, but the one at the base itself: it tells of
// what came before.
Status RemoveCovered(FileSystem& fs, const std::string& directory,
                     const std::vector<std::string>& names, const SegmentFile& log) {
  SLUICE_ASSIGN_OR_RETURN(const Offset end, EndOf(fs, directory + "/" + log.name, log.base));
  std::vector<SegmentFile> covered = FilesAt(names, "");
  std::erase_if(covered, [&](const SegmentFile& file) {
    const bool own_snapshot = file.suffix == kSnapshotSuffix && file.base == log.base;
    return file.base < log.base || file.base >= end || own_snapshot;
  });
  return RemoveFiles(fs, directory, covered);
}

}  // namespace

Result<bool> FinishSwaps(FileSystem& fs, const std::string& directory,
                         const std::vector<std::string>& names) {
  const std::vector<SegmentFile> cleaned = FilesAt(names, kCleanedSuffix);
  std::vector<SegmentFile> swaps = FilesAt(names, kSwapSuffix);
  if (cleaned.empty() && swaps.empty()) return false;
  if (!cleaned.empty()) {
    const Offset first_cleaned =
        std::min_element(cleaned.begin(), cleaned.end(), [](const auto& a, const auto& b) {
          return a.base < b.base;
        })->base;
    const auto undone = std::stable_partition(
        swaps.begin(), swaps.end(), [&](const auto& file) { return file.base < first_cleaned; });
    // In this order: were the .cleaned files gone first, a further crash would leave half a swap
    // that looks whole.
    SLUICE_RETURN_IF_ERROR(RemoveFiles(fs, directory, {undone, swaps.end()}));
    SLUICE_RETURN_IF_ERROR(RemoveFiles(fs, directory, cleaned));
    swaps.erase(undone, swaps.end());
  }
  for (const SegmentFile& file : swaps) {
    if (file.suffix == kLogSuffix)
      SLUICE_RETURN_IF_ERROR(RemoveCovered(fs, directory, names, file));
  }
  // The logs first: an index whose log is still .swap would be removed as covered after a further
  // crash.
  std::stable_partition(swaps.begin(), swaps.end(),
                        [](const auto& file) { return file.suffix == kLogSuffix; });
  for (const SegmentFile& file : swaps) {
    const std::string path = directory + "/" + file.name;
    LOG(INFO) << path << ": a compaction that a crash cut short is completed";
    SLUICE_RETURN_IF_ERROR(fs.Rename(path, path.substr(0, path.size() - kSwapSuffix.size())));
  }
  SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(directory));
  return true;
}

}  // namespace sluice::storage
