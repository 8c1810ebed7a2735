#pragma once
// SegmentVerifier: one segment of a partition against its indexes, as a part of VerifyPartition.
// What goes from one segment to the next (the next offset, the newest epoch, open transactions) is
// in LogPass.
//
// Thread rule: one owner.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "storage/epoch_cache.h"
#include "storage/inspect/finding.h"
#include "storage/inspect/index_checks.h"
#include "storage/inspect/open_transactions.h"
#include "storage/inspect/partition_files.h"
#include "storage/inspect/verify_partition.h"

namespace sluice::storage {

// The state of one pass over a partition's batches.
struct LogPass {
  FileSystem* fs = nullptr;
  const PartitionContext* context = nullptr;
  const Report* report = nullptr;
  PartitionSummary summary;
  Offset expected;           // no batch may begin below it
  bool any_batch = false;    // one was read, so that a gap can be told
  bool damaged = false;      // some bytes of the log are lost: later gaps are its consequence
  uint64_t gaps = 0;         // between offsets, where there should be none
  bool epochs_told = false;  // the epoch history's first fault was reported
  LeaderEpoch newest_epoch = kNoEpoch;
  std::optional<EpochCache> epochs;
  OpenTransactions transactions;
  // What the snapshots tell of batches, by their last offsets, until these were met.
  struct Claim {
    ProducerId producer_id = kNoProducer;
    int32_t last_sequence = BatchHeader::kNoSequence;
    Offset snapshot;
  };
  std::multimap<Offset, Claim> claims;
  std::set<Offset> snapshots_told;  // their first fault was reported

  void Fault(const std::string& file, std::optional<uint64_t> position, std::string problem,
             std::string remedy) const {
    (*report)({Finding::Kind::kFault, file, position, std::move(problem), std::move(remedy)});
  }
  // Offsets from `expected` up to `next` are not there; only the first such place is told.
  void Gap(const std::string& file, std::optional<uint64_t> position, Offset next);
  void Note(const std::string& file, std::optional<uint64_t> position, std::string problem,
            std::string remedy = "") const {
    (*report)({Finding::Kind::kNote, file, position, std::move(problem), std::move(remedy)});
  }
};

class SegmentVerifier {
 public:
  SegmentVerifier(LogPass& pass, const PartitionFiles& files, size_t index);
  Status Run();

 private:
  // A start that finds no clean-shutdown marker builds the newest segment's indexes again.
  bool MayLag() const { return role_ == SegmentRole::kNewest && !pass_.context->clean; }
  Status OpenIndexes();
  Status OnBatch();
  void CheckPlace(const BatchHeader& batch);
  void CheckEpoch(const BatchHeader& batch);
  void CheckShape(const BatchHeader& batch);
  Status CheckRecords();
  Status CheckIndexes(const BatchHeader& batch);
  Status CheckTransactions(const BatchHeader& batch);
  void CheckProducer(const BatchHeader& batch);
  // False when nothing whole follows.
  Result<bool> OnDamage();
  Status FinishIndexes();
  void ReportMissing();
  void ReportIndex(const IndexCheck& check, const char* remedy);
  // A fault of this segment's .log; only the first few of each are told one by one.
  void BatchFault(std::string problem);

  LogPass& pass_;
  const PartitionFiles& files_;
  const Offset base_;
  const SegmentRole role_;
  const std::string path_;
  std::optional<SegmentWalk> walk_;
  std::optional<OffsetIndexCheck> offset_index_;
  std::optional<TimeIndexCheck> time_index_;
  std::optional<TxnIndexCheck> txn_index_;
  bool indexes_judged_ = true;  // false behind damage: the indexes still tell of what was lost
  bool aborts_without_index_ = false;
  int batch_faults_ = 0;
};

}  // namespace sluice::storage
