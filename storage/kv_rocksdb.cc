// Kv on RocksDB: the only file that includes it. Settings aim at a store that is small, quick to
// open and quiet: no write-ahead log (the partition's log is it), atomic flushes, one background
// job, a bounded cache that holds indexes and filters too, no statistics thread.

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/statistics.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>

#include "base/bytes.h"
#include "storage/kv.h"

namespace sluice::storage {
namespace {

// Holds the applied offset of each stream, 8 bytes, beside the families of the owner.
constexpr char kAppliedFamily[] = "applied";

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view ToView(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Status ToStatus(const rocksdb::Status& status) {
  if (status.ok()) return Status::Ok();
  std::string message = "key-value store: " + status.ToString();
  if (status.IsCorruption()) return Status::Corruption(std::move(message));
  if (status.IsNoSpace()) return Status::DiskFull(std::move(message));
  if (status.IsInvalidArgument()) return Status::InvalidArgument(std::move(message));
  // RocksDB reports a held lock file as a plain IO error.
  if (status.IsIOError() && message.find("lock") != std::string::npos)
    return Status::Unavailable(std::move(message));
  return Status::IoError(std::move(message));
}

// What the store does by itself, and nobody would be told of. Called on its threads.
class Watch final : public rocksdb::EventListener {
 public:
  explicit Watch(std::string directory) : directory_(std::move(directory)) {}

  void OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { ++flushes_; }
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    ++errors_;
    failed_ = true;
    LOG(ERROR)
        << "key-value store " << directory_
        << ": a flush or compaction failed: " << error->ToString()
        << ". What was written since the last flush is only in memory; it is read again from "
           "the partitions' logs after a restart"
        << (error->IsNoSpace() ? ". None is needed: it flushes again soon after there is room"
                               : "");
  }
  void OnErrorRecoveryEnd(const rocksdb::BackgroundErrorRecoveryInfo& info) override {
    if (!info.new_bg_error.ok()) return;
    failed_ = false;
    LOG(WARNING) << "key-value store " << directory_ << ": it flushes again";
  }

  void AddTo(KvStats& stats) const {
    stats.flushes = flushes_;
    stats.background_errors = errors_;
    stats.failed = failed_;
  }

 private:
  const std::string directory_;
  std::atomic<uint64_t> flushes_ = 0;
  std::atomic<uint64_t> errors_ = 0;
  std::atomic<bool> failed_ = false;
};

// What the store writes about itself, for `-v 1`. In a file of its own, as it would do it, the
// lines take room that a full disk has not got, and a library that was built with its assertions,
// as Debian's, ends the process at the line after the first one that did not fit. What matters of
// it comes by the listener and by what calls return: what the store calls errors is told at each
// first start, of a directory that it then makes, and again and again on a full disk.
class InfoLog final : public rocksdb::Logger {
 public:
  explicit InfoLog(std::string directory)
      : rocksdb::Logger(rocksdb::InfoLogLevel::ERROR_LEVEL), directory_(std::move(directory)) {}

  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    if (!VLOG_IS_ON(1)) return;
    char line[512];
    std::vsnprintf(line, sizeof line, format, arguments);
    VLOG(1) << "key-value store " << directory_ << ": " << line;
  }

