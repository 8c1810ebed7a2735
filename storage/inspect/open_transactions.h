#pragma once
// OpenTransactions: which transactions are open at a point of the log, told batch by batch: what
// the entries of .txnindex are made of.
//
// Thread rule: one owner.

#include <map>
#include <optional>

#include "storage/inspect/entry_reader.h"
#include "storage/producer_state.h"

namespace sluice::storage {

class OpenTransactions {
 public:
  // Those that were open where `state` was taken.
  void Seed(const ProducerState& state);
  void OnData(const BatchHeader& batch);
  // The entry of .txnindex that an abort marker gets: none for a commit, or where nothing of the
  // transaction is left.
  std::optional<TxnEntry> OnMarker(const BatchHeader& batch, const EndMarker& marker);

 private:
  std::map<ProducerId, Offset> first_offsets_;
};

}  // namespace sluice::storage
