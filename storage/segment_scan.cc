#include "storage/segment_scan.h"

#include <algorithm>

namespace sluice::storage {
namespace {

constexpr size_t kScanChunkBytes = 1 << 20;

}  // namespace

// A batch whose length was damaged hides where the next one begins, so every byte is tried.
Result<std::optional<uint64_t>> FindValidBatch(const File& file, uint64_t damage, uint64_t size,
                                               Offset expected) {
  std::string window;
  std::string batch;
  for (uint64_t at = damage + 1; at + BatchHeader::kBytes <= size;) {
    window.resize(
        static_cast<size_t>(std::min<uint64_t>(kScanChunkBytes + BatchHeader::kBytes, size - at)));
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file.ReadAt(at, window.data(), window.size()));
    if (got < BatchHeader::kBytes) break;
    const size_t starts = got - BatchHeader::kBytes + 1;
    for (size_t i = 0; i < starts; ++i) {
      if (window[i + kafka::batch_layout::kMagic] != kafka::kMagicV2) continue;
      const auto header =
          BatchHeader::Parse(std::string_view(window).substr(i, BatchHeader::kBytes));
      const bool plausible = header && header->base_offset >= expected &&
                             header->base_offset - expected <= INT32_MAX &&
                             header->size_bytes <= size - (at + i);
      if (!plausible) continue;
      batch.resize(header->size_bytes);
      SLUICE_ASSIGN_OR_RETURN(const size_t whole, file.ReadAt(at + i, batch.data(), batch.size()));
      if (whole == batch.size() && BatchChecksumHolds(batch)) return std::optional(at + i);
    }
    at += starts;
  }
  return std::optional<uint64_t>();
}

namespace {

// Which batches need not be read whole: those below either limit.
struct Sound {
  Offset offset;
  uint64_t position = 0;
};

std::string Misplaced(const BatchHeader& batch, Offset due) {
  return "a batch has the offset " + std::to_string(batch.base_offset.value()) + " where " +
         std::to_string(due.value()) + " is due";
}

// Walks on from `outcome.end` and its position over batches that are `sound`.
Status WalkHeaders(const Segment& segment, const Sound& sound, ScanOutcome& outcome,
                   const std::function<Status(const BatchHeader&)>& note) {
  SLUICE_ASSIGN_OR_RETURN(const auto file, segment.OpenFile());
  const uint64_t end = std::min(outcome.file_size_bytes, Segment::kBytesMax);
  BatchScanner scanner(file, outcome.end_position, end, BatchScanner::kHeadersOnly);
  while (outcome.end < sound.offset || outcome.end_position < sound.position) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (!more) break;
    const BatchHeader& batch = scanner.header();
    // One that begins below a limit may end above it.
    if (batch.last_offset >= sound.offset && scanner.next_position() > sound.position) break;
    if (batch.base_offset < outcome.end || batch.last_offset - segment.base_offset() > INT32_MAX) {
      outcome.reason = Misplaced(batch, outcome.end);
      break;
    }
    SLUICE_RETURN_IF_ERROR(note(batch));
    outcome.end = batch.last_offset + 1;
    outcome.end_position = scanner.next_position();
  }
  return Status::Ok();
}

// Walks on from `outcome.end` and its position, checks every batch and hands it to `note`, until
// the end or the first bad one.
Status WalkBatches(const std::shared_ptr<File>& file, Offset base, ScanOutcome& outcome,
                   const std::function<Status(const BatchHeader&)>& note) {
  const uint64_t end = std::min(outcome.file_size_bytes, Segment::kBytesMax);
  BatchScanner scanner(file, outcome.end_position, end, kScanChunkBytes);
  while (outcome.reason.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (!more) break;
    const BatchHeader batch = scanner.header();
    SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
    if (!BatchChecksumHolds(bytes)) {
      outcome.reason = "a batch fails its checksum";
    } else if (batch.base_offset < outcome.end || batch.last_offset - base > INT32_MAX) {
      outcome.reason = Misplaced(batch, outcome.end);
    } else {
      SLUICE_RETURN_IF_ERROR(note(batch));
      outcome.end = batch.last_offset + 1;
      outcome.end_position = scanner.next_position();
      outcome.checked_bytes += batch.size_bytes;
    }
  }
  if (outcome.reason.empty() && outcome.end_position < outcome.file_size_bytes)
    outcome.reason = "the bytes are no whole batch";
  outcome.damaged = !outcome.reason.empty();
  return Status::Ok();
}

}  // namespace

Result<ScanOutcome> CheckBatches(const Segment& segment,
                                 const std::function<void(const BatchHeader&, uint64_t)>& visit,
                                 uint64_t bytes_max) {
  ScanOutcome outcome;
  SLUICE_ASSIGN_OR_RETURN(const auto file, segment.OpenFile());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  outcome.file_size_bytes = std::min(size, bytes_max);
  outcome.end = segment.base_offset();
  SLUICE_RETURN_IF_ERROR(
      WalkBatches(file, segment.base_offset(), outcome, [&](const BatchHeader& batch) {
        visit(batch, outcome.end_position);
        return Status::Ok();
      }));
  return outcome;
}

Result<ScanOutcome> ScanAndIndex(Segment& segment, const ScanStart& start,
                                 int32_t index_interval_bytes) {
  ScanOutcome outcome;
  SLUICE_ASSIGN_OR_RETURN(outcome.file_size_bytes,
                          start.host_stayed_up ? segment.BeginTail() : segment.BeginRebuild());
  SLUICE_ASSIGN_OR_RETURN(const auto file, segment.OpenFile());
  const auto note = [&](const BatchHeader& batch) {
    return segment.Note(batch, index_interval_bytes);
  };
  outcome.end = segment.end_offset();
  outcome.end_position = segment.size_bytes();
  Sound sound{start.synced_upto};
  // Not the last batch, whatever is behind it.
  const uint64_t unsure_bytes = start.checked_tail_bytes + 1;
  if (start.host_stayed_up && outcome.file_size_bytes > unsure_bytes)
    sound.position = outcome.file_size_bytes - unsure_bytes;
  SLUICE_RETURN_IF_ERROR(WalkHeaders(segment, sound, outcome, note));
  if (outcome.reason.empty())
    SLUICE_RETURN_IF_ERROR(WalkBatches(file, segment.base_offset(), outcome, note));
  outcome.damaged = !outcome.reason.empty();
  if (!outcome.damaged) return outcome;
  SLUICE_ASSIGN_OR_RETURN(
      outcome.valid_batch_after,
      FindValidBatch(*file, outcome.end_position, outcome.file_size_bytes, outcome.end));
  return outcome;
}

Status ForEachBatch(const std::vector<std::unique_ptr<Segment>>& segments, Offset from,
                    const std::function<Status(const BatchHeader&, BatchScanner&)>& visit) {
  for (const auto& segment : segments) {
    if (segment->end_offset() <= from) continue;
    SLUICE_RETURN_IF_ERROR(segment->EnsureLoaded());
    SLUICE_ASSIGN_OR_RETURN(
        BatchScanner scanner,
        segment->ScanFrom(std::max(from, segment->base_offset()), BatchScanner::kHeadersOnly));
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
      if (!more) break;
      const BatchHeader batch = scanner.header();
      if (batch.last_offset < from) continue;
      SLUICE_RETURN_IF_ERROR(visit(batch, scanner));
    }
    if (scanner.damaged()) {
      return segment->NoBatchAt(scanner.next_position(), "one is due");
    }
  }
  return Status::Ok();
}

}  // namespace sluice::storage
