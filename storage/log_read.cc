// Reading: by offset as slices of the segment files, and by time down to the record.

#include <algorithm>

#include "storage/log_impl.h"
#include "storage/record_search.h"
#include "storage/remedy.h"

namespace sluice::storage {
namespace {

// Where the batches of `segment` that lie wholly below `upto` end.
Result<uint32_t> EndPosition(Segment& segment, Offset upto) {
  if (upto >= segment.readable_end()) return segment.readable_bytes();
  SLUICE_ASSIGN_OR_RETURN(const auto place, segment.Locate(upto));
  return place ? place->position : segment.readable_bytes();
}

TimestampOffset Found(const RecordPlace& record, LeaderEpoch epoch) {
  return {record.timestamp_ms, record.offset, epoch};
}

}  // namespace

size_t LogImpl::SegmentIndexOf(Offset offset) const {
  const auto after =
      std::upper_bound(segments_.begin(), segments_.end(), offset,
                       [](Offset o, const auto& segment) { return o < segment->base_offset(); });
  return after == segments_.begin() ? 0 : static_cast<size_t>(after - segments_.begin()) - 1;
}

// Moments after it was written nothing has left the memory: such reads ask for nothing.
bool LogImpl::IsHot(Offset from) const {
  if (from < hot_from_ && from < next_hot_from_) return false;
  const int64_t oldest_ms = options_.clock->SteadyMs() - 4 * kHotStepMs;
  if (hot_since_ms_ >= oldest_ms) return from >= hot_from_;
  return next_hot_since_ms_ >= oldest_ms && from >= next_hot_from_;
}

// No record was lost where compaction may have taken it, or a deletion.
Status LogImpl::CheckSeam(size_t i) const {
  if (i + 1 == segments_.size()) return Status::Ok();
  const Segment& segment = *segments_[i];
  const Offset next = segments_[i + 1]->base_offset();
  if (segment.end_offset() >= next || next <= log_start_offset()) return Status::Ok();
  // One that is known to have been there is missed whatever may explain a gap.
  const auto lost = lost_.lower_bound(segment.end_offset());
  const bool known = lost != lost_.end() && *lost < next;
  // In a log that is compacted a gap may also come from elsewhere, be it from another replica that
  // was compacted earlier.
  if (!known && (config().cleanup_compact || next <= options_.cleaned_upto)) return Status::Ok();
  if (!known) {
    SLUICE_ASSIGN_OR_RETURN(const bool was_compacted, SkipsOffsets(i));
    if (was_compacted) return Status::Ok();
  }
  return Status::Corruption(
      segment.path() + " ends at offset " + std::to_string(segment.end_offset().value()) +
      ", position " + std::to_string(segment.size_bytes()) + ", and " + segments_[i + 1]->path() +
      " comes next: what was between them is missing" + kFileRemedy);
}

// Whether what lies at the beginning of segment `i`, or of the next, has gaps between its batches.
// No loss leaves these in a file: so the log was compacted once, here or where it was copied from,
// whatever is its topic's policy now, and a gap between two files may be of that kind too.
Result<bool> LogImpl::SkipsOffsets(size_t i) const {
  constexpr uint64_t kLookedAtBytes = 512 << 10;
  for (size_t at = i; at < i + 2 && !skips_offsets_; ++at) {
    const Segment& segment = *segments_[at];
    SLUICE_ASSIGN_OR_RETURN(auto file, segment.OpenFile());
    BatchScanner batches(std::move(file), 0,
                         std::min<uint64_t>(segment.readable_bytes(), kLookedAtBytes));
    batches.set_lacking(home_->lacking_slice());
    for (Offset due = segment.base_offset(); !skips_offsets_;) {
      SLUICE_ASSIGN_OR_RETURN(const bool more, batches.Next());
      if (!more) break;
      skips_offsets_ = batches.header().base_offset > due;
      due = batches.header().last_offset + 1;
    }
  }
  return skips_offsets_;
}

Status LogImpl::CheckFirst(Offset from) const {
  const Segment& first = *segments_.front();
  if (from >= first.base_offset()) return Status::Ok();
  return Status::Corruption(first.path() + " is the first file, and the log starts at offset " +
                            std::to_string(log_start_offset().value()) +
                            ": what was before it is missing" + kFileRemedy);
}

Result<bool> LogImpl::ReadSegment(size_t i, Reading& reading, ReadResult& result) const {
  Segment& segment = *segments_[i];
  const Offset asked = std::max(reading.from, segment.base_offset());
  SLUICE_RETURN_IF_ERROR(Noted(i, asked, segment.EnsureReadable()));
  uint32_t position = 0;
  SLUICE_ASSIGN_OR_RETURN(const uint32_t end, EndPosition(segment, reading.upto));
  if (reading.first_batch) {
    const auto located = segment.Locate(reading.from);
    SLUICE_RETURN_IF_ERROR(Noted(i, asked, located.status()));
    const std::optional<BatchPlace>& place = *located;
    if (!place) {
      // Compaction took the segment's last batches: the next one begins the answer.
      SLUICE_RETURN_IF_ERROR(NotedAtEnd(i, CheckSeam(i)));
      return true;
    }
    if (place->position >= end) return false;
    position = place->position;
    reading.first_batch = false;
    if (place->size_bytes > reading.size_bytes_max) {
      if (!reading.one_at_least) return false;
      reading.size_bytes_max = place->size_bytes;
    }
  }
  const auto size = static_cast<uint32_t>(
      std::min<uint64_t>(end - position, reading.size_bytes_max - result.size_bytes));
  SLUICE_ASSIGN_OR_RETURN(const uint32_t whole_end, segment.WholeUpto(position, position + size));
  const uint32_t whole = whole_end - position;
  if (whole > 0) {
    SLUICE_ASSIGN_OR_RETURN(auto file, segment.OpenFile());
    result.slices.push_back({std::move(file), position, whole, reading.hot});
    result.size_bytes += whole;
  }
  if (whole < size) {
    // Of which offset, only a read that begins there knows.
    Status damaged = segment.NoBatchAt(whole_end, "one is due");
    return whole > 0 ? damaged : Noted(i, asked, std::move(damaged));
  }
  if (position + size < segment.readable_bytes()) return false;
  // The damage, if there is one.
  SLUICE_RETURN_IF_ERROR(NotedAtEnd(i, segment.EnsureLoaded()));
  SLUICE_RETURN_IF_ERROR(NotedAtEnd(i, CheckSeam(i)));
  return true;
}

Result<ReadResult> LogImpl::Read(Offset from, size_t size_bytes_max, Offset upto,
                                 bool one_at_least) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  if (from < log_start_offset() || from > log_end_offset()) {
    return Status::OutOfRange("offset " + std::to_string(from.value()) + " is outside [" +
                              std::to_string(log_start_offset().value()) + ", " +
                              std::to_string(log_end_offset().value()) + "] of " +
                              options_.directory);
  }
  SLUICE_RETURN_IF_ERROR(CheckFirst(from));
  const bool hot = IsHot(from);
  const HotReads hot_reads(*home_, hot);
  Reading reading{from, upto, size_bytes_max, one_at_least, hot};
  ReadResult result;
  for (size_t i = SegmentIndexOf(from); i < segments_.size(); ++i) {
    if (result.size_bytes >= reading.size_bytes_max + (reading.first_batch ? 1 : 0)) break;
    if (segments_[i]->base_offset() >= upto) break;
    const Result<bool> more = ReadSegment(i, reading, result);
    if (!more.ok()) {
      // What lies before the damage is good: who asks for what comes next is told.
      if (result.size_bytes > 0 && more.status().code() != StatusCode::kWouldWait) break;
      return more.status();
    }
    if (!*more) break;
  }
  return result;
}

