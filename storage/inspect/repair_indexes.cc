#include "storage/inspect/repair_indexes.h"

#include "storage/file_names.h"
#include "storage/index_testimony.h"
#include "storage/inspect/directory_facts.h"
#include "storage/inspect/open_transactions.h"
#include "storage/inspect/partition_files.h"
#include "storage/inspect/problems.h"
#include "storage/inspect/segment_walk.h"
#include "storage/log_directory.h"
#include "storage/offset_index.h"
#include "storage/producer_state.h"
#include "storage/segment.h"
#include "storage/segment_origin.h"
#include "storage/time_index.h"

namespace sluice::storage {
namespace {

// The bytes of a segment's indexes, by the rule of docs/formats/log_directory.md.
class IndexBuilder {
 public:
  IndexBuilder(Offset base, int32_t interval_bytes) : base_(base), interval_(interval_bytes) {}

  void OnBatch(const BatchHeader& batch, uint64_t position) {
    if (batch.max_timestamp_ms > newest_.timestamp_ms)
      newest_ = {batch.max_timestamp_ms, batch.last_offset};
    if (since_entry_ > static_cast<uint64_t>(interval_)) {
      EncodeTo(offsets, OffsetEntry{batch.last_offset, static_cast<int64_t>(position)}, base_);
      MaybeAddTime();
      since_entry_ = 0;
    }
    since_entry_ += batch.size_bytes;
  }

  // The segment's largest timestamp is always told.
  void Finish() { MaybeAddTime(); }

  std::string offsets;
  std::string times;
  std::string aborts;

 private:
  void MaybeAddTime() {
    if (newest_.timestamp_ms <= last_ms_) return;
    EncodeTo(times, newest_, base_);
    last_ms_ = newest_.timestamp_ms;
  }

  const Offset base_;
  const int32_t interval_;
  TimeEntry newest_{-1, base_};
  int64_t last_ms_ = -1;
  uint64_t since_entry_ = 0;
};

// One segment's new indexes, and what the old ones and the files beside them say of its .log.
struct SegmentWork {
  IndexBuilder builder;
  SegmentOrigin origin;
  IndexTestimony testimony;
  bool damaged = false;

  void OnBatch(const BatchHeader& batch, uint64_t position) {
    builder.OnBatch(batch, position);
    origin.OnBatch(batch);
    testimony.OnBatch(batch, position);
  }
  // Empty when nothing speaks against it. Of damaged bytes the indexes still tell rightly.
  std::string WhyForeign() const {
    if (!origin.contradiction().empty())
      return "this file may be another partition's: " + origin.contradiction();
    if (damaged || !testimony.BothDeny()) return "";
    return std::string(kNoIndexFits) + "; if it is the indexes that are wrong, remove them";
  }
};

class Repair {
 public:
  Repair(FileSystem& fs, const RepairOptions& options, const RepairReport& report)
      : fs_(fs), options_(options), report_(report), cache_(std::make_shared<FileCache>(fs)) {}

  Status Partition(const std::string& directory) {
    SLUICE_ASSIGN_OR_RETURN(const PartitionFiles files, ListPartition(fs_, directory));
    ++totals.partitions;
    OpenTransactions transactions;
    SLUICE_RETURN_IF_ERROR(SeedTransactions(files, transactions));
    for (const Offset lost : files.lost)
      Damaged({.file = files.PathOf(lost, kLogSuffix), .problem = kLogIsGone, .foreign = true});
    bool renamed = false;
    for (size_t i = 0; i < files.segments.size(); ++i) {
      const Offset base = files.segments[i];
      const std::string log = files.PathOf(base, kLogSuffix);
      const bool newest = i + 1 == files.segments.size();
      SLUICE_ASSIGN_OR_RETURN(
          SegmentWork work,
          Begin(directory, base, newest ? NewestEnd(files) : files.segments[i + 1]));
      SLUICE_RETURN_IF_ERROR(Walk(log, base, transactions, work));
      ++totals.segments;
      if (const std::string why = work.WhyForeign(); !why.empty()) {
        Damaged({.file = log, .position = 0, .problem = why, .foreign = true});
        continue;
      }
      const IndexBuilder& builder = work.builder;
      SLUICE_RETURN_IF_ERROR(Put(files.PathOf(base, kIndexSuffix), builder.offsets,
                                 OffsetIndex::kEntryBytes, renamed));
      SLUICE_RETURN_IF_ERROR(Put(files.PathOf(base, kTimeIndexSuffix), builder.times,
                                 TimeIndex::kEntryBytes, renamed));
      const std::string aborts = files.PathOf(base, kTxnIndexSuffix);
      if (!builder.aborts.empty() || fs_.Exists(aborts))
        SLUICE_RETURN_IF_ERROR(Put(aborts, builder.aborts, kTxnEntryBytes, renamed));
    }
    return renamed ? fs_.SyncDirectory(directory) : Status::Ok();
  }

