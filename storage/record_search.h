#pragma once
// Looking inside a stored batch for a record by its timestamp. Compressed batches are inflated for
// it; nobody does this on the hot path.
//
// Thread rule: pure functions.

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ids.h"
#include "base/status.h"

namespace sluice::storage {

struct RecordPlace {
  Offset offset;
  int64_t timestamp_ms = -1;
};

// The first record of `batch` (whole, as stored) at or above `from` whose timestamp is at least
// `timestamp_ms`; nullopt when there is none. Of a batch that was stored as it is, but whose
// records cannot be read, the header tells: its first offset and largest timestamp. kCorruption
// when the checksum does not fit.
Result<std::optional<RecordPlace>> FirstRecordAtOrAfter(std::string_view batch,
                                                        int64_t timestamp_ms, Offset from);

}  // namespace sluice::storage
