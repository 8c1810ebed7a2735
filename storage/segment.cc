#include "storage/segment.h"

#include <algorithm>
#include <utility>

namespace sluice::storage {

Segment::~Segment() { home_.cache->Forget(file_); }

void Segment::MakeIndexes() {
  if (indexes_ == nullptr) indexes_ = std::make_unique<Indexes>(home_, base_, IndexFiles::kInPlace);
}

Result<std::unique_ptr<Segment>> Segment::Create(const SegmentHome& home, Offset base) {
  std::unique_ptr<Segment> segment = Open(home, base);
  segment->MakeIndexes();
  SLUICE_RETURN_IF_ERROR(
      home.cache->Open(segment->file_, segment->path(), OpenMode::kCreateTruncate).status());
  // Indexes left over from a segment of the same name would be appended to.
  for (const std::string_view suffix : {kIndexSuffix, kTimeIndexSuffix}) {
    const std::string path = home.PathOf(base, suffix);
    if (home.fs().Exists(path)) SLUICE_RETURN_IF_ERROR(home.fs().Remove(path));
  }
  return segment;
}

std::unique_ptr<Segment> Segment::Open(const SegmentHome& home, Offset base) {
  return std::unique_ptr<Segment>(new Segment(home, base));
}

std::unique_ptr<Segment> Segment::OpenLater(const SegmentHome& home, Offset base,
                                            const Expected& expected) {
  std::unique_ptr<Segment> segment = Open(home, base);
  segment->size_ = segment->written_ = expected.size_bytes;
  segment->end_ = expected.end;
  segment->expected_ = std::make_unique<Expected>(expected);
  return segment;
}

Result<std::shared_ptr<File>> Segment::OpenFile() const {
  if (auto open = file_.Get()) return open;
  return home_.cache->Open(file_, path(), OpenMode::kReadWrite);
}

size_t Segment::index_bytes() const {
  if (indexes_ == nullptr) return 0;
  return std::max(indexes_->offsets.count() * OffsetIndex::kEntryBytes,
                  indexes_->times.count() * TimeIndex::kEntryBytes);
}

Result<Segment::Files> Segment::ReadFiles() {
  Files files;
  SLUICE_ASSIGN_OR_RETURN(files.log, OpenFile());
  SLUICE_ASSIGN_OR_RETURN(files.log_bytes, files.log->Size());
  Reset();
  written_ = files.log_bytes;
  MakeIndexes();
  SLUICE_ASSIGN_OR_RETURN(files.offsets_fit, indexes_->offsets.Load(files.log_bytes));
  SLUICE_ASSIGN_OR_RETURN(files.times_fit, indexes_->times.Load());
  return files;
}

Result<bool> Segment::Load(int32_t index_interval_bytes) {
  index_interval_bytes_ = index_interval_bytes;
  SLUICE_ASSIGN_OR_RETURN(const Files files, ReadFiles());
  // An empty one may have no index files yet, but no entries either.
  if (files.log_bytes == 0) return indexes_->offsets.count() == 0 && indexes_->times.count() == 0;
  if (!files.offsets_fit || !files.times_fit || files.log_bytes > kBytesMax) return false;
  BatchScanner first = Scan(files.log, 0, files.log_bytes, BatchHeader::kBytes);
  SLUICE_ASSIGN_OR_RETURN(const bool any, first.Next());
  if (any) first_timestamp_ms_ = first.header().max_timestamp_ms;
  if (any && first.header().base_offset < base_) return false;

  const TimeIndex::Entry newest = max_timestamp_ = indexes_->times.last();
  const bool places_told = indexes_->offsets.count() > 0, times_told = indexes_->times.count() > 0;
  std::optional<bool> times_hold;  // once the batch of the newest entry was seen
  size_ = unwalked_upto_ = indexes_->offsets.last().position;
  // An index that has lost so much is as good as none.
  if (home_.lacking != nullptr && files.log_bytes - size_ > kTailBytesMax) return false;
  BatchScanner tail = Scan(files.log, size_, files.log_bytes, BatchScanner::kByPages);
  bool entry_batch = places_told;  // only what follows it counts towards the next entry
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, tail.Next());
    if (!more) break;
    const BatchHeader& batch = tail.header();
    if (batch.base_offset <= newest.offset && batch.last_offset >= newest.offset)
      times_hold = batch.max_timestamp_ms == newest.timestamp_ms;
    if (entry_batch && batch.last_offset != indexes_->offsets.last().offset) return false;
    if (entry_batch) {
      Remember(batch, static_cast<uint32_t>(tail.position()));
      if (batch.max_timestamp_ms > max_timestamp_.timestamp_ms) {
        max_timestamp_ = {batch.max_timestamp_ms, batch.last_offset};
      }
      end_ = batch.last_offset + 1;
      size_ = tail.next_position();
      bytes_since_index_ = batch.size_bytes;
      entry_batch = false;
      continue;
    }
    if (batch.base_offset < end_) return false;
    SLUICE_RETURN_IF_ERROR(Note(batch, index_interval_bytes));
  }
  if (entry_batch || size_ != files.log_bytes) return false;
  // Each entry of the offset index comes with one of the time index, unless the timestamps do not
  // grow: one that has lost its entries would make the segment look older than it is.
  if (!times_told) return !places_told || first_timestamp_ms_.value_or(-1) < 0;
  if (newest.offset >= end_ || newest.timestamp_ms < first_timestamp_ms_.value_or(-1)) return false;
  return times_hold ? *times_hold : HoldsTime(files.log, newest);
}

