#include "storage/inspect/verify_partition.h"

#include <algorithm>
#include <iterator>

#include "storage/file_names.h"
#include "storage/inspect/problems.h"
#include "storage/inspect/segment_verifier.h"
#include "storage/log_directory.h"
#include "storage/partition_metadata.h"

namespace sluice::storage {
namespace {

class PartitionVerifier {
 public:
  PartitionVerifier(FileSystem& fs, PartitionFiles files, const PartitionContext& context,
                    const Report& report)
      : fs_(fs), files_(std::move(files)), context_(context) {
    pass_.fs = &fs_;
    pass_.context = &context_;
    pass_.report = &report;
  }

  Result<PartitionSummary> Run() {
    CheckNames();
    SLUICE_RETURN_IF_ERROR(ReadTopicId());
    SLUICE_RETURN_IF_ERROR(ReadEpochs());
    SLUICE_RETURN_IF_ERROR(ReadSnapshots());
    if (!files_.segments.empty()) pass_.expected = files_.segments.front();
    for (size_t i = 0; i < files_.segments.size(); ++i) {
      SLUICE_RETURN_IF_ERROR(SegmentVerifier(pass_, files_, i).Run());
      if (i + 1 < files_.segments.size()) CheckGap(files_.segments[i + 1]);
    }
    Finish();
    return pass_.summary;
  }

 private:
  void CheckNames() {
    const std::string name = files_.directory.substr(files_.directory.rfind('/') + 1);
    if (!ParseDirectoryName(name))
      pass_.Note(files_.directory, std::nullopt, "its name is not <topic>-<partition>");
    for (const Offset base : files_.lost) {
      pass_.Fault(files_.PathOf(base, kLogSuffix), std::nullopt, kLogIsGone,
                  "bring it back, from where it was moved to or from a backup; or, with the server "
                  "stopped, move the partition's directory away: at its start the replica is "
                  "fetched anew from the leader. The server keeps the index files and refuses "
                  "reads of what is lost; if they belong elsewhere, remove them");
    }
    for (const std::string& file : files_.unfinished)
      pass_.Note(files_.PathOf(file), std::nullopt,
                 "a compaction was interrupted; the server's start finishes or undoes it");
    for (const std::string& file : files_.discarded)
      pass_.Note(files_.PathOf(file), std::nullopt, "discarded; the server's start removes it");
    for (const std::string& file : files_.unknown)
      pass_.Note(files_.PathOf(file), std::nullopt,
                 "no file of a partition; nobody reads or removes it");
  }

  Status ReadTopicId() {
    if (!files_.has_metadata) return Status::Ok();
    const std::string path = files_.PathOf(kPartitionMetadataName);
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs_, path));
    if (PartitionMetadataIsBlank(text)) {
      pass_.Note(path, std::nullopt,
                 "blank, as a power cut may leave it; the server writes it again");
      return Status::Ok();
    }
    const auto id = ParsePartitionMetadata(text);
    if (id.ok()) {
      pass_.summary.topic_id = *id;
    } else {
      pass_.Fault(path, 0, id.status().message(),
                  "with the server stopped, write the topic's id there again: sluice topic "
                  "describe shows it");
    }
    return Status::Ok();
  }

