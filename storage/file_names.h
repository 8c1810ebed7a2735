#pragma once
// The names of the files in a partition's directory (docs/formats/log_directory.md).
//
// Thread rule: pure functions.

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace sluice::storage {

inline constexpr std::string_view kLogSuffix = ".log";
inline constexpr std::string_view kIndexSuffix = ".index";
inline constexpr std::string_view kTimeIndexSuffix = ".timeindex";
inline constexpr std::string_view kTxnIndexSuffix = ".txnindex";
inline constexpr std::string_view kSnapshotSuffix = ".snapshot";
inline constexpr std::string_view kDeletedSuffix = ".deleted";
inline constexpr std::string_view kCleanedSuffix = ".cleaned";  // a compacted segment being written
inline constexpr std::string_view kSwapSuffix = ".swap";  // ... whole, taking the place of others
inline constexpr std::string_view kTempSuffix = ".tmp";
inline constexpr char kEpochCheckpointName[] = "leader-epoch-checkpoint";
inline constexpr char kPartitionMetadataName[] = "partition.metadata";
inline constexpr char kMoveCountName[] = "move-count";  // see MoveHistory

// "00000000000000000042.log" for offset 42: twenty digits, so that names sort as numbers do.
std::string OffsetFileName(Offset offset, std::string_view suffix);
// The offset of a name that OffsetFileName(·, suffix) gave; nullopt for any other name.
std::optional<Offset> ParseOffsetFileName(std::string_view name, std::string_view suffix);

// What a file in a partition's directory is by its name. kLeftover: the remains of a deletion or of
// writing a small file, of no more use. Only what is known to be such may ever be removed.
struct DirectoryEntry {
  enum class Kind { kLog, kTxnIndex, kOther, kLeftover, kUnknown };
  Kind kind = Kind::kUnknown;
  Offset base;  // of kLog and kTxnIndex
};
DirectoryEntry ClassifyFile(std::string_view name);

}  // namespace sluice::storage
