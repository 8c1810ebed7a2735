// Segments of a log that was closed cleanly, and sealed ones of a killed process: read at first
// use, against what the directory said of them; and indexes built again for a segment that is known
// to be whole.

#include <algorithm>

#include "storage/segment.h"
#include "storage/segment_scan.h"

namespace sluice::storage {
namespace {

std::string Text(Offset offset) { return std::to_string(offset.value()); }

constexpr char kRemedy[] =
    ". Nothing was changed. Put the file back from a backup; or, where another replica has the "
    "records, remove the partition's directory while the broker is stopped, and it is copied again";

}  // namespace

Status Segment::LoadExpected() {
  if (damage_ != nullptr) return *damage_;
  const Expected expected = *expected_;
  Status loaded = CheckAgainst(expected);
  if (loaded.ok()) {
    expected_.reset();
    if (expected.sealed) SetSealed();
    return loaded;
  }
  Reset();
  size_ = written_ = expected.size_bytes;
  end_ = expected.end;
  if (loaded.code() == StatusCode::kCorruption) damage_ = std::make_unique<Status>(loaded);
  return loaded;
}

Status Segment::CheckAgainst(const Expected& expected) {
  SLUICE_ASSIGN_OR_RETURN(const bool sound, Load(expected.index_interval_bytes));
  if (!sound) {
    LOG(WARNING) << path() << ": its indexes do not fit; they are built again";
    SLUICE_RETURN_IF_ERROR(Rebuild(expected.end, expected.index_interval_bytes));
  } else if (expected.sealed && has_unwritten_index_entries()) {
    SLUICE_RETURN_IF_ERROR(SyncIndexes());
  }
  const bool fits = expected.sealed ? end_ <= expected.end : end_ == expected.end;
  if (fits) return Status::Ok();
  return Status::Corruption(path() + " ends at offset " + Text(end_) + ", position " +
                            std::to_string(size_) +
                            ", but at the clean stop before this start its "
                            "records ended at offset " +
                            Text(expected.end) + ": the file was changed since" + kRemedy);
}

Status Segment::Rebuild(Offset end_max, int32_t index_interval_bytes) {
  // One past the newest record that the old indexes tell of, if they are not just zeros.
  Offset indexed_end = base_;
  const auto heed = [&](Offset last) {
    if (last < end_max) indexed_end = std::max(indexed_end, last + 1);
  };
  if (indexes_->offsets.last().position > 0) heed(indexes_->offsets.last().offset);
  if (indexes_->times.last().timestamp_ms > 0) heed(indexes_->times.last().offset);
  SLUICE_ASSIGN_OR_RETURN(const ScanOutcome found, CheckBatches(*this));
  if (found.damaged) {
    return Status::Corruption(path() + ": " + found.reason + " at position " +
                              std::to_string(found.end_position) + ", offset " + Text(found.end) +
                              ", where everything had been written" + kRemedy);
  }
  if (found.end < indexed_end) {
    return Status::Corruption(path() + " ends at offset " + Text(found.end) + ", position " +
                              std::to_string(found.end_position) +
                              ", but its indexes know records "
                              "up to offset " +
                              Text(indexed_end - 1) +
                              ": the file was cut, or is another segment's" + kRemedy);
  }
  SLUICE_RETURN_IF_ERROR(BeginRebuild().status());
  SLUICE_ASSIGN_OR_RETURN(auto file, OpenFile());
  BatchScanner headers(std::move(file), 0, found.end_position);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, headers.Next());
    if (!more) break;
    SLUICE_RETURN_IF_ERROR(Note(headers.header(), index_interval_bytes));
  }
  return SyncIndexes();
}

Result<uint64_t> Segment::BeginTail() {
  SLUICE_ASSIGN_OR_RETURN(const bool taken, TakeOverIndexes());
  if (taken) return written_;
  return BeginRebuild();
}

Result<bool> Segment::TakeOverIndexes() {
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t file_size, file->Size());
  Reset();
  written_ = file_size;
  MakeIndexes();
  SLUICE_ASSIGN_OR_RETURN(const bool offsets_fit, indexes_->offsets.Load(file_size));
  SLUICE_ASSIGN_OR_RETURN(const bool times_fit, indexes_->times.Load());
  if (!offsets_fit || !times_fit || indexes_->times.count() == 0) return false;
  // They were never synced, so all of it is looked at.
  SLUICE_ASSIGN_OR_RETURN(const bool offsets_ascend, indexes_->offsets.Ascends());
  SLUICE_ASSIGN_OR_RETURN(const bool times_ascend, indexes_->times.Ascends());
  if (!offsets_ascend || !times_ascend) return false;
  // The two are written out at different times. Up to the last entry of the offset index that the
  // time index has passed, both are complete: an entry there came from a batch no newer than that.
  SLUICE_RETURN_IF_ERROR(indexes_->offsets.TruncateTo(indexes_->times.last().offset + 1));
  if (indexes_->offsets.count() == 0) return false;
  const OffsetIndex::Entry last = indexes_->offsets.last();
  SLUICE_RETURN_IF_ERROR(indexes_->times.TruncateTo(last.offset + 1));

  BatchScanner first(file, 0, file_size, BatchHeader::kBytes);
  SLUICE_ASSIGN_OR_RETURN(const bool any, first.Next());
  BatchScanner at_entry(file, last.position, file_size, BatchHeader::kBytes);
  SLUICE_ASSIGN_OR_RETURN(const bool there, at_entry.Next());
  if (!any || !there || first.header().base_offset < base_ ||
      at_entry.header().last_offset != last.offset) {
    return false;
  }
  first_timestamp_ms_ = first.header().max_timestamp_ms;
  max_timestamp_ = indexes_->times.last();
  end_ = last.offset + 1;
  size_ = at_entry.next_position();
  bytes_since_index_ = at_entry.header().size_bytes;
  return true;
}

Status Segment::SyncIndexes() {
  SLUICE_RETURN_IF_ERROR(Seal());
  SLUICE_ASSIGN_OR_RETURN(const auto offsets, indexes_->offsets.file().Complete());
  SLUICE_ASSIGN_OR_RETURN(const auto times, indexes_->times.file().Complete());
  SLUICE_RETURN_IF_ERROR(offsets->Sync());
  SLUICE_RETURN_IF_ERROR(times->Sync());
  return home_.fs().SyncDirectory(home_.directory);
}

}  // namespace sluice::storage
