#pragma once
// Dump: what a file of a log directory holds, as rows of named fields: the batches of a .log (and
// their records when asked), the entries of the indexes, producer snapshots, epochs, checkpoints,
// partition.metadata, meta.properties. Damage is a row too, and the dump goes on behind it.
//
//   DumpFile(fs, "/data/orders-0/00000000000000000000.log", {.records = true},
//            [](const DumpRow& row) { Print(row); });
//
// Thread rule: as FileSystem.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file_system.h"

namespace sluice::storage {

// The bytes of a key, value or header; none is null.
using DumpBytes = std::optional<std::string>;
using DumpHeaders = std::vector<std::pair<std::string, DumpBytes>>;
// Words of ours are std::string; bytes of users are DumpBytes, and may be no text.
using DumpValue = std::variant<int64_t, bool, std::string, DumpBytes, DumpHeaders>;

struct DumpRow {
  std::string_view kind;  // "batch", "record", "damage", ...
  std::vector<std::pair<std::string_view, DumpValue>> fields;
};

struct DumpOptions {
  bool records = false;
};

using DumpTo = std::function<void(const DumpRow&)>;

// By its name. kUnsupported when no file of a log directory is called so, kNotFound when it is not
// there, kCorruption when it cannot be read as what its name says.
Status DumpFile(FileSystem& fs, const std::string& path, const DumpOptions& options,
                const DumpTo& to);

// The files that DumpFile takes, of a partition's directory or of a whole log directory, in order.
Result<std::vector<std::string>> DumpableFiles(FileSystem& fs, const std::string& directory);

}  // namespace sluice::storage
