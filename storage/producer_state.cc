#include "storage/producer_state.h"

#include <algorithm>
#include <limits>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/planted_fault.h"

namespace sluice::storage {
namespace {

constexpr int16_t kSnapshotVersion = 1;
constexpr size_t kSnapshotHeaderBytes = 10;
constexpr size_t kSnapshotCrcEnd = 6;
constexpr size_t kSnapshotEntryBytes = 46;
// Of those that never came back.
constexpr size_t kRefusedMax = 1000;
constexpr int32_t kSequenceMax = std::numeric_limits<int32_t>::max();
// Half of the circle of sequences: what is further behind may as well be ahead.
constexpr int64_t kKnownSequencesMax = int64_t{1} << 30;

bool Follows(int32_t last, int32_t next) {
  return last == kSequenceMax ? next == 0 : next == last + 1;
}

std::string Describe(const BatchHeader& batch) {
  return "producer " + std::to_string(batch.producer_id.value()) + " epoch " +
         std::to_string(batch.producer_epoch);
}

// How far `later` is ahead of `earlier`.
int64_t SequencesBetween(int32_t earlier, int32_t later) {
  const int64_t ahead = int64_t{later} - earlier;
  return ahead >= 0 ? ahead : ahead + kSequenceMax + 1;
}

// All of it was stored, below the batches that are remembered one by one.
bool StoredBelowRemembered(const ProducerEntry& entry, const BatchHeader& batch) {
  if (entry.batch_count == 0) return false;
  const int32_t last = entry.last_sequence();
  const int64_t first_behind = SequencesBetween(batch.base_sequence, last);
  const int64_t last_behind = SequencesBetween(batch.last_sequence(), last);
  return first_behind < entry.known_sequences && last_behind <= first_behind &&
         last_behind > SequencesBetween(entry.batches[0].first_sequence(), last);
}

void AddBatch(ProducerEntry& entry, const ProducerBatch& batch) {
  const bool follows =
      entry.batch_count > 0 && Follows(entry.last_sequence(), batch.first_sequence());
  entry.known_sequences =
      std::min((follows ? entry.known_sequences : 0) + batch.offset_delta + 1, kKnownSequencesMax);
  if (entry.batch_count == ProducerEntry::kBatchesMax) {
    std::move(entry.batches.begin() + 1, entry.batches.end(), entry.batches.begin());
    --entry.batch_count;
  }
  entry.batches[entry.batch_count++] = batch;
}

}  // namespace

int32_t ProducerBatch::first_sequence() const {
  const int64_t first = int64_t{last_sequence} - offset_delta;
  return static_cast<int32_t>(first >= 0 ? first : first + kSequenceMax + 1);
}

void ProducerState::NoteRefused(const BatchHeader& batch) {
  if (!batch.has_producer() || batch.base_sequence == BatchHeader::kNoSequence) return;
  const auto known = producers_.find(batch.producer_id);
  const bool is_known = known != producers_.end();
  // Of a known one that counts which should have come next.
  if (is_known && (known->second.epoch != batch.producer_epoch ||
                   !Follows(known->second.last_sequence(), batch.base_sequence)))
    return;
  if (refused_.size() == kRefusedMax) refused_.clear();
  Refused& refused =
      refused_.try_emplace(batch.producer_id, batch.producer_epoch, batch.base_sequence)
          .first->second;
  if (is_known || refused.epoch != batch.producer_epoch || refused.sequence > batch.base_sequence)
    refused = {batch.producer_epoch, batch.base_sequence};
}

bool ProducerState::OvertakesRefused(const BatchHeader& batch) const {
  const auto refused = refused_.find(batch.producer_id);
  if (refused == refused_.end() || refused->second.epoch != batch.producer_epoch) return false;
  const auto known = producers_.find(batch.producer_id);
  if (known == producers_.end()) return batch.base_sequence > refused->second.sequence;
  constexpr int64_t kSequences = int64_t{kSequenceMax} + 1;
  const int64_t ahead =
      (batch.base_sequence - int64_t{refused->second.sequence} + kSequences) % kSequences;
  return Follows(known->second.last_sequence(), refused->second.sequence) && ahead > 0 &&
         ahead < kSequences / 2;
}

// Told that it is out of order, librdkafka would take that for the end of everything, if the batch
// before had been sent once already when its connection broke. So it hears of the same refusal.
ProducerState::Verdict ProducerState::RefusedToo(const BatchHeader& batch) const {
  return {kafka::ErrorCode::kNotLeaderOrFollower,
          Describe(batch) + " sent sequence " + std::to_string(batch.base_sequence) + " before " +
              std::to_string(refused_.at(batch.producer_id).sequence) + ", which was refused",
          std::nullopt,
          {}};
}

ProducerState::Verdict ProducerState::Check(const BatchHeader& batch) const {
  if (!batch.has_producer()) return {};
  const auto found = producers_.find(batch.producer_id);
  if (found == producers_.end()) return OvertakesRefused(batch) ? RefusedToo(batch) : Verdict();
  const ProducerEntry& entry = found->second;
  if (batch.producer_epoch < entry.epoch) {
    return {kafka::ErrorCode::kInvalidProducerEpoch,
            Describe(batch) + " is older than the current epoch " + std::to_string(entry.epoch),
            std::nullopt,
            {}};
  }
  if (batch.is_control() || batch.base_sequence == BatchHeader::kNoSequence) return {};
  if (batch.producer_epoch != entry.epoch) {
    if (batch.base_sequence == 0 || entry.epoch < 0) return {};
    return {kafka::ErrorCode::kOutOfOrderSequenceNumber,
            Describe(batch) + " is new and must begin with sequence 0, not " +
                std::to_string(batch.base_sequence),
            std::nullopt,
            {}};
  }
  for (size_t i = 0; i < entry.batch_count; ++i) {
    const ProducerBatch& known = entry.batches[i];
    if (known.first_sequence() == batch.base_sequence &&
        known.last_sequence == batch.last_sequence()) {
      return {kafka::ErrorCode::kNone, "", known, {}};
    }
  }
  if (Follows(entry.last_sequence(), batch.base_sequence) ||
      FaultPlanted(ReplicationFault::kSequenceUnchecked))
    return {};
  if (StoredBelowRemembered(entry, batch)) {
    return {kafka::ErrorCode::kDuplicateSequenceNumber, "", std::nullopt,
            entry.batches[0].first_offset()};
  }
  if (OvertakesRefused(batch)) return RefusedToo(batch);
  return {kafka::ErrorCode::kOutOfOrderSequenceNumber,
          Describe(batch) + " sent sequence " + std::to_string(batch.base_sequence) + " after " +
              std::to_string(entry.last_sequence()),
          std::nullopt,
          {}};
}

std::optional<CompletedTransaction> ProducerState::Observe(const BatchHeader& batch,
                                                           const std::optional<EndMarker>& marker) {
  if (!batch.has_producer()) return std::nullopt;
  // All of its transaction has been compacted away.
  if (batch.is_control() && !marker) return std::nullopt;
  refused_.erase(batch.producer_id);
  ProducerEntry& entry = producers_[batch.producer_id];
  if (entry.epoch != batch.producer_epoch) {
    entry.epoch = batch.producer_epoch;
    entry.batch_count = 0;
  }
  entry.last_timestamp_ms = batch.max_timestamp_ms;
  if (marker) return EndTransaction(batch, *marker);
  if (batch.base_sequence != BatchHeader::kNoSequence) {
    AddBatch(entry, {batch.last_sequence(), batch.last_offset_delta(), batch.last_offset,
                     batch.max_timestamp_ms});
  }
  if (batch.is_transactional() && entry.transaction_first_offset == ProducerEntry::kNoTransaction) {
    entry.transaction_first_offset = batch.base_offset.value();
    open_[batch.base_offset] = batch.producer_id;
  }
  return std::nullopt;
}

std::optional<CompletedTransaction> ProducerState::EndTransaction(const BatchHeader& batch,
                                                                  const EndMarker& marker) {
  ProducerEntry& entry = producers_.at(batch.producer_id);
  if (marker.coordinator_epoch >= 0) entry.coordinator_epoch = marker.coordinator_epoch;
  if (entry.transaction_first_offset == ProducerEntry::kNoTransaction) return std::nullopt;
  CompletedTransaction completed;
  completed.producer_id = batch.producer_id;
  completed.first_offset = Offset(entry.transaction_first_offset);
  completed.marker_offset = batch.last_offset;
  completed.aborted = marker.abort;
  entry.transaction_first_offset = ProducerEntry::kNoTransaction;
  open_.erase(completed.first_offset);
  completed.last_stable_offset = open_.empty() ? batch.last_offset + 1 : open_.begin()->first;
  completed_[completed.first_offset] = completed.marker_offset;
  return completed;
}

std::optional<Offset> ProducerState::FirstUnstable(Offset high_watermark) {
  if (!completed_.empty() && high_watermark != completed_pruned_upto_) {
    std::erase_if(completed_, [&](const auto& item) { return item.second < high_watermark; });
    completed_pruned_upto_ = high_watermark;
  }
  std::optional<Offset> first;
  if (!open_.empty()) first = open_.begin()->first;
  if (!completed_.empty() && (!first || completed_.begin()->first < *first))
    first = completed_.begin()->first;
  return first;
}

void ProducerState::KeepMarkers(const ProducerState& before, Offset end) {
  for (const auto& [first, marker] : before.completed_) {
    if (marker < end) completed_.emplace(first, marker);
  }
}

void ProducerState::RemoveExpired(int64_t now_ms, int64_t expiration_ms) {
  std::erase_if(producers_, [&](const auto& item) {
    const ProducerEntry& entry = item.second;
    return entry.transaction_first_offset == ProducerEntry::kNoTransaction &&
           now_ms - entry.last_timestamp_ms >= expiration_ms;
  });
}

std::string ProducerState::EncodeSnapshot() const {
  ByteWriter out;
  out.Reserve(kSnapshotHeaderBytes + producers_.size() * kSnapshotEntryBytes);
  out.PutInt16(kSnapshotVersion);
  out.PutUint32(0);  // the checksum, known at the end
  out.PutInt32(static_cast<int32_t>(producers_.size()));
  for (const auto& [id, entry] : producers_) {
    const ProducerBatch* last = entry.last_batch();
    out.PutInt64(id.value());
    out.PutInt16(entry.epoch);
    out.PutInt32(entry.last_sequence());
    out.PutInt64(last == nullptr ? -1 : last->last_offset.value());
    out.PutInt32(last == nullptr ? 0 : last->offset_delta);
    out.PutInt64(entry.last_timestamp_ms);
    out.PutInt32(entry.coordinator_epoch);
    out.PutInt64(entry.transaction_first_offset);
  }
  out.PatchInt32(2, static_cast<int32_t>(Crc32c(out.view().substr(kSnapshotCrcEnd))));
  return out.Take();
}

Result<ProducerState> ProducerState::DecodeSnapshot(std::string_view bytes) {
  ByteReader in(bytes);
  const int16_t version = in.ReadInt16();
  const uint32_t crc = in.ReadUint32();
  if (!in.ok() || version != kSnapshotVersion)
    return Status::Corruption("producer snapshot of an unknown version");
  if (crc != Crc32c(bytes.substr(kSnapshotCrcEnd)))
    return Status::Corruption("producer snapshot fails its checksum");
  const int32_t count = in.CheckedCount(in.ReadInt32(), kSnapshotEntryBytes);
  ProducerState state;
  for (int32_t i = 0; i < count; ++i) {
    const ProducerId id(in.ReadInt64());
    ProducerEntry entry;
    ProducerBatch last;
    entry.epoch = in.ReadInt16();
    last.last_sequence = in.ReadInt32();
    last.last_offset = Offset(in.ReadInt64());
    last.offset_delta = in.ReadInt32();
    entry.last_timestamp_ms = last.timestamp_ms = in.ReadInt64();
    entry.coordinator_epoch = in.ReadInt32();
    entry.transaction_first_offset = in.ReadInt64();
    if (last.last_sequence != BatchHeader::kNoSequence) AddBatch(entry, last);
    state.producers_[id] = entry;
    if (entry.transaction_first_offset != ProducerEntry::kNoTransaction)
      state.open_[Offset(entry.transaction_first_offset)] = id;
  }
  if (!in.ok() || in.remaining() != 0)
    return Status::Corruption("producer snapshot has a wrong length");
  return state;
}

std::optional<EndMarker> EndMarkerOf(const BatchHeader& header, std::string_view batch) {
  constexpr int16_t kAbort = 0, kCommit = 1;
  const bool may_be = header.is_control() && header.is_transactional() && header.record_count > 0 &&
                      batch.size() >= BatchHeader::kBytes;
  if (!may_be) return std::nullopt;
  ByteReader in(batch.substr(BatchHeader::kBytes));
  in.ReadVarint();   // record length
  in.ReadInt8();     // attributes
  in.ReadVarlong();  // timestamp delta
  in.ReadVarint();   // offset delta
  const int32_t key_bytes = in.ReadVarint();
  ByteReader key(in.ReadBytes(key_bytes > 0 ? static_cast<size_t>(key_bytes) : 0));
  key.ReadInt16();  // version
  const int16_t type = key.ReadInt16();
  in.ReadVarint();  // value length
  in.ReadInt16();   // value version
  EndMarker marker;
  marker.coordinator_epoch = in.ReadInt32();
  marker.abort = type == kAbort;
  if (!in.ok() || !key.ok() || (type != kAbort && type != kCommit)) return std::nullopt;
  return marker;
}

}  // namespace sluice::storage
