#pragma once
// The names of partition directories: "<topic>-<partition>", and "<topic>-<partition>.<32 hex
// digits>-delete" on the way out.
//
// Thread rule: pure functions.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/log_manager.h"

namespace sluice::storage {

inline constexpr std::string_view kDeleteSuffix = "-delete";
inline constexpr char kMetadataTopic[] = "__cluster_metadata";

// The partition whose directory has this name; nullopt for every other name (among them those of
// Kafka's moves and strays).
std::optional<TopicPartition> ParseDirectoryName(std::string_view name);
bool IsDeletedDirectoryName(std::string_view name);
// `number`: makes the name unique.
std::string DeletedDirectoryName(const TopicPartition& partition, int64_t time_ms, uint64_t number);

}  // namespace sluice::storage
