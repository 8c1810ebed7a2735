#pragma once
// The names of partition directories: "<topic>-<partition>"; "<topic>-<partition>.<32 hex
// digits>-delete" on the way out, with "-stray" at the end where it is set aside, and with
// "-future" where it is the copy of a log that moves here.
//
// Thread rule: pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/log_manager.h"

namespace sluice::storage {

inline constexpr std::string_view kDeleteSuffix = "-delete";
inline constexpr std::string_view kStraySuffix = "-stray";
inline constexpr std::string_view kFutureSuffix = "-future";
inline constexpr char kMetadataTopic[] = "__cluster_metadata";

// The partition whose directory has this name; nullopt for every other name (among them those of
// moves and strays).
std::optional<TopicPartition> ParseDirectoryName(std::string_view name);
bool IsDeletedDirectoryName(std::string_view name);
// The partition that moves here, as Kafka or this program names its copy.
std::optional<TopicPartition> ParseFutureDirectoryName(std::string_view name);
// Whether a directory name can hold the partition's and what a copy's adds to it.
bool FutureNameFits(const TopicPartition& partition);
// `suffix`: one of the three above. `number`: makes the name unique. The partition's own name is
// cut where both do not fit.
std::string RetiredDirectoryName(const TopicPartition& partition, std::string_view suffix,
                                 int64_t time_ms, uint64_t number);

}  // namespace sluice::storage
