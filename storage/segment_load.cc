// Segments of a log that was closed cleanly, and sealed ones of a killed process: read at first
// use, against what the directory said of them; and indexes built again for a segment that is known
// to be whole.

#include <algorithm>
#include <iterator>

#include "storage/index_testimony.h"
#include "storage/remedy.h"
#include "storage/segment.h"
#include "storage/segment_origin.h"
#include "storage/segment_rebuild.h"
#include "storage/segment_scan.h"

namespace sluice::storage {
namespace {

std::string Text(Offset offset) { return std::to_string(offset.value()); }

}  // namespace

Status Segment::LoadExpected() {
  if (damage_ != nullptr) return damage_->why;
  const Expected expected = *expected_;
  Damage damage{.why = Status::Ok(), .whole_end = base_};
  Status loaded = CheckAgainst(expected, damage);
  if (loaded.ok()) {
    expected_.reset();
    if (expected.sealed) SetSealed();
    return loaded;
  }
  Reset();
  size_ = written_ = expected.size_bytes;
  end_ = expected.end;
  if (loaded.code() != StatusCode::kCorruption) return loaded;
  damage.why = loaded;
  if (damage.whole_bytes > 0) {
    max_timestamp_ = damage.newest;
    first_timestamp_ms_ = damage.first_timestamp_ms;
  }
  damage_ = std::make_unique<Damage>(std::move(damage));
  return loaded;
}

Status Segment::EnsureReadable() {
  Status loaded = EnsureLoaded();
  return damage_ != nullptr && damage_->whole_bytes > 0 ? Status::Ok() : loaded;
}

Status Segment::CheckAgainst(const Expected& expected, Damage& damage) {
  if (rebuild_ == nullptr) {
    SLUICE_ASSIGN_OR_RETURN(const bool sound, Load(expected.index_interval_bytes));
    // A reader that may not wait does not sync either.
    const bool incomplete =
        home_.lacking != nullptr && expected.sealed && has_unwritten_index_entries();
    if (!sound || incomplete) {
      LOG(WARNING) << path()
                   << ": its indexes do not fit; its batches are checked, to build them again";
      rebuild_ = std::make_shared<SegmentRebuild>(home_, base_, expected, kBytesMax);
    } else {
      // This may find that they mislead.
      const Status origin = CheckOrigin(expected.end, true);
      if (rebuild_ == nullptr) SLUICE_RETURN_IF_ERROR(origin);
    }
  }
  if (rebuild_ != nullptr) {
    SLUICE_RETURN_IF_ERROR(TakeRebuild(&damage));
  } else {
    if (expected.sealed && has_unwritten_index_entries()) SLUICE_RETURN_IF_ERROR(SyncIndexes());
  }
  const bool fits = expected.sealed ? end_ <= expected.end : end_ == expected.end;
  if (fits) return Status::Ok();
  if (end_ < expected.end) {
    SLUICE_ASSIGN_OR_RETURN(const ScanOutcome found,
                            CheckBatches(*this, [&](const BatchHeader& batch, uint64_t position) {
                              damage.OnBatch(batch, position);
                            }));
    damage.whole_end = found.end;
    damage.whole_bytes = static_cast<uint32_t>(found.end_position);
  }
  return Status::Corruption(path() + " ends at offset " + Text(end_) + ", position " +
                            std::to_string(size_) +
                            ", but at the clean stop before this start its "
                            "records ended at offset " +
                            Text(expected.end) + ": the file was changed since" + kFileRemedy);
}

namespace {

Status Foreign(const std::string& path, const std::string& why) {
  return Status::Corruption(path + " seems to be another partition's: " + why + kForeignRemedy);
}

}  // namespace

Status Segment::CheckOrigin(Offset end, bool complete) {
  if (size_ == 0) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(SegmentOrigin origin, SegmentOrigin::Read(home_, end, complete));
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  const auto look_at = [&](uint64_t position) -> Status {
    BatchScanner scanner = Scan(file, position, size_, BatchHeader::kBytes);
    SLUICE_ASSIGN_OR_RETURN(const bool any, scanner.Next());
    if (any) origin.OnBatch(scanner.header());
    return Status::Ok();
  };
  SLUICE_RETURN_IF_ERROR(look_at(0));
  // The last batch, and the newest that a producer's sequence number is known of: often the same,
  // or near enough that loading has met it.
  std::vector<Offset> asked{end_ - 1};
  const auto claim = origin.claims().lower_bound(end_);
  if (claim != origin.claims().begin() && std::prev(claim)->first >= base_)
    asked.push_back(std::prev(claim)->first);
  for (const Offset offset : asked) {
    auto place = recent_ == nullptr ? std::nullopt : recent_->Find(offset);
    if (!place) {
      SLUICE_ASSIGN_OR_RETURN(place, LocateByIndex(offset));
    }
    if (place) SLUICE_RETURN_IF_ERROR(look_at(place->position));
  }
  return origin.contradiction().empty() ? Status::Ok() : Foreign(path(), origin.contradiction());
}

Status Segment::Rebuild(const RebuildRequest& request) {
  const Offset end_max = request.end_max;
  Damage* const damage = request.damage;
  // Loading may have added what it found in the log.
  SLUICE_RETURN_IF_ERROR(ReadFiles().status());
  // One past the newest record that the old indexes tell of, if they are not just zeros.
  Offset indexed_end = base_;
  const auto heed = [&](Offset last) {
    if (last < end_max) indexed_end = std::max(indexed_end, last + 1);
  };
  if (indexes_->offsets.last().position > 0) heed(indexes_->offsets.last().offset);
  if (indexes_->times.last().timestamp_ms > 0) heed(indexes_->times.last().offset);
  SLUICE_ASSIGN_OR_RETURN(auto testimony,
                          IndexTestimony::Take(indexes_->offsets, indexes_->times, end_max));
  SLUICE_ASSIGN_OR_RETURN(auto origin, SegmentOrigin::Read(home_, end_max, request.complete));
  const auto visit = [&](const BatchHeader& batch, uint64_t position) {
    testimony.OnBatch(batch, position);
    origin.OnBatch(batch);
    if (damage != nullptr) damage->OnBatch(batch, position);
  };
  SLUICE_ASSIGN_OR_RETURN(const ScanOutcome found, CheckBatches(*this, visit, request.bytes_max));
  if (damage != nullptr && origin.contradiction().empty() && !testimony.BothDeny(found.end)) {
    damage->whole_end = found.end;
    damage->whole_bytes = static_cast<uint32_t>(found.end_position);
  }
  if (found.damaged) {
    return Status::Corruption(path() + ": " + found.reason + " at position " +
                              std::to_string(found.end_position) + ", offset " + Text(found.end) +
                              ", where everything had been written" + kFileRemedy);
  }
  if (found.end < indexed_end) {
    return Status::Corruption(path() + " ends at offset " + Text(found.end) + ", position " +
                              std::to_string(found.end_position) +
                              ", but its indexes know records "
                              "up to offset " +
                              Text(indexed_end - 1) +
                              ": the file was cut, or is another segment's" + kFileRemedy);
  }
  if (!origin.contradiction().empty()) return Foreign(path(), origin.contradiction());
  // A snapshot that fits the .log proves nothing: one producer may have written to both partitions
  // in step.
  if (testimony.BothDeny()) {
    return Foreign(path(), "both its indexes, whole as they are, " + indexes_->offsets.file_path() +
                               " and " + indexes_->times.file_path() + ", tell of another log");
  }
  if (request.where == IndexFiles::kAside)
    indexes_ = std::make_unique<Indexes>(home_, base_, request.where);
  SLUICE_RETURN_IF_ERROR(BeginRebuild().status());
  SLUICE_ASSIGN_OR_RETURN(auto file, OpenFile());
  BatchScanner headers(std::move(file), 0, found.end_position);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, headers.Next());
    if (!more) break;
    SLUICE_RETURN_IF_ERROR(Note(headers.header(), request.index_interval_bytes));
  }
  return SyncIndexes();
}

Result<uint64_t> Segment::BeginTail() {
  SLUICE_ASSIGN_OR_RETURN(const bool taken, TakeOverIndexes());
  if (taken) return written_;
  indexes_->offsets.Forget();
  indexes_->times.Forget();
  return BeginScan();
}

Result<bool> Segment::TakeOverIndexes() {
  SLUICE_ASSIGN_OR_RETURN(const Files files, ReadFiles());
  if (!files.offsets_fit || !files.times_fit || indexes_->times.count() == 0) return false;
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

  BatchScanner first(files.log, 0, files.log_bytes, BatchHeader::kBytes);
  SLUICE_ASSIGN_OR_RETURN(const bool any, first.Next());
  BatchScanner at_entry(files.log, last.position, files.log_bytes, BatchHeader::kBytes);
  SLUICE_ASSIGN_OR_RETURN(const bool there, at_entry.Next());
  if (!any || !there || first.header().base_offset < base_ ||
      at_entry.header().last_offset != last.offset) {
    return false;
  }
  first_timestamp_ms_ = first.header().max_timestamp_ms;
  max_timestamp_ = indexes_->times.last();
  end_ = last.offset + 1;
  unwalked_upto_ = last.position;
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