// Whether the batch that `entry` names is the one that it tells of: an index of another segment
// fits its place in the log, and seldom its times.
Result<bool> Segment::HoldsTime(const std::shared_ptr<File>& file,
                                const TimeIndex::Entry& entry) const {
  SLUICE_ASSIGN_OR_RETURN(const OffsetIndex::Entry from, indexes_->offsets.Floor(entry.offset));
  BatchScanner batches = Scan(file, from.position, size_, kLookupChunkBytes);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, batches.Next());
    if (!more) return false;
    const BatchHeader& batch = batches.header();
    if (batch.last_offset < entry.offset) continue;
    return batch.base_offset <= entry.offset && batch.max_timestamp_ms == entry.timestamp_ms;
  }
}

Result<uint64_t> Segment::BeginRebuild() {
  MakeIndexes();
  SLUICE_RETURN_IF_ERROR(indexes_->offsets.Clear());
  SLUICE_RETURN_IF_ERROR(indexes_->times.Clear());
  return BeginScan();
}

Result<uint64_t> Segment::BeginScan() {
  Reset();
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  SLUICE_ASSIGN_OR_RETURN(written_, file->Size());
  return written_;
}

void Segment::Reset() {
  size_ = 0;
  unwalked_upto_ = 0;
  walked_.reset();
  end_ = base_;
  max_timestamp_ = {TimeIndex::kNoTimestamp, base_};
  first_timestamp_ms_.reset();
  bytes_since_index_ = 0;
  recent_.reset();
}

Status Segment::Write(std::span<const std::string_view> parts, size_t size_bytes) {
  CHECK(loaded()) << path();
  CHECK_EQ(written_, size_) << path() << ": batches were written and not noted";
  if (unsynced_file_ == nullptr) {
    SLUICE_ASSIGN_OR_RETURN(unsynced_file_, OpenFile());
  }
  const Status written = unsynced_file_->WriteParts(size_, parts);
  if (written.ok()) {
    written_ = size_ + size_bytes;
    return written;
  }
  // Some of it may have reached the file. Left there, it would follow the next, shorter batch and
  // look like damage.
  if (Status cut = unsynced_file_->Truncate(size_); !cut.ok()) {
    return Status::IoError(path() + ": " + written.message() +
                           "; then cutting the rest off failed: " + cut.message());
  }
  return written;
}

