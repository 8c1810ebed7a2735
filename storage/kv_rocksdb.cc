// Kv on RocksDB: the only file that includes it. Settings aim at a store that is small, quick to
// open and quiet: no write-ahead log (the partition's log is it), atomic flushes, one background
// job, a bounded cache that holds indexes and filters too, no statistics thread.

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_batch.h>

#include <map>
#include <mutex>

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

rocksdb::DBOptions DatabaseOptions(const KvOptions& options) {
  rocksdb::DBOptions database;
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
  database.keep_log_file_num = 2;
  database.info_log_level = rocksdb::InfoLogLevel::ERROR_LEVEL;
  database.max_manifest_file_size = 4 << 20;
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
  RocksKv(std::unique_ptr<rocksdb::DB> database, std::vector<rocksdb::ColumnFamilyHandle*> handles)
      : database_(std::move(database)), handles_(std::move(handles)) {}

  ~RocksKv() override {
    for (rocksdb::ColumnFamilyHandle* handle : handles_)
      (void)database_->DestroyColumnFamilyHandle(handle);
    (void)database_->Close();
  }

  // Before anyone else uses it: what is on disk is durable.
  Status LearnApplied() {
    SLUICE_ASSIGN_OR_RETURN(durable_, AllApplied());
    return Status::Ok();
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
    return GetFrom(Handle(family), key);
  }

  Result<std::optional<Offset>> Applied(std::string_view stream) const override {
    SLUICE_ASSIGN_OR_RETURN(const auto bytes, GetFrom(AppliedHandle(), stream));
    if (!bytes) return std::optional<Offset>();
    return ParseApplied(*bytes);
  }

  std::optional<Offset> DurablyApplied(std::string_view stream) const override {
    std::lock_guard lock(mutex_);
    const auto found = durable_.find(stream);
    return found == durable_.end() ? std::nullopt : std::optional(found->second);
  }

  std::unique_ptr<KvSnapshot> NewSnapshot() const override {
    return std::make_unique<RocksSnapshot>(*database_);
  }

  Status Iterate(const KvSnapshot* snapshot, const Range& range,
                 const Visitor& visit) const override {
    return IterateOver(Handle(range.family), snapshot, range, visit);
  }

  Status Flush() override {
    // Read before the flush: all of it, and perhaps more, is durable after it.
    SLUICE_ASSIGN_OR_RETURN(auto applied, AllApplied());
    SLUICE_RETURN_IF_ERROR(ToStatus(database_->Flush(rocksdb::FlushOptions(), handles_)));
    std::lock_guard lock(mutex_);
    durable_ = std::move(applied);
    return Status::Ok();
  }

  Status Checkpoint(const std::string& directory) override {
    rocksdb::Checkpoint* created = nullptr;
    SLUICE_RETURN_IF_ERROR(ToStatus(rocksdb::Checkpoint::Create(database_.get(), &created)));
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(created);
    return ToStatus(checkpoint->CreateCheckpoint(directory, 0));
  }

 private:
  static constexpr size_t kAppliedIndex = 1;
  static constexpr size_t kFirstFamilyIndex = 2;
  using AppliedMap = std::map<std::string, Offset, std::less<>>;

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

  Result<std::optional<std::string>> GetFrom(rocksdb::ColumnFamilyHandle* family,
                                             std::string_view key) const {
    std::string value;
    const rocksdb::Status status =
        database_->Get(rocksdb::ReadOptions(), family, ToSlice(key), &value);
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

  Result<AppliedMap> AllApplied() const {
    AppliedMap all;
    Status malformed;
    SLUICE_RETURN_IF_ERROR(IterateOver(AppliedHandle(), nullptr, Range(),
                                       [&](std::string_view stream, std::string_view bytes) {
                                         const auto offset = ParseApplied(bytes);
                                         if (!offset.ok())
                                           malformed = offset.status();
                                         else
                                           all[std::string(stream)] = **offset;
                                         return malformed.ok();
                                       }));
    if (!malformed.ok()) return malformed;
    return all;
  }

  const std::unique_ptr<rocksdb::DB> database_;
  const std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  mutable std::mutex mutex_;
  AppliedMap durable_;  // guarded by mutex_
};

}  // namespace

Result<std::unique_ptr<Kv>> OpenRocksKv(const KvOptions& options) {
  const std::shared_ptr<rocksdb::Cache> cache = rocksdb::NewLRUCache(options.cache_bytes, 2);
  const rocksdb::ColumnFamilyOptions family = FamilyOptions(options, cache);
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family);
  families.emplace_back(kAppliedFamily, family);
  for (const std::string& name : options.families) families.emplace_back(name, family);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  SLUICE_RETURN_IF_ERROR(ToStatus(
      rocksdb::DB::Open(DatabaseOptions(options), options.directory, families, &handles, &opened)));
  auto kv = std::make_unique<RocksKv>(std::unique_ptr<rocksdb::DB>(opened), std::move(handles));
  SLUICE_RETURN_IF_ERROR(kv->LearnApplied());
  return std::unique_ptr<Kv>(std::move(kv));
}

}  // namespace sluice::storage