Status LogImpl::NotedAtEnd(size_t i, Status status) const {
  return Noted(i, segments_[i]->readable_end(), std::move(status));
}

Status LogImpl::Noted(size_t i, Offset from, Status status) const {
  if (status.code() != StatusCode::kCorruption) return status;
  const Offset base = segments_[i]->base_offset(), upto = EndOfSegment(i);
  // However many reads meet it, one for each segment.
  const auto known = std::find_if(found_.begin(), found_.end(), [&](const FoundDamage& found) {
    return found.from >= base && found.from < upto;
  });
  if (known == found_.end()) {
    found_.push_back({from, upto, status});
  } else {
    known->from = std::min(known->from, from);
    known->upto = upto;
  }
  SettleDamagedAt();
  return status;
}

bool LogImpl::Holds(const FoundDamage& found) const {
  return found.upto > log_start_offset() && found.from < log_end_offset();
}

void LogImpl::SettleDamagedAt() const {
  int64_t at = -1;
  for (const FoundDamage& found : found_) {
    if (Holds(found) && (at < 0 || found.from < Offset(at))) at = found.from.value();
  }
  damaged_at_.store(at, std::memory_order_relaxed);
}

// With what is whole of a damaged segment. The rest is missed where the answer would lie right
// behind it, or nothing whole follows: records further on are younger, as records go.
Result<std::optional<TimestampOffset>> LogImpl::FindTimestamp(int64_t timestamp_ms,
                                                              Offset upto) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  const size_t first = SegmentIndexOf(log_start_offset());
  Status before = CheckFirst(log_start_offset());
  for (size_t i = first; i < segments_.size(); ++i) {
    Segment& segment = *segments_[i];
    if (segment.base_offset() >= upto) break;
    const Status loaded = NotedAtEnd(i, segment.EnsureLoaded());
    if (!loaded.ok() && loaded.code() != StatusCode::kCorruption) return loaded;
    const bool any = segment.EnsureReadable().ok() && segment.readable_bytes() > 0;
    if (any && segment.max_timestamp_ms() >= timestamp_ms) {
      const auto looked = FindInSegment(i, timestamp_ms, upto);
      // Somewhere in it, if nothing better is known.
      SLUICE_RETURN_IF_ERROR(Noted(i, segment.end_offset() - 1, looked.status()));
      const std::optional<TimestampOffset>& found = *looked;
      if (found && found->offset >= upto) return std::optional<TimestampOffset>();
      // Before the first record of a segment there may have been one that is lost.
      if (found && found->offset == segment.base_offset()) SLUICE_RETURN_IF_ERROR(before);
      if (found) return found;
    }
    if (loaded.ok() && any) before = NotedAtEnd(i, CheckSeam(i));
    if (before.code() == StatusCode::kWouldWait) return before;
    if (!loaded.ok()) before = loaded;
  }
  return before.ok() ? Result<std::optional<TimestampOffset>>(std::optional<TimestampOffset>())
                     : before;
}