Status Segment::Note(const BatchHeader& batch, int32_t index_interval_bytes) {
  CHECK_GE(batch.base_offset, end_) << path();
  CHECK_LE(size_ + batch.size_bytes, kBytesMax) << path();
  const auto position = static_cast<uint32_t>(size_);
  index_interval_bytes_ = index_interval_bytes;
  if (!first_timestamp_ms_) first_timestamp_ms_ = batch.max_timestamp_ms;
  if (batch.max_timestamp_ms > max_timestamp_.timestamp_ms)
    max_timestamp_ = {batch.max_timestamp_ms, batch.last_offset};
  size_ += batch.size_bytes;
  written_ = std::max(written_, size_);
  end_ = batch.last_offset + 1;
  Remember(batch, position);
  const bool due = bytes_since_index_ > static_cast<uint64_t>(index_interval_bytes);
  if (due) {
    SLUICE_RETURN_IF_ERROR(indexes_->offsets.Append({batch.last_offset, position}));
    SLUICE_RETURN_IF_ERROR(indexes_->times.MaybeAppend(max_timestamp_));
    bytes_since_index_ = 0;
  }
  bytes_since_index_ += batch.size_bytes;
  return Status::Ok();
}

void Segment::Remember(const BatchHeader& batch, uint32_t position) {
  if (recent_ == nullptr) recent_ = std::make_unique<Recent>();
  recent_->Add({batch.base_offset, batch.last_offset, position, batch.size_bytes});
}

void Segment::Recent::Add(const BatchPlace& place) {
  if (count < kMax) {
    places[count++] = place;
    return;
  }
  places[begin] = place;
  begin = (begin + 1) % kMax;
}

std::optional<BatchPlace> Segment::Recent::Find(Offset offset) const {
  // The oldest remembered batch answers only for offsets that it holds itself: one below may lie in
  // a batch before it.
  if (offset < at(0).base_offset || offset > at(count - 1).last_offset) return std::nullopt;
  size_t low = 0, high = count - 1;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (at(middle).last_offset < offset)
      low = middle + 1;
    else
      high = middle;
  }
  return at(low);
}

BatchScanner Segment::Scan(std::shared_ptr<File> file, uint64_t position, uint64_t end,
                           size_t chunk_bytes) const {
  BatchScanner scanner(std::move(file), position, end, chunk_bytes);
  scanner.set_lacking(home_.lacking_slice());
  return scanner;
}

namespace {

std::string Text(int64_t number) { return std::to_string(number); }

// Not the log, but what tells of it, cannot be read: the file was cut or removed while it was used.
bool Unreadable(const Status& status, std::string& misled) {
  if (status.code() != StatusCode::kCorruption && status.code() != StatusCode::kNotFound)
    return false;
  misled = status.message();
  return true;
}

}  // namespace

std::string Segment::Contradiction(const OffsetIndex::Entry& entry,
                                   const BatchHeader* batch) const {
  if (batch != nullptr && batch->last_offset == entry.offset) return "";
  return indexes_->offsets.file_path() + ": its entry for offset " + Text(entry.offset.value()) +
         " points to position " + Text(entry.position) + " of the log, where " +
         (batch == nullptr ? "no batch begins"
                           : "a batch ends at " + Text(batch->last_offset.value()));
}

std::string Segment::Contradiction(const TimeIndex::Entry& entry, const BatchHeader* batch) const {
  const bool named = batch != nullptr && batch->base_offset <= entry.offset;
  if (named && batch->max_timestamp_ms == entry.timestamp_ms) return "";
  return indexes_->times.file_path() + ": its entry for time " + Text(entry.timestamp_ms) +
         " names offset " + Text(entry.offset.value()) + " of the log, where " +
         (named ? "a batch has the time " + Text(batch->max_timestamp_ms) : "there is no batch");
}

