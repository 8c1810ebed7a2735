#pragma once
// The names of partition directories: "<topic>-<partition>"; "<topic>-<partition>.<32 hex
// digits>-delete" on the way out, and with "-stray" at the end where it is set aside.
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
inline constexpr char kMetadataTopic[] = "__cluster_metadata";

// The partition whose directory has this name; nullopt for every other name (among them those of
// Kafka's moves and strays).
std::optional<TopicPartition> ParseDirectoryName(std::string_view name);
bool IsDeletedDirectoryName(std::string_view name);
// `suffix`: kDeleteSuffix or kStraySuffix. `number`: makes the name unique.
std::string RetiredDirectoryName(const TopicPartition& partition, std::string_view suffix,
                                 int64_t time_ms, uint64_t number);

}  // namespace sluice::storage