// The first record of the segment that is not too old; perhaps one above `upto`.
Result<std::optional<TimestampOffset>> LogImpl::FindInSegment(size_t i, int64_t timestamp_ms,
                                                              Offset upto) const {
  std::string misled;
  for (bool again = false;; again = true) {
    auto found = FindByIndex(i, timestamp_ms, upto, misled);
    if (misled.empty()) return found;
    if (again) return Status::Corruption(misled + ", though it has just been built again");
    SLUICE_RETURN_IF_ERROR(segments_[i]->Mend(misled));
    misled.clear();
  }
}

// The same; `misled` tells when the index is not to be believed.
Result<std::optional<TimestampOffset>> LogImpl::FindByIndex(size_t i, int64_t timestamp_ms,
                                                            Offset upto,
                                                            std::string& misled) const {
  Segment& segment = *segments_[i];
  const Offset start = log_start_offset();
  SLUICE_ASSIGN_OR_RETURN(const TimeIndex::Entry before, segment.EntryBefore(timestamp_ms));
  SLUICE_ASSIGN_OR_RETURN(BatchScanner scanner,
                          segment.ScanFrom(std::max(before.offset, start), BatchScanner::kByPages));
  const std::optional<TimestampOffset> none;
  Offset due = segment.base_offset();
  // From the start on nothing can be passed over.
  bool told = before.timestamp_ms != TimeIndex::kNoTimestamp && before.offset >= start;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (scanner.damaged())
      return Noted(i, due, segment.NoBatchAt(scanner.next_position(), "one is due"));
    // Nor does one before it hold what is looked for.
    if (told && (!more || scanner.header().last_offset >= before.offset ||
                 scanner.header().max_timestamp_ms >= timestamp_ms)) {
      misled = segment.Contradiction(before, more ? &scanner.header() : nullptr);
      if (!misled.empty()) return none;
      told = false;
    }
    if (!more || scanner.header().base_offset >= upto) return none;
    const BatchHeader batch = scanner.header();
    due = batch.last_offset + 1;
    if (batch.max_timestamp_ms < timestamp_ms || batch.last_offset < start) continue;
    SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
    SLUICE_ASSIGN_OR_RETURN(const auto record, FirstRecordAtOrAfter(bytes, timestamp_ms, start));
    if (record) return std::optional(Found(*record, batch.leader_epoch));
  }
}

Result<std::optional<TimestampOffset>> LogImpl::MaxTimestamp(Offset upto) const {
  SLUICE_RETURN_IF_ERROR(CheckOnline());
  const Offset start = log_start_offset();
  std::optional<TimestampOffset> best;
  for (size_t i = SegmentIndexOf(start); i < segments_.size(); ++i) {
    Segment& segment = *segments_[i];
    if (segment.base_offset() >= upto) break;
    const Status readable = NotedAtEnd(i, segment.EnsureReadable());
    if (readable.code() == StatusCode::kCorruption) continue;
    SLUICE_RETURN_IF_ERROR(readable);
    if (segment.readable_bytes() == 0 || (best && segment.max_timestamp_ms() <= best->timestamp_ms))
      continue;
    // The batch that set the maximum is known; only when it lies outside [start, upto), or
    // compaction has left no more than its header, must all headers be looked at.
    bool known = segment.max_timestamp_offset() >= start && segment.max_timestamp_offset() < upto;
    for (bool settled = false; !settled; known = false) {
      settled = !known;
      SLUICE_ASSIGN_OR_RETURN(BatchScanner scanner,
                              segment.ScanFrom(known ? segment.max_timestamp_offset() : start,
                                               known ? BatchScanner::kByPages : 65536));
      Offset due = segment.base_offset();
      while (true) {
        SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
        if (scanner.damaged())
          return Noted(i, due, segment.NoBatchAt(scanner.next_position(), "one is due"));
        if (!more || scanner.header().base_offset >= upto) break;
        const BatchHeader batch = scanner.header();
        due = batch.last_offset + 1;
        if (batch.last_offset < start || (best && batch.max_timestamp_ms <= best->timestamp_ms))
          continue;
        SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
        SLUICE_ASSIGN_OR_RETURN(const auto record,
                                FirstRecordAtOrAfter(bytes, batch.max_timestamp_ms, start));
        const bool found = record && record->offset < upto;
        if (found) best = Found(*record, batch.leader_epoch);
        if (!known || batch.last_offset < segment.max_timestamp_offset()) continue;
        settled = found;
        break;
      }
    }
  }
  return best;
}

}  // namespace sluice::storage
