#include "storage/segment_scan.h"

#include <algorithm>

namespace sluice::storage {
namespace {

constexpr size_t kScanChunkBytes = 1 << 20;

// The position of the first whole batch with a good checksum that begins in
// (damage, size) and could follow `expected`; nullopt when the rest of the file
// holds none. A batch whose length was damaged hides where the next one begins,
// so every byte is tried.
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

}  // namespace

Result<ScanOutcome> ScanAndIndex(Segment& segment, int32_t index_interval_bytes) {
  ScanOutcome outcome;
  SLUICE_ASSIGN_OR_RETURN(outcome.file_size_bytes, segment.BeginRebuild());
  const uint64_t end = std::min(outcome.file_size_bytes, Segment::kBytesMax);
  SLUICE_ASSIGN_OR_RETURN(const auto file, segment.OpenFile());
  BatchScanner scanner(file, 0, end, kScanChunkBytes);
  while (outcome.reason.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (!more) break;
    const BatchHeader batch = scanner.header();
    SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
    if (!BatchChecksumHolds(bytes)) {
      outcome.reason = "a batch fails its checksum";
    } else if (batch.base_offset < segment.end_offset() ||
               batch.last_offset - segment.base_offset() > INT32_MAX) {
      outcome.reason = "a batch has the offset " + std::to_string(batch.base_offset.value()) +
                       " where " + std::to_string(segment.end_offset().value()) + " is due";
    } else {
      SLUICE_RETURN_IF_ERROR(segment.Note(batch, index_interval_bytes));
    }
  }
  if (outcome.reason.empty() && segment.size_bytes() < outcome.file_size_bytes)
    outcome.reason = "the bytes are no whole batch";
  outcome.damaged = !outcome.reason.empty();
  if (!outcome.damaged) return outcome;
  SLUICE_ASSIGN_OR_RETURN(
      outcome.valid_batch_after,
      FindValidBatch(*file, segment.size_bytes(), outcome.file_size_bytes, segment.end_offset()));
  return outcome;
}

Status ForEachBatch(const std::vector<std::unique_ptr<Segment>>& segments, Offset from,
                    const std::function<Status(const BatchHeader&, BatchScanner&)>& visit) {
  for (const auto& segment : segments) {
    if (segment->end_offset() <= from) continue;
    SLUICE_ASSIGN_OR_RETURN(BatchScanner scanner,
                            segment->ScanFrom(std::max(from, segment->base_offset()), 1 << 16));
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
      if (!more) break;
      const BatchHeader batch = scanner.header();
      if (batch.last_offset < from) continue;
      SLUICE_RETURN_IF_ERROR(visit(batch, scanner));
    }
  }
  return Status::Ok();
}

}  // namespace sluice::storage
