#pragma once
// ProducerState: what a partition remembers of each idempotent producer (KIP-98), so that a resent
// batch is stored once and a gap is refused: its epoch, its last five batches and the start of an
// open transaction. It is rebuilt from a .snapshot file and the batches after it.
//
// Rules (Kafka 4.x): an exact resend of a remembered batch is a success with its old offsets;
// otherwise a batch must follow the last sequence (2^31-1 wraps to 0); a new epoch starts at 0; a
// lower epoch is refused; an unknown producer may start anywhere. One rule more: a batch whose
// sequences are all known to be stored, below the remembered batches, is told to be a duplicate.
// Kafka's own client has more than five batches under way when a leader changes: what the silent
// old leader has, and what it sends to the new one meanwhile. Refused as out of order, as Kafka
// does, the resend of the older ones is tried for ever.
//
// Thread rule: guarded by the log's owner.

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/status.h"
#include "kafka/error_code.h"
#include "storage/batch_header.h"

namespace sluice::storage {

struct ProducerBatch {
  int32_t last_sequence = BatchHeader::kNoSequence;
  int32_t offset_delta = 0;
  Offset last_offset{-1};
  int64_t timestamp_ms = -1;

  int32_t first_sequence() const;
  Offset first_offset() const { return last_offset - offset_delta; }
};

struct ProducerEntry {
  static constexpr size_t kBatchesMax = 5;
  static constexpr int64_t kNoTransaction = -1;

  int16_t epoch = -1;
  int32_t coordinator_epoch = -1;
  int64_t last_timestamp_ms = -1;
  int64_t transaction_first_offset = kNoTransaction;
  std::array<ProducerBatch, kBatchesMax> batches;  // the first `batch_count`, oldest first
  size_t batch_count = 0;
  // How many sequences up to the last one were seen to be stored without a gap.
  int64_t known_sequences = 0;

  const ProducerBatch* last_batch() const {
    return batch_count == 0 ? nullptr : &batches[batch_count - 1];
  }
  int32_t last_sequence() const {
    return batch_count == 0 ? BatchHeader::kNoSequence : last_batch()->last_sequence;
  }
};

// What ends a transaction: the one record of a control batch.
struct EndMarker {
  bool abort = false;
  int32_t coordinator_epoch = -1;
};
// nullopt when the batch is no such marker, or compaction has emptied it. `batch`: all its bytes.
std::optional<EndMarker> EndMarkerOf(const BatchHeader& header, std::string_view batch);

// A transaction whose marker has just been observed.
struct CompletedTransaction {
  ProducerId producer_id = kNoProducer;
  Offset first_offset;
  Offset marker_offset;
  // Where the first of the transactions begins that are open still; after the marker when none is.
  Offset last_stable_offset;
  bool aborted = false;
};

class ProducerState {
 public:
  struct Verdict {
    kafka::ErrorCode error = kafka::ErrorCode::kNone;
    std::string message;
    std::optional<ProducerBatch> duplicate_of;
    // Of a kDuplicateSequenceNumber: the batch is stored below this offset.
    Offset stored_below{0};
  };

  // What to do with a client's batch that is about to be appended. Changes nothing.
  Verdict Check(const BatchHeader& batch) const;
  // A client's batch was turned away unchecked, as nothing could be appended just then. What the
  // client has sent after it may come when that is over: it is turned away with
  // NOT_LEADER_OR_FOLLOWER, until the batch comes again. An unknown producer, which may start
  // anywhere, must not start behind it. For the same epoch.
  void NoteRefused(const BatchHeader& batch);
  // Takes an appended batch into account, whoever sent it. `marker`: EndMarkerOf a control batch.
  // The transaction that it ended, if that had any records.
  std::optional<CompletedTransaction> Observe(const BatchHeader& batch,
                                              const std::optional<EndMarker>& marker);
  // Forgets producers without an open transaction that were silent for longer than `expiration_ms`.
  void RemoveExpired(int64_t now_ms, int64_t expiration_ms);
  void Clear() { *this = ProducerState(); }

  // Where the first transaction begins that is open, or whose marker is at or above
  // `high_watermark`; nullopt when there is none. Forgets markers below it: high watermarks do not
  // go back.
  std::optional<Offset> FirstUnstable(Offset high_watermark);
  // Takes over the markers below `end` that `before` still watches: they may be above the high
  // watermark, and no snapshot has them.
  void KeepMarkers(const ProducerState& before, Offset end);

  // Takes over what NoteRefused told `before`, which no file has.
  void KeepRefused(ProducerState& before) { refused_ = std::move(before.refused_); }

  // The bytes of a .snapshot file (docs/formats/log_directory.md).
  std::string EncodeSnapshot() const;
  static Result<ProducerState> DecodeSnapshot(std::string_view bytes);

  const std::map<ProducerId, ProducerEntry>& producers() const { return producers_; }

 private:
  bool OvertakesRefused(const BatchHeader& batch) const;
  Verdict RefusedToo(const BatchHeader& batch) const;
  std::optional<CompletedTransaction> EndTransaction(const BatchHeader& batch,
                                                     const EndMarker& marker);

  struct Refused {
    int16_t epoch;
    int32_t sequence;  // the lowest one
  };

  std::map<ProducerId, ProducerEntry> producers_;
  std::map<ProducerId, Refused> refused_;
  std::map<Offset, ProducerId> open_;   // by first offset
  std::map<Offset, Offset> completed_;  // first offset -> marker, not known to be replicated yet
  Offset completed_pruned_upto_{-1};
};

}  // namespace sluice::storage
