#pragma once
// Kv: a local key-value store for views that are derived from logs (offsets, groups, transactions).
// It keeps no log of its own: what was written since the last flush is lost in a crash and is read
// again from the partition's log, from the applied offset on, which is why every batch carries that
// offset. A flush takes all families at once, so view and applied offset never part.
//
//   KvBatch batch;
//   batch.Put(kGroups, key, value);
//   batch.SetApplied("__consumer_offsets-7", Offset(42));   // the view holds everything below 42
//   SLUICE_RETURN_IF_ERROR(kv->Write(batch));
//
// When not to use: for anything that a log does not hold as well.
//
// The store also flushes by itself, when its write buffers are full; a flush that fails shows in
// stats() and in the log, and DurablyApplied stays where it was. Where the disk was full the store
// refuses writes until it has flushed, which it tries every 5 s by itself, once there is as much
// room as its write buffer takes; nothing has to be opened again.
//
// Implementations: RocksDB (kv_rocksdb.cc) and testing/sim_kv.h, which forgets what was not
// flushed; one suite runs on both.
//
// Thread rule: thread-safe. A snapshot must go before its Kv.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/status.h"

namespace sluice::storage {

// The index of a column family's name in KvOptions::families.
using KvFamily = size_t;

struct KvOptions {
  std::string directory;
  std::vector<std::string> families;    // those found on disk beside them are an error
  size_t cache_bytes = 8 << 20;         // blocks, indexes and filters of all families
  size_t write_buffer_bytes = 8 << 20;  // of all families together, before they are flushed
};

// Changes that happen together or not at all.
class KvBatch {
 public:
  enum class Kind { kPut, kDelete, kDeleteRange };
  struct Change {
    Kind kind;
    KvFamily family;
    std::string key;
    std::string value;  // kDeleteRange: the first key that stays
  };
  struct Applied {
    std::string stream;
    std::optional<Offset> offset;  // nullopt: forget it
  };

  void Put(KvFamily family, std::string_view key, std::string_view value) {
    changes_.push_back({Kind::kPut, family, std::string(key), std::string(value)});
  }
  void Delete(KvFamily family, std::string_view key) {
    changes_.push_back({Kind::kDelete, family, std::string(key), ""});
  }
  // Keys in [from, to).
  void DeleteRange(KvFamily family, std::string_view from, std::string_view to) {
    changes_.push_back({Kind::kDeleteRange, family, std::string(from), std::string(to)});
  }
  // `stream` names a partition; the view then holds all of its records below `offset`.
  void SetApplied(std::string_view stream, Offset offset) {
    applied_.push_back({std::string(stream), offset});
  }
  void ForgetApplied(std::string_view stream) {
    applied_.push_back({std::string(stream), std::nullopt});
  }

  const std::vector<Change>& changes() const { return changes_; }
  const std::vector<Applied>& applied() const { return applied_; }

 private:
  std::vector<Change> changes_;
  std::vector<Applied> applied_;
};

// How a store fares at the moment of the call; for the metrics page.
struct KvStats {
  uint64_t memtable_bytes = 0;  // written and not flushed, or not yet let go
  uint64_t cache_bytes = 0;     // in the block cache
  uint64_t cache_hits = 0;
  uint64_t cache_misses = 0;
  uint64_t sst_bytes = 0;  // the files on disk
  uint64_t pending_compaction_bytes = 0;
  uint64_t keys_estimated = 0;
  uint64_t running_jobs = 0;  // flushes and compactions under way
  uint64_t flushes = 0;       // files that flushes wrote: one for each family that had changed
  uint64_t background_errors = 0;
  bool failed = false;  // the last background error was not mended yet: nothing is flushed
};

// An unchanging view of all families.
class KvSnapshot {
 public:
  virtual ~KvSnapshot() = default;
};

class Kv {
 public:
  // Called for each entry; false ends the iteration.
  using Visitor = std::function<bool(std::string_view key, std::string_view value)>;

  virtual ~Kv() = default;
  virtual Status Write(const KvBatch& batch) = 0;
  virtual Result<std::optional<std::string>> Get(KvFamily family, std::string_view key) const = 0;
  virtual Result<std::optional<Offset>> Applied(std::string_view stream) const = 0;
  // The applied offset that would be found after a crash now; never more than that.
  virtual std::optional<Offset> DurablyApplied(std::string_view stream) const = 0;

  virtual std::unique_ptr<KvSnapshot> NewSnapshot() const = 0;
  // Entries with keys in [from, to) in key order; an empty `to` is no bound. `snapshot`: nullptr
  // for the present.
  struct Range {
    KvFamily family = 0;
    std::string_view from;
    std::string_view to;
  };
  virtual Status Iterate(const KvSnapshot* snapshot, const Range& range,
                         const Visitor& visit) const = 0;

  // Makes everything written so far durable, all families at one point.
  virtual Status Flush() = 0;
  // A copy of the store, flushed, in a new directory that must not exist.
  virtual Status Checkpoint(const std::string& directory) = 0;

  virtual KvStats stats() const = 0;
};

// A view of `stream` that is put back by a crash reads the log again from where it was durable:
// deletions from there on must still be told by it. So this is what the cleaner is given
// (CompactionPlan::tombstones_stay_from). nullopt when there is no view of the stream: who makes
// one says so with its first SetApplied, before it reads.
std::optional<Offset> TombstonesStayFrom(const Kv& kv, std::string_view stream);

// Of a node that may use so much memory.
size_t KvCacheBytes(uint64_t memory_limit_bytes);

// The real store. kUnavailable when another process has it, kCorruption when its files are damaged.
Result<std::unique_ptr<Kv>> OpenRocksKv(const KvOptions& options);

}  // namespace sluice::storage
