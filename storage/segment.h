#pragma once
// Segment: one .log file with its offset and time index. It knows where its batches lie; which
// segments there are, and what offsets the next batch gets, is the log's business.
//
// Invariants:
//   1. size_bytes() is the end of the last whole batch; a failed write leaves it unchanged and its
//   bytes are cut off again.
//   2. Index entries point at batches below size_bytes().
//   3. Offsets are at least base_offset() and at most 2^31-1 above it, positions below 2^31.
//   4. Its .log file stays open from the first Write until MarkSynced: a writeback error is told to
//   whoever had the file open then. Otherwise the log's FileCache opens and closes it.
//
// A segment of a log that was closed cleanly, or a sealed one of a killed process, begins unloaded:
// it knows its size and where it must end, and reads the rest from its files at EnsureLoaded, which
// its log calls before it looks inside. One that is damaged stays unloaded; the batches before the
// damage can be read after EnsureReadable.
//
// Loading looks at an index's last entry only. Any other is compared with its batch when it is
// used; where they differ both are built again (Mend), and serve whom they do not mislead.
//
// Thread rule: guarded by the log's owner; a file that OpenFile gave may be read by anyone up to a
// size seen under the guard.

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/batch_header.h"
#include "storage/batch_scanner.h"
#include "storage/offset_index.h"
#include "storage/segment_damage.h"
#include "storage/segment_home.h"
#include "storage/time_index.h"
#include "storage/walked_ranges.h"

namespace sluice::storage {

// A batch and where it lies.
struct BatchPlace {
  Offset base_offset;
  Offset last_offset;
  uint32_t position = 0;
  uint32_t size_bytes = 0;
};

class SegmentRebuild;

class Segment {
 public:
  static constexpr uint64_t kBytesMax = 2147483647;

  // A new, empty segment, whatever was in a file of that name. `home` outlives it.
  static Result<std::unique_ptr<Segment>> Create(const SegmentHome& home, Offset base);
  // A .log file that is there; what it holds is learnt by Load or ScanAndIndex.
  static std::unique_ptr<Segment> Open(const SegmentHome& home, Offset base);
  // The same, read at first use (EnsureLoaded). What is found there must agree with this.
  struct Expected {
    uint64_t size_bytes = 0;
    Offset end;  // where its records end
    bool sealed =
        false;  // `end` is the next segment's base: compaction may have taken the last ones
    int32_t index_interval_bytes = 0;  // should the indexes have to be built again
  };
  static std::unique_ptr<Segment> OpenLater(const SegmentHome& home, Offset base,
                                            const Expected& expected);
  ~Segment();

  Offset base_offset() const { return base_; }
  Offset end_offset() const {
    return end_;
  }  // one above the last batch's last offset; base_offset() when empty
  uint32_t size_bytes() const { return static_cast<uint32_t>(size_); }
  int64_t max_timestamp_ms() const { return max_timestamp_.timestamp_ms; }
  // The last offset of the batch that holds max_timestamp_ms.
  Offset max_timestamp_offset() const { return max_timestamp_.offset; }
  // The largest timestamp of the first batch; nullopt when empty.
  std::optional<int64_t> first_timestamp_ms() const { return first_timestamp_ms_; }
  // The .log file, opened if need be.
  Result<std::shared_ptr<File>> OpenFile() const;
  // The same, null when it is not open.
  std::shared_ptr<File> open_file() const { return file_.Get(); }
  std::string path() const { return home_.PathOf(base_, kLogSuffix); }
  // All that was written is durable.
  void MarkSynced() { unsynced_file_.reset(); }
  // Something was written since.
  bool has_unsynced_bytes() const { return unsynced_file_ != nullptr; }
  // The largest of the two indexes' entry counts.
  size_t index_bytes() const;

  bool loaded() const { return expected_ == nullptr; }
  // Before anything but its base, end and size is asked for. What can be built again is;
  // kCorruption names the file, the position and what to do, and nothing was changed. Where its log
  // may not wait for the disk, building is left to others: Lacking::mending.
  Status EnsureLoaded() { return loaded() ? Status::Ok() : LoadExpected(); }
  // Content with less: of a damaged one, with the whole batches before the damage, if they are
  // known to be its own. These lie below readable_end(), in the first readable_bytes(); Locate
  // gives the damage for what comes behind, and timestamps are theirs.
  Status EnsureReadable();
  Offset readable_end() const { return damage_ == nullptr ? end_ : damage_->whole_end; }
  uint32_t readable_bytes() const {
    return damage_ == nullptr ? size_bytes() : damage_->whole_bytes;
  }

