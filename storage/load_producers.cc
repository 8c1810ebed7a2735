// LoadProducers (storage/recovery.h): from snapshots and batches to the producer state, and on the
// way to the transaction indexes.

#include <algorithm>

#include "storage/file_names.h"
#include "storage/recovery.h"
#include "storage/segment_scan.h"

namespace sluice::storage {
namespace {

using Segments = std::vector<std::unique_ptr<Segment>>;

bool IsBase(const Segments& segments, Offset offset) {
  return std::any_of(segments.begin(), segments.end(),
                     [&](const auto& segment) { return segment->base_offset() == offset; });
}

// The segment that holds `offset`, or would.
size_t HolderOf(const Segments& segments, Offset offset) {
  const auto after =
      std::upper_bound(segments.begin(), segments.end(), offset,
                       [](Offset o, const auto& segment) { return o < segment->base_offset(); });
  return after == segments.begin() ? 0 : static_cast<size_t>(after - segments.begin()) - 1;
}

struct Snapshot {
  ProducerState producers;
  Offset offset;  // what it holds ends here
};

// The newest usable snapshot at or below `limit`; nothing, at the log's beginning, when there is
// none.
Result<Snapshot> NewestSnapshot(const LogOptions& options, const Segments& segments, Offset limit) {
  FileSystem& fs = *options.file_system;
  const Offset end = segments.back()->end_offset();
  std::vector<Offset> offsets;
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs.List(options.directory));
  for (const std::string& name : names) {
    if (auto offset = ParseOffsetFileName(name, kSnapshotSuffix)) offsets.push_back(*offset);
  }
  std::sort(offsets.begin(), offsets.end());
  Snapshot newest{{}, segments.front()->base_offset()};
  bool found = false;
  bool cut_off = false;
  while (!offsets.empty()) {
    const Offset offset = offsets.back();
    offsets.pop_back();
    const std::string path = options.directory + "/" + OffsetFileName(offset, kSnapshotSuffix);
    if (offset <= end && offset > limit) continue;
    if (found && IsBase(segments, offset)) continue;
    if (!found && offset <= end && offset >= newest.offset) {
      SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs, path));
      if (auto decoded = ProducerState::DecodeSnapshot(bytes); decoded.ok()) {
        newest = {std::move(*decoded), offset};
        found = true;
        continue;
      }
      LOG(WARNING) << path << " cannot be read; an older one is used";
    }
    // Above the end, unreadable, or taken at a stop and since overtaken.
    SLUICE_RETURN_IF_ERROR(fs.Remove(path));
    cut_off = cut_off || offset > end;
  }
  // One that came back after a power cut would tell of records that others have replaced.
  if (cut_off) SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(options.directory));
  return newest;
}

// The snapshots at the bases that a walk comes by. Those that a crash left may be torn, and older
// ones go with their segments: later truncations would find none.
class BaseSnapshots {
 public:
  BaseSnapshots(const LogOptions& options, const Segments& segments, Offset from)
      : options_(options), segments_(segments) {
    while (next_ < segments_.size() && segments_[next_]->base_offset() <= from) ++next_;
  }

  // Everything below `offset` has been observed.
  Status WriteUpTo(Offset offset, const ProducerState& producers) {
    for (; next_ < segments_.size() && segments_[next_]->base_offset() <= offset; ++next_) {
      const Status written = Write(segments_[next_]->base_offset(), producers);
      // Without it the next load begins at an older one.
      if (!written.ok() && written.code() != StatusCode::kDiskFull) return written;
    }
    return Status::Ok();
  }

 private:
  Status Write(Offset base, const ProducerState& producers) {
    FileSystem& fs = *options_.file_system;
    const std::string path = options_.directory + "/" + OffsetFileName(base, kSnapshotSuffix);
    const std::string temporary = path + std::string(kTempSuffix);
    SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(temporary, OpenMode::kCreateTruncate));
    // Not synced: were it lost or torn, its checksum tells, and the next load begins at an older
    // one. After a crash there may be as many of them as segments.
    SLUICE_RETURN_IF_ERROR(file->WriteAt(0, producers.EncodeSnapshot()));
    return fs.Rename(temporary, path);
  }

  const LogOptions& options_;
  const Segments& segments_;
  size_t next_ = 0;
};

// Where the index entries have to begin: `rebuild.from`, or the base of its segment when the index
// there is damaged, which is then emptied.
Result<Offset> IndexFrom(const Segments& segments, const TxnRebuild& rebuild) {
  const Offset from = std::min(rebuild.from, segments.back()->end_offset());
  const size_t holder = HolderOf(segments, from);
  const Offset base = segments[holder]->base_offset();
  const Offset end = holder + 1 < segments.size() ? segments[holder + 1]->base_offset()
                                                  : segments[holder]->end_offset();
  SLUICE_ASSIGN_OR_RETURN(const bool sound, rebuild.indexes->Check(base, end));
  if (sound) return from;
  LOG(WARNING) << "the transaction index of the segment " << segments[holder]->path()
               << " is damaged; it is built again";
  SLUICE_RETURN_IF_ERROR(rebuild.indexes->StartAgain(base));
  return base;
}

}  // namespace

Result<ProducerState> LoadProducers(const LogOptions& options, const Segments& segments,
                                    const TxnRebuild* rebuild) {
  Offset index_from(INT64_MAX);
  if (rebuild != nullptr) {
    SLUICE_ASSIGN_OR_RETURN(index_from, IndexFrom(segments, *rebuild));
  }
  SLUICE_ASSIGN_OR_RETURN(Snapshot start, NewestSnapshot(options, segments, index_from));
  ProducerState producers = std::move(start.producers);
  const Offset upto = rebuild == nullptr ? Offset(INT64_MAX) : rebuild->upto;
  const Status far_enough = Status::OutOfRange("far enough");
  BaseSnapshots snapshots(options, segments, start.offset);
  const Status walked = ForEachBatch(
      segments, start.offset, [&](const BatchHeader& batch, BatchScanner& scanner) -> Status {
        if (batch.base_offset >= upto) return far_enough;
        SLUICE_RETURN_IF_ERROR(snapshots.WriteUpTo(batch.base_offset, producers));
        if (batch.base_offset < start.offset || !batch.has_producer()) return Status::Ok();
        std::optional<EndMarker> marker;
        if (batch.is_control()) {
          SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
          marker = EndMarkerOf(batch, bytes);
        }
        const auto completed = producers.Observe(batch, marker);
        const bool indexed = completed && completed->aborted && batch.base_offset >= index_from;
        if (!indexed) return Status::Ok();
        const Offset base = segments[HolderOf(segments, batch.base_offset)]->base_offset();
        return rebuild->indexes->Append(
            base, {completed->producer_id, completed->first_offset, completed->marker_offset,
                   completed->last_stable_offset});
      });
  if (walked == far_enough) return producers;
  SLUICE_RETURN_IF_ERROR(walked);
  SLUICE_RETURN_IF_ERROR(snapshots.WriteUpTo(segments.back()->end_offset(), producers));
  producers.RemoveExpired(options.clock->WallMs(), options.config.producer_id_expiration_ms);
  return producers;
}

}  // namespace sluice::storage
