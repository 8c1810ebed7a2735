#include "controller/tail_evidence.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "controller/entry_codec.h"
#include "kafka/record_batch.h"
#include "storage/batch_header.h"
#include "storage/batch_scanner.h"
#include "storage/file_names.h"
#include "storage/segment_scan.h"

namespace sluice::controller {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

Offset ToOffset(LogIndex index) { return Offset(index.value()); }

struct TailFile {
  std::shared_ptr<File> file;
  uint64_t from = 0;  // where its part of the tail begins
  uint64_t size = 0;
};

// Walks over what is known to be synced. Where that is damaged the tail begins at the damage.
Result<uint64_t> EndOfSynced(const TailFile& file, Offset synced_end) {
  storage::BatchScanner scanner(*file.file, 0, file.size, storage::BatchScanner::kHeadersOnly);
  uint64_t end = 0;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
    if (!more || scanner.header().last_offset >= synced_end) return end;
    end = scanner.next_position();
  }
}

// The segments from the one that holds `synced_end` on, oldest first.
Result<std::vector<TailFile>> OpenTail(const Tail& tail) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> names, tail.fs.List(tail.directory));
  std::vector<Offset> bases;
  for (const std::string& name : names) {
    if (const auto base = storage::ParseOffsetFileName(name, storage::kLogSuffix))
      bases.push_back(*base);
  }
  std::sort(bases.begin(), bases.end());
  auto first = std::upper_bound(bases.begin(), bases.end(), ToOffset(tail.synced_end));
  if (first != bases.begin()) --first;
  std::vector<TailFile> files;
  for (auto base = first; base != bases.end(); ++base) {
    const std::string path =
        tail.directory + "/" + storage::OffsetFileName(*base, storage::kLogSuffix);
    TailFile file;
    SLUICE_ASSIGN_OR_RETURN(file.file, tail.fs.Open(path, OpenMode::kReadWrite));
    SLUICE_ASSIGN_OR_RETURN(file.size, file.file->Size());
    SLUICE_ASSIGN_OR_RETURN(file.from, EndOfSynced(file, ToOffset(tail.synced_end)));
    files.push_back(std::move(file));
  }
  return files;
}

// An entry written before entries told is taken to follow whole, synced ones: damage in front of it
// is refused, as it was then.
LogIndex WhatItTells(std::string_view bytes) {
  const auto batch = kafka::RecordBatchView::Parse(bytes);
  if (!batch.ok()) return LogIndex(0);
  const auto decoded = DecodeEntry(*batch);
  if (!decoded.ok()) return LogIndex(0);
  const LogIndex index = decoded->entry.index;
  return decoded->synced_end == LogIndex(0) ? index : std::min(decoded->synced_end, index);
}

// What the whole entries of one file tell.
Result<LogIndex> EvidenceIn(const TailFile& file, Offset synced_end) {
  LogIndex evidence(0);
  uint64_t at = file.from;
  while (at < file.size) {
    storage::BatchScanner scanner(*file.file, at, file.size, kChunkBytes);
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
      if (!more) break;
      SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
      // The length of a bad batch is not to be believed.
      if (!storage::BatchChecksumHolds(bytes)) break;
      evidence = std::max(evidence, WhatItTells(bytes));
      at = scanner.next_position();
    }
    if (at == file.size) break;
    SLUICE_ASSIGN_OR_RETURN(const std::optional<uint64_t> next,
                            storage::FindValidBatch(*file.file, at, file.size, synced_end));
    at = next.value_or(file.size);
  }
  return evidence;
}

}  // namespace

Result<LogIndex> EvidenceOf(const Tail& tail) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<TailFile> files, OpenTail(tail));
  LogIndex evidence = tail.synced_end;
  for (const TailFile& file : files) {
    SLUICE_ASSIGN_OR_RETURN(const LogIndex told, EvidenceIn(file, ToOffset(tail.synced_end)));
    evidence = std::max(evidence, told);
  }
  return evidence;
}

Status RewriteTail(const Tail& tail) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<TailFile> files, OpenTail(tail));
  std::string chunk;
  for (const TailFile& file : files) {
    if (file.from == file.size) continue;
    for (uint64_t at = file.from; at < file.size; at += chunk.size()) {
      chunk.resize(static_cast<size_t>(std::min<uint64_t>(kChunkBytes, file.size - at)));
      SLUICE_ASSIGN_OR_RETURN(const size_t got, file.file->ReadAt(at, chunk.data(), chunk.size()));
      if (got < chunk.size())
        return Status::IoError(tail.directory + ": a segment became shorter while it was read");
      SLUICE_RETURN_IF_ERROR(file.file->WriteAt(at, chunk));
    }
    SLUICE_RETURN_IF_ERROR(file.file->Sync());
  }
  return Status::Ok();
}

}  // namespace sluice::controller