Result<BatchScanner> Segment::ScanFrom(Offset offset, size_t chunk_bytes) {
  SLUICE_ASSIGN_OR_RETURN(auto file, OpenFile());
  if (damage_ != nullptr)
    return Scan(std::move(file), damage_->Floor(offset).position, readable_bytes(), chunk_bytes);
  CHECK(loaded()) << path();
  const auto place = [&](std::string& misled) -> Result<uint32_t> {
    const auto entry = indexes_->offsets.Floor(offset);
    if (Unreadable(entry.status(), misled)) return 0;
    SLUICE_RETURN_IF_ERROR(entry.status());
    if (entry->position > 0) {
      BatchScanner there = Scan(file, entry->position, size_, BatchHeader::kBytes);
      SLUICE_ASSIGN_OR_RETURN(const bool any, there.Next());
      misled = Contradiction(*entry, any ? &there.header() : nullptr);
    }
    return entry->position;
  };
  SLUICE_ASSIGN_OR_RETURN(const uint32_t position, Trusting(place));
  return Scan(std::move(file), position, size_, chunk_bytes);
}

Result<TimeIndex::Entry> Segment::EntryBefore(int64_t timestamp_ms) {
  if (damage_ != nullptr)
    return TimeIndex::Entry{TimeIndex::kNoTimestamp, damage_->FloorOfTime(timestamp_ms, base_)};
  return Trusting([&](std::string& misled) -> Result<TimeIndex::Entry> {
    const auto entry = indexes_->times.Floor(timestamp_ms, first_timestamp_ms_.value_or(-1));
    (void)Unreadable(entry.status(), misled);
    return entry;
  });
}

Result<std::optional<BatchPlace>> Segment::Locate(Offset offset) {
  if (damage_ != nullptr)
    return offset < damage_->whole_end ? LocateByIndex(offset)
                                       : Result<std::optional<BatchPlace>>(damage_->why);
  if (offset >= end_) return std::optional<BatchPlace>();
  if (recent_ != nullptr) {
    if (auto recent = recent_->Find(offset)) return recent;
  }
  CHECK(loaded()) << path();
  return LocateByIndex(offset);
}

Result<OffsetIndex::Entry> Segment::FloorOf(Offset offset) const {
  if (damage_ != nullptr) return damage_->Floor(offset);
  return indexes_->offsets.Floor(offset);
}

Result<std::optional<BatchPlace>> Segment::LocateByIndex(Offset offset) {
  return Trusting([&](std::string& misled) { return LookUp(offset, misled); });
}

Result<std::optional<BatchPlace>> Segment::LookUp(Offset offset, std::string& misled) const {
  const auto floor = FloorOf(offset);
  if (Unreadable(floor.status(), misled)) return std::optional<BatchPlace>();
  SLUICE_RETURN_IF_ERROR(floor.status());
  const OffsetIndex::Entry entry = *floor;
  SLUICE_ASSIGN_OR_RETURN(auto file, OpenFile());
  BatchScanner scanner = Scan(std::move(file), entry.position, readable_bytes(), kLookupChunkBytes);
  bool told = damage_ == nullptr && entry.position > 0;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (std::exchange(told, false))
      misled = Contradiction(entry, more ? &scanner.header() : nullptr);
    if (!more || !misled.empty()) break;
    const BatchHeader& batch = scanner.header();
    if (batch.last_offset >= offset) {
      return std::optional(BatchPlace{batch.base_offset, batch.last_offset,
                                      static_cast<uint32_t>(scanner.position()), batch.size_bytes});
    }
    // A wrong entry led the search astray, and to a right one that is far off.
    const uint64_t passed_bytes = scanner.position() - entry.position;
    if (home_.lacking != nullptr && damage_ == nullptr &&
        passed_bytes > kTailBytesMax + static_cast<uint64_t>(index_interval_bytes_)) {
      misled = indexes_->offsets.file_path() + ": it has no entry for offset " +
               Text(offset.value()) + ", nor for the " + Text(static_cast<int64_t>(passed_bytes)) +
               " bytes before position " + Text(static_cast<int64_t>(scanner.position()));
    }
  }
  if (!misled.empty() || !scanner.damaged()) return std::optional<BatchPlace>();
  return NoBatchAt(scanner.next_position(), "offset " + Text(offset.value()) + " was looked for");
}

