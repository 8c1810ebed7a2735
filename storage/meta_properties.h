#pragma once
// meta.properties: the identity of a log directory, in Java's properties format as Kafka's storage
// tool writes it.
//
// Thread rule: pure functions.

#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/log_manager.h"

namespace sluice::storage {

inline constexpr char kMetaPropertiesName[] = "meta.properties";

std::string FormatMetaProperties(const DirectoryIdentity& identity);
// kCorruption when a key is missing or malformed; kUnsupported for another version than 1. Unknown
// keys and comments are skipped.
Result<DirectoryIdentity> ParseMetaProperties(std::string_view text);

}  // namespace sluice::storage
