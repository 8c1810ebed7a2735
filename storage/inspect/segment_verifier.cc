#include "storage/inspect/segment_verifier.h"

#include "kafka/record_batch.h"
#include "storage/file_names.h"
#include "storage/inspect/problems.h"
#include "storage/offset_index.h"
#include "storage/time_index.h"

namespace sluice::storage {
namespace {

constexpr int kFaultsToldMax = 10;
constexpr size_t kRecordsBytesMax = 256 << 20;  // of one batch, decompressed

constexpr char kRestore[] =
    "with the server stopped, move the partition's directory away; at its start the replica is "
    "fetched anew from the leader. Without another replica, what sluice log dump still shows is "
    "all there is";
constexpr char kRepair[] =
    "with the server stopped: sluice log repair --indexes on the partition's directory";
constexpr char kLookFirst[] =
    "none yet: look first whether the .log is the right one; if it is, with the server stopped, "
    "remove both indexes: they are made again";

std::string Text(Offset offset) { return std::to_string(offset.value()); }

// In the newest segment damage at the end is what a crash leaves.
std::string TailRemedy(bool behind_recovery_point) {
  return behind_recovery_point
             ? std::string("start the server: what a crash left unwritten is cut off at its start")
             : std::string(kRestore);
}

}  // namespace

void LogPass::Gap(const std::string& file, std::optional<uint64_t> position, Offset next) {
  // Behind damage it is the damage's consequence.
  if (damaged || context->compacted || gaps++ > 0) return;
  Fault(file, position,
        "offsets " + Text(expected) + " to " + Text(next - 1) +
            " are missing before this, and the log directory knows of no compaction of this "
            "partition",
        "bring the missing segment back, or restore the directory from another replica. If the "
        "topic is compacted: sluice log verify --compacted");
}

SegmentVerifier::SegmentVerifier(LogPass& pass, const PartitionFiles& files, size_t index)
    : pass_(pass),
      files_(files),
      base_(files.segments[index]),
      role_(index + 1 == files.segments.size() ? SegmentRole::kNewest : SegmentRole::kSealed),
      path_(files.PathOf(base_, kLogSuffix)) {}

Status SegmentVerifier::Run() {
  auto walk = SegmentWalk::Open(*pass_.fs, path_);
  if (walk.status().code() == StatusCode::kNotFound && pass_.context->live) {
    pass_.Note(path_, std::nullopt, "deleted by the running server while this was reading");
    return Status::Ok();
  }
  SLUICE_RETURN_IF_ERROR(walk.status());
  walk_ = *std::move(walk);
  SLUICE_RETURN_IF_ERROR(OpenIndexes());
  ++pass_.summary.segments;
  pass_.summary.bytes += walk_->size_bytes();
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, walk_->Next());
    if (more) {
      SLUICE_RETURN_IF_ERROR(OnBatch());
      continue;
    }
    if (!walk_->damaged()) break;
    SLUICE_ASSIGN_OR_RETURN(const bool goes_on, OnDamage());
    if (!goes_on) break;
  }
  if (batch_faults_ > kFaultsToldMax) {
    pass_.Fault(path_, std::nullopt,
                std::to_string(batch_faults_ - kFaultsToldMax) + " more faults of its batches",
                kRestore);
  }
  return FinishIndexes();
}

Status SegmentVerifier::OpenIndexes() {
  SLUICE_ASSIGN_OR_RETURN(
      auto offsets,
      EntryReader::Open(*pass_.fs, files_.PathOf(base_, kIndexSuffix), OffsetIndex::kEntryBytes));
  if (offsets) offset_index_.emplace(*std::move(offsets), base_);
  SLUICE_ASSIGN_OR_RETURN(
      auto times,
      EntryReader::Open(*pass_.fs, files_.PathOf(base_, kTimeIndexSuffix), TimeIndex::kEntryBytes));
  if (times) time_index_.emplace(*std::move(times), base_);
  SLUICE_ASSIGN_OR_RETURN(
      auto aborts,
      EntryReader::Open(*pass_.fs, files_.PathOf(base_, kTxnIndexSuffix), kTxnEntryBytes));
  if (aborts) txn_index_.emplace(*std::move(aborts), base_, MayLag());
  return Status::Ok();
}

void SegmentVerifier::BatchFault(std::string problem) {
  if (++batch_faults_ <= kFaultsToldMax)
    pass_.Fault(path_, walk_->position(), std::move(problem), kRestore);
}

Status SegmentVerifier::OnBatch() {
  const BatchHeader batch = walk_->header();
  ++pass_.summary.batches;
  pass_.summary.records += static_cast<uint64_t>(batch.record_count);
  if (!walk_->checksum_holds()) {
    BatchFault(ChecksumProblem(batch));
    // Its header is part of what cannot be trusted.
    pass_.damaged = true;
    indexes_judged_ = false;
    return Status::Ok();
  }
  CheckPlace(batch);
  CheckShape(batch);
  CheckEpoch(batch);
  CheckProducer(batch);
  SLUICE_RETURN_IF_ERROR(CheckIndexes(batch));
  if (pass_.context->records) SLUICE_RETURN_IF_ERROR(CheckRecords());
  pass_.any_batch = true;
  pass_.expected = std::max(pass_.expected, batch.last_offset + 1);
  return Status::Ok();
}