  RepairTotals totals;

 private:
  // A clean stop left a snapshot there.
  static Offset NewestEnd(const PartitionFiles& files) {
    const bool any = !files.snapshots.empty() && files.snapshots.back() > files.segments.back();
    return any ? files.snapshots.back() : Offset(INT64_MAX);
  }

  Result<SegmentWork> Begin(const std::string& directory, Offset base, Offset end) {
    const SegmentHome home{directory, cache_};
    OffsetIndex offsets(home, base);
    TimeIndex times(home, base);
    SLUICE_RETURN_IF_ERROR(offsets.Load(Segment::kBytesMax).status());
    SLUICE_RETURN_IF_ERROR(times.Load().status());
    SLUICE_ASSIGN_OR_RETURN(auto origin, SegmentOrigin::Read(home, end, false));
    SLUICE_ASSIGN_OR_RETURN(auto testimony, IndexTestimony::Take(offsets, times, end));
    return SegmentWork{IndexBuilder(base, options_.index_interval_bytes), std::move(origin),
                       std::move(testimony)};
  }

  Status SeedTransactions(const PartitionFiles& files, OpenTransactions& transactions) {
    if (files.segments.empty()) return Status::Ok();
    const std::string path = files.PathOf(files.segments.front(), kSnapshotSuffix);
    if (!fs_.Exists(path)) return Status::Ok();
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs_, path));
    if (const auto state = ProducerState::DecodeSnapshot(bytes); state.ok())
      transactions.Seed(*state);
    return Status::Ok();
  }

