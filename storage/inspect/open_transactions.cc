#include "storage/inspect/open_transactions.h"

#include <algorithm>

#include "base/bytes.h"
#include "kafka/record_batch.h"

namespace sluice::storage {

std::optional<TransactionMarker> ParseTransactionMarker(std::string_view batch) {
  constexpr int16_t kAbort = 0;
  constexpr int16_t kCommit = 1;
  const auto view = kafka::RecordBatchView::Parse(batch);
  if (!view.ok() || !view->is_control() || !view->is_transactional()) return std::nullopt;
  kafka::RecordIterator records(*view, view->records());
  kafka::Record record;
  if (!records.Next(record) || !record.key) return std::nullopt;
  ByteReader key(*record.key);
  key.ReadInt16();  // version
  const int16_t type = key.ReadInt16();
  if (!key.ok() || (type != kAbort && type != kCommit)) return std::nullopt;
  TransactionMarker marker{.commit = type == kCommit};
  ByteReader value(record.value.value_or(std::string_view()));
  value.ReadInt16();  // version
  const int32_t coordinator_epoch = value.ReadInt32();
  if (value.ok()) marker.coordinator_epoch = coordinator_epoch;
  return marker;
}

void OpenTransactions::Seed(const ProducerState& state) {
  for (const auto& [id, entry] : state.producers()) {
    if (entry.transaction_first_offset != ProducerEntry::kNoTransaction)
      first_offsets_[id] = Offset(entry.transaction_first_offset);
  }
}

void OpenTransactions::OnData(const BatchHeader& batch) {
  if (batch.is_transactional() && batch.has_producer())
    first_offsets_.try_emplace(batch.producer_id, batch.base_offset);
}

std::optional<TxnEntry> OpenTransactions::OnMarker(const BatchHeader& batch,
                                                   const TransactionMarker& marker) {
  const auto found = first_offsets_.find(batch.producer_id);
  if (found == first_offsets_.end()) return std::nullopt;
  TxnEntry entry;
  entry.producer_id = batch.producer_id;
  entry.first_offset = found->second;
  entry.last_offset = batch.last_offset;
  first_offsets_.erase(found);
  if (marker.commit) return std::nullopt;
  entry.last_stable_offset = batch.last_offset + 1;
  for (const auto& [id, first] : first_offsets_)
    entry.last_stable_offset = std::min(entry.last_stable_offset, first);
  return entry;
}

}  // namespace sluice::storage
