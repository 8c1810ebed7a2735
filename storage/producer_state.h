#pragma once
// ProducerState: what a partition remembers of each idempotent producer (KIP-98), so that a resent
// batch is stored once and a gap is refused: its epoch, its last five batches and the start of an
// open transaction. It is rebuilt from a .snapshot file and the batches after it.
//
// Rules (Kafka 4.x): an exact resend of a remembered batch is a success with its old offsets;
// otherwise a batch must follow the last sequence (2^31-1 wraps to 0); a new epoch starts at 0; a
// lower epoch is refused; an unknown producer may start anywhere.
//
// Thread rule: guarded by the log's owner.

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>

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

  const ProducerBatch* last_batch() const {
    return batch_count == 0 ? nullptr : &batches[batch_count - 1];
  }
  int32_t last_sequence() const {
    return batch_count == 0 ? BatchHeader::kNoSequence : last_batch()->last_sequence;
  }
};

class ProducerState {
 public:
  struct Verdict {
    kafka::ErrorCode error = kafka::ErrorCode::kNone;
    std::string message;
    std::optional<ProducerBatch> duplicate_of;
  };

  // What to do with a client's batch that is about to be appended. Changes nothing.
  Verdict Check(const BatchHeader& batch) const;
  // Takes an appended batch into account, whoever sent it. `coordinator_epoch`: of a transaction
  // marker, else -1.
  void Observe(const BatchHeader& batch, int32_t coordinator_epoch);
  // Forgets producers without an open transaction that were silent for longer than `expiration_ms`.
  void RemoveExpired(int64_t now_ms, int64_t expiration_ms);
  void Clear() { producers_.clear(); }

  // The bytes of a .snapshot file (docs/formats/log_directory.md).
  std::string EncodeSnapshot() const;
  static Result<ProducerState> DecodeSnapshot(std::string_view bytes);

  const std::map<ProducerId, ProducerEntry>& producers() const { return producers_; }

 private:
  std::map<ProducerId, ProducerEntry> producers_;
};

// The coordinator epoch that a transaction marker carries; -1 when `batch`'s bytes are no marker.
int32_t CoordinatorEpochOfMarker(const BatchHeader& header, std::string_view batch);

}  // namespace sluice::storage
