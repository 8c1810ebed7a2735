#pragma once
// What a crash left of a compaction's commit, by Kafka's rules: a segment whose files are not all
// renamed from .cleaned to .swap yet is undone (the old segments are all there); one that is .swap
// as a whole takes the place of the segments it covers, however many of them are still there.
//
// Thread rule: pure but for the file system; before the log is opened.

#include <string>
#include <vector>

#include "base/file_system.h"

namespace sluice::storage {

// `names`: what the directory holds. True when it holds something else now. kCorruption when a
// .swap file cannot be understood: nothing has been removed for it then.
Result<bool> FinishSwaps(FileSystem& fs, const std::string& directory,
                         const std::vector<std::string>& names);

}  // namespace sluice::storage
