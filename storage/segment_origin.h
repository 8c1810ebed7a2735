#pragma once
// SegmentOrigin: whether a .log file is of the log in whose directory it lies. Kafka's batches name
// neither topic nor partition, so a file that was put in the place of another with the same offsets
// shows only in what lies beside it: the leader-epoch history and the snapshot of the producers at
// the segment's end, which tells the sequence number of a batch of each. Both are small, and are
// read once, when a segment is first used.
//
//   SLUICE_ASSIGN_OR_RETURN(SegmentOrigin origin, SegmentOrigin::Read(home, end));
//   origin.OnBatch(first); origin.OnBatch(last);
//   if (!origin.contradiction().empty()) ...
//
// Files that are missing, damaged or very large say nothing. Nor do they where both partitions have
// known the same leader epochs and no producer numbered its batches: such files cannot be told
// apart (docs/formats/log_directory.md).
//
// Thread rule: one owner.

#include <map>
#include <string>

#include "base/ids.h"
#include "base/status.h"
#include "storage/batch_header.h"
#include "storage/epoch_cache.h"
#include "storage/segment_home.h"

namespace sluice::storage {

class SegmentOrigin {
 public:
  // `end`: where the segment ends, as the next one's name or the last clean stop has it. After a
  // crash the history may lack its last epochs; after a clean stop it is `complete`.
  static Result<SegmentOrigin> Read(const SegmentHome& home, Offset end, bool complete);

  // Any batches of the segment, in any order.
  void OnBatch(const BatchHeader& batch);

  // The last offsets of batches that the snapshot tells of, with their producer.
  struct Claim {
    ProducerId producer_id = kNoProducer;
    int32_t last_sequence = BatchHeader::kNoSequence;
  };
  const std::map<Offset, Claim>& claims() const { return claims_; }
  // Which file says otherwise than a batch, and what; empty when none does.
  const std::string& contradiction() const { return contradiction_; }

 private:
  void CheckEpoch(const BatchHeader& batch);
  void CheckProducer(const BatchHeader& batch);

  std::string epochs_path_;
  std::string snapshot_path_;
  EpochCache epochs_;
  bool epochs_complete_ = false;
  std::map<Offset, Claim> claims_;
  std::string contradiction_;
};

}  // namespace sluice::storage
