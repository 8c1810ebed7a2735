#pragma once
// The text format that Kafka's checkpoint files share: a version line, a count line, then one line
// for each entry. Four files map partitions to offsets (recovery points, high watermarks, log
// starts, cleaner points); leader-epoch-checkpoint has the same shape.
//
// Thread rule: pure functions, but for the two that touch the file system.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/ids.h"
#include "storage/log_manager.h"

namespace sluice::storage {

inline constexpr char kRecoveryPointCheckpointName[] = "recovery-point-offset-checkpoint";
inline constexpr char kHighWatermarkCheckpointName[] = "replication-offset-checkpoint";
inline constexpr char kLogStartCheckpointName[] = "log-start-offset-checkpoint";
inline constexpr char kCleanerCheckpointName[] = "cleaner-offset-checkpoint";
inline constexpr char kDamageCheckpointName[] = "damage-offset-checkpoint";
inline constexpr int kOffsetCheckpointVersion = 0;
inline constexpr int kEpochCheckpointVersion = 0;

using OffsetCheckpoint = std::map<TopicPartition, Offset>;

// The entry lines. kCorruption when the version differs, or the count is not the number of lines.
Result<std::vector<std::string>> ParseCheckpointLines(std::string_view text, int version);
std::string FormatCheckpointLines(const std::vector<std::string>& lines, int version);
// The space-separated fields of a line.
std::vector<std::string_view> SplitCheckpointLine(std::string_view line);
// A number >= 0 that fills the whole field.
std::optional<int64_t> ParseCheckpointNumber(std::string_view field);

Result<OffsetCheckpoint> ParseOffsetCheckpoint(std::string_view text);
std::string FormatOffsetCheckpoint(const OffsetCheckpoint& offsets);
// An empty map when there is no such file; kCorruption names the file.
Result<OffsetCheckpoint> ReadOffsetCheckpoint(FileSystem& fs, const std::string& path);
Status WriteOffsetCheckpoint(FileSystem& fs, const std::string& path,
                             const OffsetCheckpoint& offsets);

}  // namespace sluice::storage