namespace {

// What a failed sync leaves of a file nobody knows, whatever its reason: not even one for want of
// room is a refusal that changed nothing.
Status SyncCut(File& file) {
  const Status synced = file.Sync();
  return synced.ok() ? synced : Status::IoError(synced.message());
}

}  // namespace

Status Segment::TruncateTo(Offset offset, int32_t index_interval_bytes) {
  SLUICE_ASSIGN_OR_RETURN(const auto cut, Locate(offset));
  if (!cut) return Status::Ok();
  DropRebuild();
  SLUICE_RETURN_IF_ERROR(indexes_->offsets.TruncateTo(cut->base_offset));
  SLUICE_RETURN_IF_ERROR(indexes_->times.TruncateTo(cut->base_offset));
  // Load reads the files; and were one index behind the other in it, the largest timestamp would
  // come out too small.
  SLUICE_RETURN_IF_ERROR(indexes_->offsets.file().Spill());
  SLUICE_RETURN_IF_ERROR(indexes_->times.file().Spill());
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  SLUICE_RETURN_IF_ERROR(file->Truncate(cut->position));
  SLUICE_ASSIGN_OR_RETURN(const bool sound, Load(index_interval_bytes));
  if (!sound) {
    LOG(WARNING) << path() << ": its indexes do not fit; they are built again";
    SLUICE_RETURN_IF_ERROR(Rebuild(cut->base_offset, false, index_interval_bytes));
  }
  return SyncCut(*file);
}

Status Segment::CutTail() {
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  SLUICE_RETURN_IF_ERROR(file->Truncate(size_));
  written_ = size_;
  return SyncCut(*file);
}

Status Segment::SpillIndexes() {
  SLUICE_RETURN_IF_ERROR(indexes_->offsets.file().Spill());
  return indexes_->times.file().Spill();
}

Status Segment::Seal() {
  // Forced, so that the last entry tells the segment's largest timestamp to retention and to the
  // next start.
  if (size_ > 0) SLUICE_RETURN_IF_ERROR(indexes_->times.MaybeAppend(max_timestamp_));
  return SpillIndexes();
}

Result<std::vector<std::shared_ptr<File>>> Segment::SealedFiles() {
  SLUICE_ASSIGN_OR_RETURN(auto offsets, indexes_->offsets.file().Complete());
  SLUICE_ASSIGN_OR_RETURN(auto times, indexes_->times.file().Complete());
  SLUICE_ASSIGN_OR_RETURN(auto log, OpenFile());
  unsynced_file_.reset();
  SetSealed();
  return std::vector<std::shared_ptr<File>>{std::move(log), std::move(offsets), std::move(times)};
}

std::vector<std::string> Segment::FilePaths() const {
  return {path(), home_.PathOf(base_, kIndexSuffix), home_.PathOf(base_, kTimeIndexSuffix),
          home_.PathOf(base_, kTxnIndexSuffix)};
}

Result<Offset> Segment::OffsetAbove(uint64_t position) const {
  if (position >= readable_bytes() || damage_ != nullptr) return readable_end();
  const auto above = indexes_->offsets.OffsetAbove(position);
  std::string unreadable;
  if (Unreadable(above.status(), unreadable)) return end_;
  SLUICE_RETURN_IF_ERROR(above.status());
  return above->value_or(end_);
}

}  // namespace sluice::storage