  // Batches up to the first damage. Where the segment before it ended is no matter: that may be the
  // wrong one.
  Status Walk(const std::string& path, Offset base, OpenTransactions& transactions,
              SegmentWork& work) {
    Offset expected = base;
    IndexBuilder& builder = work.builder;
    SLUICE_ASSIGN_OR_RETURN(SegmentWalk walk, SegmentWalk::Open(fs_, path));
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const bool more, walk.Next());
      if (!more) break;
      const BatchHeader batch = walk.header();
      const std::optional<std::string> problem =
          walk.checksum_holds() ? PlaceProblem(batch, base, expected) : ChecksumProblem(batch);
      if (problem) {
        Damaged({.file = path, .position = walk.position(), .problem = *problem});
        builder.Finish();
        work.damaged = true;
        return Status::Ok();
      }
      expected = batch.last_offset + 1;
      work.OnBatch(batch, walk.position());
      SLUICE_RETURN_IF_ERROR(NoteTransaction(walk, transactions, builder));
    }
    builder.Finish();
    work.damaged = walk.damaged();
    if (!work.damaged) return Status::Ok();
    SLUICE_ASSIGN_OR_RETURN(const std::string problem, walk.DescribeDamage());
    Damaged({.file = path, .position = walk.next_position(), .problem = problem});
    return Status::Ok();
  }

  Status NoteTransaction(SegmentWalk& walk, OpenTransactions& transactions, IndexBuilder& builder) {
    const BatchHeader& batch = walk.header();
    if (!batch.is_transactional()) return Status::Ok();
    if (!batch.is_control()) {
      transactions.OnData(batch);
      return Status::Ok();
    }
    const auto bytes = walk.Bytes();
    if (!bytes.ok()) return Status::Ok();  // no marker is that large
    const auto marker = EndMarkerOf(batch, *bytes);
    if (!marker) return Status::Ok();
    if (const auto entry = transactions.OnMarker(batch, *marker)) EncodeTo(builder.aborts, *entry);
    return Status::Ok();
  }

  void Damaged(const UnreadableLog& log) {
    ++totals.damaged_logs;
    report_.damage(log);
  }

  Status Put(const std::string& path, const std::string& wanted, size_t entry_bytes,
             bool& renamed) {
    RepairedIndex index{path, RepairedIndex::Outcome::kMade, wanted.size() / entry_bytes};
    if (fs_.Exists(path)) {
      SLUICE_ASSIGN_OR_RETURN(const bool same, Holds(path, wanted));
      index.outcome = same ? RepairedIndex::Outcome::kUnchanged : RepairedIndex::Outcome::kReplaced;
    }
    switch (index.outcome) {
      case RepairedIndex::Outcome::kUnchanged: ++totals.unchanged; break;
      case RepairedIndex::Outcome::kMade: ++totals.made; break;
      case RepairedIndex::Outcome::kReplaced: ++totals.replaced; break;
    }
    if (index.outcome != RepairedIndex::Outcome::kUnchanged && !options_.dry_run) {
      SLUICE_RETURN_IF_ERROR(Replace(path, wanted));
      renamed = true;
    }
    report_.index(index);
    return Status::Ok();
  }

  Result<bool> Holds(const std::string& path, const std::string& wanted) {
    SLUICE_ASSIGN_OR_RETURN(const auto file, fs_.Open(path, OpenMode::kRead));
    SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    if (size != wanted.size()) return false;
    std::string held(wanted.size(), '\0');
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file->ReadAt(0, held.data(), held.size()));
    return got == wanted.size() && held == wanted;
  }

  // The directory is synced once for all of a partition.
  Status Replace(const std::string& path, const std::string& bytes) {
    const std::string temporary = path + std::string(kTempSuffix);
    SLUICE_ASSIGN_OR_RETURN(const auto file, fs_.Open(temporary, OpenMode::kCreateTruncate));
    SLUICE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
    SLUICE_RETURN_IF_ERROR(file->Sync());
    return fs_.Rename(temporary, path);
  }

  FileSystem& fs_;
  const RepairOptions& options_;
  const RepairReport& report_;
  const std::shared_ptr<FileCache> cache_;
};

// Held while indexes are replaced. A directory without a .lock was copied from somewhere: no server
// has it.
Result<std::unique_ptr<FileLock>> LockDirectory(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/" + kLockName;
  if (!fs.Exists(path)) return std::unique_ptr<FileLock>();
  auto lock = fs.Lock(path);
  if (lock.status().code() == StatusCode::kUnavailable)
    return Status::Unavailable("a running server has " + directory + " open");
  return lock;
}

}  // namespace

Result<RepairTotals> RepairIndexes(FileSystem& fs, const std::string& directory,
                                   const RepairOptions& options, const RepairReport& report) {
  if (!fs.Exists(directory)) return Status::NotFound(directory + " does not exist");
  if (!fs.IsDirectory(directory)) return Status::InvalidArgument(directory + " is a file");
  const bool whole = IsLogDirectory(fs, directory);
  if (!whole) {
    SLUICE_ASSIGN_OR_RETURN(const PartitionFiles files, ListPartition(fs, directory));
    if (files.segments.empty())
      return Status::InvalidArgument(directory + " holds no .log file and no meta.properties");
  }
  SLUICE_ASSIGN_OR_RETURN(const auto lock,
                          LockDirectory(fs, whole ? directory : ParentOf(directory)));
  Repair repair(fs, options, report);
  if (!whole) {
    SLUICE_RETURN_IF_ERROR(repair.Partition(directory));
    return repair.totals;
  }
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs.List(directory));
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    if (ParseDirectoryName(name) && fs.IsDirectory(path))
      SLUICE_RETURN_IF_ERROR(repair.Partition(path));
  }
  return repair.totals;
}

}  // namespace sluice::storage