  // kCorruption when the files beside it tell that the .log is another partition's, as far as a few
  // of its batches show; `end` and `complete` as in SegmentOrigin::Read. REQUIRES: its indexes
  // were found sound.
  Status CheckOrigin(Offset end, bool complete);

  // Trusts the indexes and walks only the batches after the last entry. False when they do not fit
  // the log, or the tail is damaged: Rebuild then. `index_interval_bytes` as in Note.
  Result<bool> Load(int32_t index_interval_bytes);
  // Prepares for a scan by Note of what the indexes, as a killed process left them, do not tell:
  // that is taken over as far as it can be true. Returns the file's size; size_bytes() is where to
  // go on.
  Result<uint64_t> BeginTail();
  // Prepares for a scan of the whole file by Note: both indexes empty, size 0. Returns the file's
  // size.
  Result<uint64_t> BeginRebuild();

  // Builds the indexes of a segment that was synced and is whole again, from its batches, all of
  // which are checked before anything is changed, and syncs them. kCorruption when one is damaged,
  // when the old indexes know of records below `end_max` that the log no longer holds, or when what
  // lies beside it tells that the .log is another partition's.
  Status Rebuild(Offset end_max, bool complete, int32_t index_interval_bytes) {
    return Rebuild(
        {.end_max = end_max, .complete = complete, .index_interval_bytes = index_interval_bytes});
  }

  // Writes bytes of whole batches at the end. Follow with Note for each of them.
  Status Write(std::span<const std::string_view> parts, size_t size_bytes);
  // Takes a batch that lies at the end of what was noted before into account, and indexes it when
  // `index_interval_bytes` have passed since the last entry.
  Status Note(const BatchHeader& batch, int32_t index_interval_bytes);

  // The first batch whose last offset is at least `offset`; nullopt when there is none. The damage
  // where that may have been lost.
  Result<std::optional<BatchPlace>> Locate(Offset offset);
  // How far whole batches lie one behind another from `position` on, where one begins: at least
  // `upto`, or where none begins. What this process wrote it knows; the rest is read once.
  // REQUIRES: `upto` is at most readable_bytes().
  Result<uint32_t> WholeUpto(uint32_t position, uint32_t upto);
  // kCorruption: none begins at `position`, where `where` says that one must.
  Status NoBatchAt(uint64_t position, const std::string& where) const;
  // A scanner that starts at or before the batch holding `offset`.
  Result<BatchScanner> ScanFrom(Offset offset, size_t chunk_bytes);
  // The newest known batch before `timestamp_ms`: no record up to there is as young, if it is true.
  Result<TimeIndex::Entry> EntryBefore(int64_t timestamp_ms);
  // How `batch`, the first that ends at or above its offset, if any, belies an entry; or empty.
  std::string Contradiction(const TimeIndex::Entry& entry, const BatchHeader* batch) const;
  // An offset above those of all batches that begin below `position`; not far above.
  Result<Offset> OffsetAbove(uint64_t position) const;
  // An index has misled its reader, as `why` says: ok once both are built again, and he can look
  // again. Waits as EnsureLoaded does. kCorruption when it is the log that is damaged.
  Status Mend(const std::string& why);

  // Removes the batches that hold `offset` or more, and syncs the file.
  Status TruncateTo(Offset offset, int32_t index_interval_bytes);
  // Cuts the file behind what was noted.
  Status CutTail();
  // Writes what the indexes hold back: what is cut off afterwards needs no room.
  Status SpillIndexes();
  // Forces the last time index entry, writes both indexes out: the segment will not grow again (or
  // the log closes).
  Status Seal();
  // Seal must have run: the files to sync, the log first. Whoever syncs them holds them from here
  // on.
  Result<std::vector<std::shared_ptr<File>>> SealedFiles();
  // Of a sealed segment below the recovery point, which no flush will look at: the same, and syncs
  // the indexes.
  Status SyncIndexes();
  bool has_unwritten_index_entries() const {
    return indexes_ != nullptr &&
           (indexes_->offsets.has_unwritten() || indexes_->times.has_unwritten());
  }
  // It will not grow: what only the newest segment needs is let go.
  void SetSealed() { recent_.reset(); }
  // The names of its files, for deletion.
  std::vector<std::string> FilePaths() const;

 private:
  friend class SegmentRebuild;

  using Damage = SegmentDamage;
  // Where Rebuild writes. kAside: under names with kTempSuffix; the old files stay.
  enum class IndexFiles : uint8_t { kInPlace, kAside };

  static constexpr size_t kLookupChunkBytes = 8192;
  // What may lie behind the last index entry and be walked over by a log that may not wait.
  static constexpr uint64_t kTailBytesMax = 16 << 20;

