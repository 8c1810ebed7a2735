#pragma once
// BatchFilter: one batch of a log that is being compacted: bytes in, verdict and bytes out. What it
// keeps of a batch keeps its offsets, its place in the producer's sequence and the batch's base and
// last offset; kept records are copied as bytes. MapBatch fills the offset map by the same rules.
//
// A batch without records (writers of last sequences, the end of a range) is written as Kafka's
// cleaner does: header alone, base timestamp -1, the maximum timestamp kept.
//
// Thread rule: one owner.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "storage/batch_header.h"
#include "storage/compaction/offset_map.h"
#include "storage/compaction/record_walk.h"

namespace sluice::storage {

enum class FilterVerdict { kKeep, kRewrite, kDrop };

struct FilterRules {
  const OffsetMap* map = nullptr;
  KeyHasher hasher{0, 0};
  Offset mapped_upto;  // records from here on are not in the map: they stay
  int64_t now_ms = 0;
  int64_t delete_retention_ms = 0;
  Offset tombstones_stay_from{INT64_MAX};  // of the plan
};

// What is known of the batch as a whole.
struct BatchRetention {
  bool drop_records = false;    // aborted, or a marker whose horizon has passed
  bool keep_empty = false;      // the batch stays even without records
  bool marker_is_done = false;  // a marker of a transaction that has no batches any more
};

struct FilterStats {
  uint64_t records_read = 0;
  uint64_t records_kept = 0;
  uint64_t records_without_key = 0;  // dropped: nothing can ever supersede them
};

class BatchFilter {
 public:
  explicit BatchFilter(FilterRules rules) : rules_(rules) {}

  // With kRewrite the new batch has been appended to `out`. kCorruption when the batch's records
  // cannot be read.
  Result<FilterVerdict> Filter(const BatchHeader& batch, std::string_view bytes,
                               const BatchRetention& retention, std::string& out);
  const FilterStats& stats() const { return stats_; }

 private:
  Status Read(std::string_view plain, bool hash_keys);
  bool Retains(const BatchHeader& batch, const RecordSpan& record, const KeyHash& key);
  Status Rewrite(const BatchHeader& batch, std::string_view bytes, bool set_horizon,
                 std::string& out);
  std::string CopyKept(const BatchHeader& batch, int64_t new_base_ms) const;

  const FilterRules rules_;
  FilterStats stats_;
  // Of the current batch; kept between batches for their memory.
  std::vector<RecordSpan> records_;
  std::vector<KeyHash> keys_;
  std::vector<bool> kept_;
};

// Puts the keys of `batch` at or above `from` into `map`. False when the map is full; some keys of
// the batch may be in it then. kCorruption as above.
Result<bool> MapBatch(const BatchHeader& batch, std::string_view bytes, Offset from,
                      const KeyHasher& hasher, OffsetMap& map);

}  // namespace sluice::storage