  Status ReadEpochs() {
    if (!files_.has_epochs) return Status::Ok();
    const std::string path = files_.PathOf(kEpochCheckpointName);
    SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs_, path));
    if (text.empty()) return Status::Ok();  // Kafka makes it so, and writes it at the first epoch
    auto epochs = EpochCache::Parse(text);
    if (epochs.ok()) {
      pass_.epochs = *std::move(epochs);
    } else {
      pass_.Fault(path, std::nullopt, epochs.status().message(),
                  "with the server stopped, remove this file: it is made again from the batches");
    }
    return Status::Ok();
  }

  // All must decode; what they say of the batches is compared with these; the one of the first
  // segment tells which transactions were open before it.
  Status ReadSnapshots() {
    for (const Offset offset : files_.snapshots) {
      const std::string path = files_.PathOf(offset, kSnapshotSuffix);
      const auto bytes = ReadFile(fs_, path);
      if (bytes.status().code() == StatusCode::kNotFound && context_.live) continue;
      SLUICE_RETURN_IF_ERROR(bytes.status());
      const auto state = ProducerState::DecodeSnapshot(*bytes);
      if (!state.ok()) {
        pass_.Fault(path, 0, state.status().message(),
                    "nothing: the server's start takes an older one and the batches in its place");
        continue;
      }
      if (!files_.segments.empty() && offset == files_.segments.front())
        pass_.transactions.Seed(*state);
      CheckSnapshot(path, offset, *state);
    }
    NoteMissingSnapshots();
    return Status::Ok();
  }

  // Each roll leaves one at the new segment's base.
  void NoteMissingSnapshots() {
    if (files_.snapshots.empty() || files_.segments.empty() || context_.live) return;
    std::vector<Offset> missing;
    std::set_difference(files_.segments.begin() + 1, files_.segments.end(),
                        files_.snapshots.begin(), files_.snapshots.end(),
                        std::back_inserter(missing));
    if (missing.empty()) return;
    const size_t others = missing.size() - 1;
    pass_.Note(files_.PathOf(missing.front(), kSnapshotSuffix), std::nullopt,
               (others == 0 ? std::string("missing")
                            : "missing, and " + std::to_string(others) + " more of them") +
                   ", while other segments have theirs; a start that needs it reads more batches "
                   "instead");
  }

  void CheckSnapshot(const std::string& path, Offset offset, const ProducerState& state) {
    for (const auto& [id, entry] : state.producers()) {
      const ProducerBatch* last = entry.last_batch();
      const Offset newest = last == nullptr ? Offset(-1) : last->last_offset;
      if (newest < offset && entry.transaction_first_offset < offset.value()) continue;
      pass_.Fault(path, std::nullopt,
                  "it holds the state below offset " + std::to_string(offset.value()) +
                      ", yet tells of producer " + std::to_string(id.value()) + " and offset " +
                      std::to_string(newest.value()) + ": the file may be another partition's",
                  "with the server stopped, remove this file: an older one and the batches take "
                  "its place");
      return;
    }
    const Offset from = offset == files_.snapshots.back() ? Offset(0) : SegmentBefore(offset);
    for (const auto& [id, entry] : state.producers()) {
      const ProducerBatch* last = entry.last_batch();
      if (last != nullptr && last->last_offset >= from)
        pass_.claims.insert({last->last_offset, {id, last->last_sequence, offset}});
    }
  }

  // The base of the segment that ends at `offset`: older batches are told of by older snapshots.
  Offset SegmentBefore(Offset offset) const {
    const auto at = std::lower_bound(files_.segments.begin(), files_.segments.end(), offset);
    return at == files_.segments.begin() ? Offset(0) : *(at - 1);
  }

  // Between the end of a segment and the next one's base.
  void CheckGap(Offset next_base) {
    if (pass_.expected == next_base) return;
    const std::string next = files_.PathOf(next_base, kLogSuffix);
    if (pass_.expected > next_base && pass_.any_batch) {
      pass_.Fault(next, std::nullopt,
                  "the segment before it reaches to offset " +
                      std::to_string(pass_.expected.value() - 1) + ", into this one",
                  "one of the two files is not of this partition, or not of this time: restore the "
                  "directory from another replica");
    } else if (pass_.expected < next_base && !IsLost(pass_.expected, next_base)) {
      pass_.Gap(next, std::nullopt, next_base);
    }
    pass_.expected = next_base;
  }

  // Whether a .log is known to be missing that began there.
  bool IsLost(Offset from, Offset upto) const {
    const auto lost = std::lower_bound(files_.lost.begin(), files_.lost.end(), from);
    return lost != files_.lost.end() && *lost < upto;
  }

  void Finish() {
    PartitionSummary& summary = pass_.summary;
    summary.end = pass_.expected;
    summary.start = files_.segments.empty() ? Offset(0) : files_.segments.front();
    if (context_.log_start) summary.start = std::max(summary.start, *context_.log_start);
    if (pass_.gaps > 1) {
      pass_.Fault(files_.directory, std::nullopt,
                  std::to_string(pass_.gaps - 1) + " more gaps between offsets",
                  "so many speak for compaction: sluice log verify --compacted");
    }
    // With damage in the log its end is not known.
    if (pass_.damaged || files_.segments.empty() || context_.live) return;
    if (IsLost(summary.end, Offset(INT64_MAX))) return;
    // A crash may take records of the tail that had been acknowledged elsewhere.
    const bool whole = CheckOffset("recovery point", context_.recovery_point) &&
                       (!context_.clean || CheckOffset("high watermark", context_.high_watermark));
    if (!whole) return;
    CheckEpochsEnd();
    CheckLastBatches();
    CheckSnapshotsEnd();
  }

  void CheckEpochsEnd() {
    if (!pass_.epochs || pass_.epochs->entries().empty()) return;
    const auto& last = pass_.epochs->entries().back();
    if (last.start <= pass_.summary.end) return;
    pass_.Fault(files_.PathOf(kEpochCheckpointName), std::nullopt,
                "epoch " + std::to_string(last.epoch.value()) + " starts at offset " +
                    std::to_string(last.start.value()) + ", above the log's end " +
                    std::to_string(pass_.summary.end.value()),
                "with the server stopped, remove this file: it is made again from the batches");
  }

  // Producers of the snapshots whose batches are not there.
  void CheckLastBatches() {
    // What is told to be missing took its batches along.
    if (context_.compacted || !files_.lost.empty() || pass_.gaps > 0) return;
    for (const auto& [offset, told] : pass_.claims) {
      const bool judged = offset >= files_.segments.front() && offset < pass_.summary.end;
      if (!judged || !pass_.snapshots_told.insert(told.snapshot).second) continue;
      pass_.Fault(files_.PathOf(told.snapshot, kSnapshotSuffix), std::nullopt,
                  "it says that producer " + std::to_string(told.producer_id.value()) +
                      " wrote a batch that ends at offset " + std::to_string(offset.value()) +
                      "; no batch ends there: the file may be another partition's",
                  "with the server stopped, remove this file: an older one and the batches take "
                  "its place");
    }
  }

  void CheckSnapshotsEnd() {
    if (files_.snapshots.empty() || files_.snapshots.back() <= pass_.summary.end) return;
    pass_.Fault(
        files_.PathOf(files_.snapshots.back(), kSnapshotSuffix), std::nullopt,
        "it is of an offset above the log's end " + std::to_string(pass_.summary.end.value()),
        "nothing: the server removes it at its start");
  }

  // False when the log ends below it.
  bool CheckOffset(const char* what, std::optional<Offset> offset) {
    if (!offset || *offset <= pass_.summary.end) return true;
    pass_.Fault(files_.directory, std::nullopt,
                "the log ends at offset " + std::to_string(pass_.summary.end.value()) +
                    ", below its " + what + " " + std::to_string(offset->value()) +
                    ": records are missing at its end",
                "with the server stopped, move the partition's directory away; at its start the "
                "replica is fetched anew from the leader");
    return false;
  }

  FileSystem& fs_;
  const PartitionFiles files_;
  const PartitionContext context_;
  LogPass pass_;
};

}  // namespace

Result<PartitionSummary> VerifyPartition(FileSystem& fs, const std::string& directory,
                                         const PartitionContext& context, const Report& report) {
  SLUICE_ASSIGN_OR_RETURN(auto files, ListPartition(fs, directory));
  return PartitionVerifier(fs, std::move(files), context, report).Run();
}

}  // namespace sluice::storage