void SegmentVerifier::CheckPlace(const BatchHeader& batch) {
  if (auto problem = PlaceProblem(batch, base_, pass_.expected)) {
    BatchFault(*std::move(problem));
  } else if (batch.base_offset > pass_.expected && pass_.any_batch) {
    pass_.Gap(path_, walk_->position(), batch.base_offset);
  }
}

void SegmentVerifier::CheckShape(const BatchHeader& batch) {
  const auto codec = static_cast<kafka::Codec>(batch.attributes & kafka::batch_layout::kCodecMask);
  if (!kafka::IsKnown(codec))
    BatchFault("a batch is compressed by the unknown codec " +
               std::to_string(static_cast<int>(codec)));
  if (batch.record_count > int64_t{batch.last_offset_delta()} + 1) {
    BatchFault("a batch has " + std::to_string(batch.record_count) + " records for " +
               std::to_string(int64_t{batch.last_offset_delta()} + 1) + " offsets");
  }
}

void SegmentVerifier::CheckEpoch(const BatchHeader& batch) {
  if (batch.leader_epoch < pass_.newest_epoch) {
    BatchFault("a batch of leader epoch " + std::to_string(batch.leader_epoch.value()) +
               " follows one of " + std::to_string(pass_.newest_epoch.value()) +
               ": the file may be another partition's");
    return;
  }
  pass_.newest_epoch = batch.leader_epoch;
  if (!pass_.epochs || pass_.epochs_told || batch.leader_epoch < LeaderEpoch(0)) return;
  const LeaderEpoch told = pass_.epochs->EpochAt(batch.base_offset);
  if (told == batch.leader_epoch) return;
  // Older than the log's start, where records of the first segment may still lie.
  const Offset start = pass_.context->log_start.value_or(files_.segments.front());
  if (told == kNoEpoch && batch.base_offset < start) return;
  pass_.epochs_told = true;
  const std::string file = files_.PathOf(kEpochCheckpointName);
  const std::string problem = "it says epoch " + std::to_string(told.value()) + " for offset " +
                              Text(batch.base_offset) + ", where a batch of epoch " +
                              std::to_string(batch.leader_epoch.value()) + " stands";
  const bool unsynced = !pass_.context->clean && told < batch.leader_epoch &&
                        batch.base_offset >= pass_.context->recovery_point.value_or(Offset(0)) &&
                        batch.leader_epoch > pass_.epochs->latest();
  if (unsynced || pass_.context->live) {
    pass_.Note(file, std::nullopt, problem + "; it was not written since", "");
    return;
  }
  pass_.Fault(file, std::nullopt, problem,
              "with the server stopped, remove this file: it is made again from the batches");
}

void SegmentVerifier::CheckProducer(const BatchHeader& batch) {
  const auto first = pass_.claims.lower_bound(batch.base_offset);
  const auto end = pass_.claims.upper_bound(batch.last_offset);
  for (auto claim = first; claim != end; ++claim) {
    const auto& [offset, told] = *claim;
    const bool same = offset == batch.last_offset && told.producer_id == batch.producer_id &&
                      told.last_sequence == batch.last_sequence();
    if (same || !pass_.snapshots_told.insert(told.snapshot).second) continue;
    const std::string snapshot = files_.PathOf(told.snapshot, kSnapshotSuffix);
    pass_.Fault(snapshot, std::nullopt,
                "it says that producer " + std::to_string(told.producer_id.value()) +
                    " wrote a batch that ends at offset " + Text(offset) +
                    " with sequence number " + std::to_string(told.last_sequence) +
                    "; the log has one of producer " + std::to_string(batch.producer_id.value()) +
                    " that ends at " + Text(batch.last_offset) + " with " +
                    std::to_string(batch.last_sequence()) + ": this file or " + path_ +
                    " may be another partition's",
                "if the .log is right, remove this file with the server stopped: an older one and "
                "the batches take its place. If not: " +
                    std::string(kRestore));
  }
  pass_.claims.erase(first, end);
}

Status SegmentVerifier::CheckRecords() {
  const auto bytes = walk_->Bytes(kRecordsBytesMax);
  if (bytes.status().code() == StatusCode::kResourceExhausted) {
    pass_.Note(path_, walk_->position(),
               "its records were not decoded: " + bytes.status().message());
    return Status::Ok();
  }
  SLUICE_RETURN_IF_ERROR(bytes.status());
  const auto view = kafka::RecordBatchView::Parse(*bytes);
  std::string storage;
  Status decoded = view.status();
  if (view.ok()) {
    const auto plain = kafka::PlainRecords(*view, kRecordsBytesMax, storage);
    decoded = plain.status();
    if (plain.ok()) {
      kafka::RecordIterator records(*view, *plain);
      kafka::Record record;
      while (records.Next(record)) {
      }
      decoded = records.status();
    }
  }
  if (!decoded.ok()) {
    BatchFault("the records of the batch at offset " + Text(walk_->header().base_offset) +
               " cannot be read, though its checksum holds: " + decoded.message());
  }
  return Status::Ok();
}