 private:
  const std::string directory_;
};

// What the store's parts share, and its owner asks.
struct Shared {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::Statistics> statistics;
  std::shared_ptr<Watch> watch;
  std::shared_ptr<InfoLog> info_log;
};

Shared MakeShared(const KvOptions& options) {
  Shared shared;
  shared.cache = rocksdb::NewLRUCache(options.cache_bytes, 2);
  shared.statistics = rocksdb::CreateDBStatistics();
  shared.statistics->set_stats_level(rocksdb::StatsLevel::kExceptHistogramOrTimers);
  shared.watch = std::make_shared<Watch>(options.directory);
  shared.info_log = std::make_shared<InfoLog>(options.directory);
  return shared;
}

rocksdb::DBOptions DatabaseOptions(const KvOptions& options, const Shared& shared) {
  rocksdb::DBOptions database;
  database.statistics = shared.statistics;
  database.listeners.push_back(shared.watch);
  database.create_if_missing = true;
  database.create_missing_column_families = true;
  database.atomic_flush = true;
  database.db_write_buffer_size = options.write_buffer_bytes;
  database.max_open_files = 64;
  database.max_file_opening_threads = 1;
  database.max_background_jobs = 1;
  database.stats_dump_period_sec = 0;
  database.stats_persist_period_sec = 0;
  database.skip_stats_update_on_db_open = true;
  database.skip_checking_sst_file_sizes_on_db_open = true;
  database.info_log = shared.info_log;
  database.max_manifest_file_size = 4 << 20;
  // Not 4 MiB at once: the free room of a small disk then says little of what is in it.
  database.manifest_preallocation_size = 64 << 10;
  return database;
}

rocksdb::ColumnFamilyOptions FamilyOptions(const KvOptions& options,
                                           const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = options.write_buffer_bytes;
  family.max_write_buffer_number = 2;
  family.arena_block_size = 64 << 10;  // an idle family then costs little
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

class RocksSnapshot final : public KvSnapshot {
 public:
  explicit RocksSnapshot(rocksdb::DB& database)
      : database_(database), snapshot_(database.GetSnapshot()) {}
  ~RocksSnapshot() override { database_.ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  rocksdb::DB& database_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksKv final : public Kv {
 public:
  // `handles`: the default family, the applied offsets, then the owner's families.
  RocksKv(std::unique_ptr<rocksdb::DB> database, std::vector<rocksdb::ColumnFamilyHandle*> handles,
          Shared shared)
      : database_(std::move(database)), handles_(std::move(handles)), shared_(std::move(shared)) {}

  ~RocksKv() override {
    for (rocksdb::ColumnFamilyHandle* handle : handles_)
      (void)database_->DestroyColumnFamilyHandle(handle);
    (void)database_->Close();
  }

  Status Write(const KvBatch& batch) override {
    rocksdb::WriteBatch writes;
    for (const KvBatch::Change& change : batch.changes()) {
      rocksdb::ColumnFamilyHandle* family = Handle(change.family);
      rocksdb::Status added;
      switch (change.kind) {
        case KvBatch::Kind::kPut: added = writes.Put(family, change.key, change.value); break;
        case KvBatch::Kind::kDelete: added = writes.Delete(family, change.key); break;
        case KvBatch::Kind::kDeleteRange:
          added = writes.DeleteRange(family, change.key, change.value);
          break;
      }
      SLUICE_RETURN_IF_ERROR(ToStatus(added));
    }
    for (const KvBatch::Applied& applied : batch.applied()) {
      if (!applied.offset) {
        SLUICE_RETURN_IF_ERROR(ToStatus(writes.Delete(AppliedHandle(), applied.stream)));
        continue;
      }
      char bytes[sizeof(int64_t)];
      StoreBigEndian(bytes, applied.offset->value());
      SLUICE_RETURN_IF_ERROR(ToStatus(
          writes.Put(AppliedHandle(), applied.stream, rocksdb::Slice(bytes, sizeof bytes))));
    }
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    return ToStatus(database_->Write(write, &writes));
  }

  Result<std::optional<std::string>> Get(KvFamily family, std::string_view key) const override {
    return GetFrom(Handle(family), key, rocksdb::kReadAllTier);
  }

  Result<std::optional<Offset>> Applied(std::string_view stream) const override {
    return AppliedIn(stream, rocksdb::kReadAllTier);
  }

  // Asked of the files alone, and a flush's are read only once the manifest that names them is
  // synced: so it knows of flushes that nobody asked for, and not of one that is under way.
  std::optional<Offset> DurablyApplied(std::string_view stream) const override {
    const auto applied = AppliedIn(stream, rocksdb::kPersistedTier);
    if (applied.ok()) return *applied;
    LOG(ERROR) << applied.status().ToString();
    return std::nullopt;
  }

  std::unique_ptr<KvSnapshot> NewSnapshot() const override {
    return std::make_unique<RocksSnapshot>(*database_);
  }

  Status Iterate(const KvSnapshot* snapshot, const Range& range,
                 const Visitor& visit) const override {
    return IterateOver(Handle(range.family), snapshot, range, visit);
  }

  Status Flush() override { return ToStatus(database_->Flush(rocksdb::FlushOptions(), handles_)); }

  Status Checkpoint(const std::string& directory) override {
    rocksdb::Checkpoint* created = nullptr;
    SLUICE_RETURN_IF_ERROR(ToStatus(rocksdb::Checkpoint::Create(database_.get(), &created)));
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
    return ToStatus(checkpoint->CreateCheckpoint(directory, 0));
  }

  KvStats stats() const override {
    KvStats stats;
    stats.memtable_bytes = Sum(rocksdb::DB::Properties::kSizeAllMemTables);
    stats.cache_bytes = shared_.cache->GetUsage();
    stats.cache_hits = shared_.statistics->getTickerCount(rocksdb::BLOCK_CACHE_HIT);
    stats.cache_misses = shared_.statistics->getTickerCount(rocksdb::BLOCK_CACHE_MISS);
    stats.sst_bytes = Sum(rocksdb::DB::Properties::kTotalSstFilesSize);
    stats.pending_compaction_bytes = Sum(rocksdb::DB::Properties::kEstimatePendingCompactionBytes);
    stats.keys_estimated = Sum(rocksdb::DB::Properties::kEstimateNumKeys);
    stats.running_jobs = Own(rocksdb::DB::Properties::kNumRunningFlushes) +
                         Own(rocksdb::DB::Properties::kNumRunningCompactions);
    shared_.watch->AddTo(stats);
    return stats;
  }

 private:
  static constexpr size_t kAppliedIndex = 1;
  static constexpr size_t kFirstFamilyIndex = 2;

  rocksdb::ColumnFamilyHandle* Handle(KvFamily family) const {
    CHECK_LT(family + kFirstFamilyIndex, handles_.size()) << "no such column family";
    return handles_[family + kFirstFamilyIndex];
  }
  rocksdb::ColumnFamilyHandle* AppliedHandle() const { return handles_[kAppliedIndex]; }

  static Result<std::optional<Offset>> ParseApplied(std::string_view bytes) {
    if (bytes.size() != sizeof(int64_t))
      return Status::Corruption("key-value store: an applied offset has a wrong length");
    return std::optional(Offset(LoadBigEndian<int64_t>(bytes.data())));
  }

  Result<std::optional<Offset>> AppliedIn(std::string_view stream, rocksdb::ReadTier tier) const {
    SLUICE_ASSIGN_OR_RETURN(const auto bytes, GetFrom(AppliedHandle(), stream, tier));
    if (!bytes) return std::optional<Offset>();
    return ParseApplied(*bytes);
  }

  // A property of all families together, and one of the whole store.
  uint64_t Sum(const std::string& property) const {
    uint64_t value = 0;
    return database_->GetAggregatedIntProperty(property, &value) ? value : 0;
  }
  uint64_t Own(const std::string& property) const {
    uint64_t value = 0;
    return database_->GetIntProperty(property, &value) ? value : 0;
  }

  Result<std::optional<std::string>> GetFrom(rocksdb::ColumnFamilyHandle* family,
                                             std::string_view key, rocksdb::ReadTier tier) const {
    rocksdb::ReadOptions read;
    read.read_tier = tier;
    std::string value;
    const rocksdb::Status status = database_->Get(read, family, ToSlice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    SLUICE_RETURN_IF_ERROR(ToStatus(status));
    return std::optional(std::move(value));
  }

  Status IterateOver(rocksdb::ColumnFamilyHandle* family, const KvSnapshot* snapshot,
                     const Range& range, const Visitor& visit) const {
    rocksdb::ReadOptions read;
    if (snapshot != nullptr) read.snapshot = static_cast<const RocksSnapshot*>(snapshot)->get();
    const rocksdb::Slice bound = ToSlice(range.to);
    if (!range.to.empty()) read.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> entries(database_->NewIterator(read, family));
    for (entries->Seek(ToSlice(range.from)); entries->Valid(); entries->Next()) {
      if (!visit(ToView(entries->key()), ToView(entries->value()))) break;
    }
    return ToStatus(entries->status());
  }

  const std::unique_ptr<rocksdb::DB> database_;
  const std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  const Shared shared_;
};

}  // namespace

Result<std::unique_ptr<Kv>> OpenRocksKv(const KvOptions& options) {
  Shared shared = MakeShared(options);
  const rocksdb::ColumnFamilyOptions family = FamilyOptions(options, shared.cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  families.emplace_back(kAppliedFamily, family);
  for (const std::string& name : options.families) families.emplace_back(name, family);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  SLUICE_RETURN_IF_ERROR(ToStatus(rocksdb::DB::Open(
      DatabaseOptions(options, shared), options.directory, families, &handles, &opened)));
  return std::unique_ptr<Kv>(std::make_unique<RocksKv>(std::unique_ptr<rocksdb::DB>(opened),
                                                       std::move(handles), std::move(shared)));
}

}  // namespace sluice::storage
