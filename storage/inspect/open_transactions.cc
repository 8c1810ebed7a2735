#include "storage/inspect/open_transactions.h"

#include <algorithm>

namespace sluice::storage {

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
                                                   const EndMarker& marker) {
  const auto found = first_offsets_.find(batch.producer_id);
  if (found == first_offsets_.end()) return std::nullopt;
  TxnEntry entry;
  entry.producer_id = batch.producer_id;
  entry.first_offset = found->second;
  entry.last_offset = batch.last_offset;
  first_offsets_.erase(found);
  if (!marker.abort) return std::nullopt;
  entry.last_stable_offset = batch.last_offset + 1;
  for (const auto& [id, first] : first_offsets_)
    entry.last_stable_offset = std::min(entry.last_stable_offset, first);
  return entry;
}

}  // namespace sluice::storage