Status SegmentVerifier::CheckIndexes(const BatchHeader& batch) {
  SLUICE_RETURN_IF_ERROR(CheckTransactions(batch));
  if (!indexes_judged_) return Status::Ok();
  if (offset_index_) SLUICE_RETURN_IF_ERROR(offset_index_->OnBatch(batch, walk_->position()));
  return time_index_ ? time_index_->OnBatch(batch) : Status::Ok();
}

Status SegmentVerifier::CheckTransactions(const BatchHeader& batch) {
  if (!batch.is_transactional()) return Status::Ok();
  if (!batch.is_control()) {
    pass_.transactions.OnData(batch);
    return Status::Ok();
  }
  const auto bytes = walk_->Bytes();
  if (!bytes.ok()) return Status::Ok();  // no marker is that large
  const auto marker = EndMarkerOf(batch, *bytes);
  if (!marker) return Status::Ok();
  const auto expected = pass_.transactions.OnMarker(batch, *marker);
  if (!marker->abort || !indexes_judged_) return Status::Ok();
  if (txn_index_) return txn_index_->OnAbort(batch, expected);
  aborts_without_index_ = aborts_without_index_ || expected.has_value();
  return Status::Ok();
}

Result<bool> SegmentVerifier::OnDamage() {
  const uint64_t from = walk_->next_position();
  const uint64_t lost_upto = walk_->size_bytes();
  SLUICE_ASSIGN_OR_RETURN(std::string problem, walk_->DescribeDamage());
  SLUICE_ASSIGN_OR_RETURN(const auto next, walk_->SkipDamage(pass_.expected));
  pass_.damaged = true;
  indexes_judged_ = false;
  if (next) {
    pass_.Fault(path_, from,
                problem + "; " + std::to_string(*next - from) +
                    " bytes are lost, a whole batch follows at position " + std::to_string(*next),
                kRestore);
    return true;
  }
  problem += "; nothing whole follows in the " + std::to_string(lost_upto - from) +
             " bytes to the end of the file";
  const bool newest = role_ == SegmentRole::kNewest;
  if (newest && pass_.context->live) {
    pass_.Note(path_, from, problem + ": a running server may be writing there", "");
    return false;
  }
  const bool unsynced = newest && !pass_.context->clean &&
                        pass_.context->recovery_point.has_value() &&
                        std::max(pass_.expected, base_) >= *pass_.context->recovery_point;
  pass_.Fault(path_, from, problem, TailRemedy(unsynced));
  return false;
}

void SegmentVerifier::ReportIndex(const IndexCheck& check, const char* remedy) {
  if (check.fault())
    pass_.Fault(check.path(), check.fault()->position, check.fault()->problem, remedy);
}

void SegmentVerifier::ReportMissing() {
  if (aborts_without_index_ && !MayLag()) {
    pass_.Fault(files_.PathOf(base_, kTxnIndexSuffix), std::nullopt,
                "missing, though the segment holds aborted transactions: readers would take their "
                "records for committed",
                kRepair);
  }
  if (role_ == SegmentRole::kNewest || walk_->size_bytes() == 0) return;
  if (!offset_index_)
    pass_.Fault(files_.PathOf(base_, kIndexSuffix), std::nullopt, "missing", kRepair);
  if (!time_index_)
    pass_.Fault(files_.PathOf(base_, kTimeIndexSuffix), std::nullopt, "missing", kRepair);
}

Status SegmentVerifier::FinishIndexes() {
  if (indexes_judged_) {
    if (offset_index_) SLUICE_RETURN_IF_ERROR(offset_index_->Finish(role_));
    if (time_index_) SLUICE_RETURN_IF_ERROR(time_index_->Finish(role_));
    if (txn_index_) SLUICE_RETURN_IF_ERROR(txn_index_->Finish());
  }
  // While a server writes, an index may be ahead of the .log whose size was read before.
  if (role_ == SegmentRole::kNewest && pass_.context->live) return Status::Ok();
  // Built again from another partition's .log they would hide it: the repair leaves them alone.
  const bool none_fits =
      offset_index_ && time_index_ && offset_index_->fault() && time_index_->fault();
  const char* const remedy = none_fits ? kLookFirst : kRepair;
  if (offset_index_) ReportIndex(*offset_index_, remedy);
  if (time_index_) ReportIndex(*time_index_, remedy);
  if (txn_index_) ReportIndex(*txn_index_, kRepair);
  ReportMissing();
  if (none_fits) {
    pass_.Note(path_, std::nullopt,
               std::string(kNoIndexFits) + ", and a repair of the indexes would hide it");
  }
  return Status::Ok();
}

}  // namespace sluice::storage