  // The newest batches, consecutive: those who read the tail find their place without the index.
  struct Recent {
    static constexpr size_t kMax = 32;
    std::array<BatchPlace, kMax> places;
    size_t count = 0;
    size_t begin = 0;  // of the oldest

    void Add(const BatchPlace& place);
    const BatchPlace& at(size_t i) const { return places[(begin + i) % kMax]; }
    std::optional<BatchPlace> Find(Offset offset) const;
  };

  struct Indexes {
    Indexes(const SegmentHome& home, Offset base, IndexFiles where)
        : offsets(home, base,
                  where == IndexFiles::kAside ? OffsetIndex::kAside : OffsetIndex::kKind),
          times(home, base, where == IndexFiles::kAside ? TimeIndex::kAside : TimeIndex::kKind) {}
    OffsetIndex offsets;
    TimeIndex times;
  };
  // What the files hold, before anything is made of it.
  struct Files {
    std::shared_ptr<File> log;
    uint64_t log_bytes = 0;
    bool offsets_fit = false;  // the indexes can be of a log of that size
    bool times_fit = false;
  };

  struct RebuildRequest {
    Offset end_max;
    bool complete = false;
    int32_t index_interval_bytes = 0;
    uint64_t bytes_max = kBytesMax;  // what lies behind is being appended, and not looked at
    IndexFiles where = IndexFiles::kInPlace;
    Damage* damage = nullptr;
  };

  Segment(const SegmentHome& home, Offset base) : home_(home), base_(base) {}
  void MakeIndexes();
  // Of the .log file, waiting for the disk or not as the log does.
  BatchScanner Scan(std::shared_ptr<File> file, uint64_t position, uint64_t end,
                    size_t chunk_bytes) const;
  // Begins anew with them.
  Result<Files> ReadFiles();
  Result<bool> HoldsTime(const std::shared_ptr<File>& file, const TimeIndex::Entry& entry) const;
  Result<OffsetIndex::Entry> FloorOf(Offset offset) const;
  Result<std::optional<BatchPlace>> LocateByIndex(Offset offset);
  // The same; nullopt, and how in `misled`, when the index says what is not so.
  Result<std::optional<BatchPlace>> LookUp(Offset offset, std::string& misled) const;
  std::string Contradiction(const OffsetIndex::Entry& entry, const BatchHeader* batch) const;
  // `look(misled)`, and once more with indexes built again when these have misled it.
  template <typename Look>
  auto Trusting(Look look) -> decltype(look(std::declval<std::string&>())) {
    std::string misled;
    auto found = look(misled);
    if (misled.empty()) return found;
    if (Status mended = Mend(misled); !mended.ok()) return mended;
    misled.clear();
    found = look(misled);
    if (misled.empty()) return found;
    return Status::Corruption(misled + ", though it has just been built again");
  }
  Result<bool> TakeOverIndexes();
  Status LoadExpected();
  // Leaves in `damage` what is whole before it.
  Status CheckAgainst(const Expected& expected, Damage& damage);
  Status Rebuild(const RebuildRequest& request);
  // segment_rebuild.cc. Puts what rebuild_ has built in place, when it has; tells `damage`, if not
  // null, what is whole otherwise.
  Status TakeRebuild(Damage* damage);
  Status Adopt(SegmentRebuild& rebuild);
  Status NoteGrowth(uint64_t upto);
  void DropRebuild();
  Result<uint64_t> BeginScan();
  void Reset();
  void Remember(const BatchHeader& batch, uint32_t position);

  const SegmentHome& home_;
  const Offset base_;
  mutable FileCache::Ref file_;
  std::shared_ptr<File> unsynced_file_;  // held while it has unsynced bytes
  std::unique_ptr<Indexes> indexes_;     // null until it is loaded: most segments never are
  uint64_t size_ = 0;                    // noted bytes
  uint64_t written_ = 0;  // bytes in the file; ahead of size_ only between Write and Note
  // Below it nobody has looked at the batches, but for the walked ranges.
  uint32_t unwalked_upto_ = 0;
  std::unique_ptr<WalkedRanges> walked_;
  Offset end_ = base_;
  TimeIndex::Entry max_timestamp_{TimeIndex::kNoTimestamp, base_};
  std::optional<int64_t> first_timestamp_ms_;
  uint64_t bytes_since_index_ = 0;
  int32_t index_interval_bytes_ = 0;    // as it was last told
  std::unique_ptr<Expected> expected_;  // until it is loaded
  std::unique_ptr<Damage> damage_;      // why it cannot be
  // Of indexes that do not fit, or mislead.
  std::shared_ptr<SegmentRebuild> rebuild_;
  std::unique_ptr<Recent> recent_;  // of one that grew since it was opened
};

}  // namespace sluice::storage
