#pragma once
// TransactionTracker: which transactional batches the cleaner may drop, told batch by batch in the
// order of the log. Records of an aborted transaction go at once. A marker stays until a run meets
// none of its transaction's batches; then it gets a delete horizon, and goes when that has passed
// (KIP-534).
//
// Thread rule: one owner.

#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "storage/batch_header.h"
#include "storage/log.h"

namespace sluice::storage {

class TransactionTracker {
 public:
  // All aborted transactions that overlap what is walked.
  explicit TransactionTracker(std::vector<AbortedTransaction> aborted);

  // Whether no batch of the marker's transaction was met: it may be dropped once its horizon has
  // passed. `bytes`: the whole batch.
  bool OnControlBatch(const BatchHeader& batch, std::string_view bytes);
  // Whether the batch belongs to an aborted transaction: none of its records is kept.
  bool OnDataBatch(const BatchHeader& batch);
  // The aborted transactions whose markers went by and whose batches are still there: they belong
  // in the index of the segment being written.
  std::vector<AbortedTransaction> TakeIndexEntries();

 private:
  struct Aborted {
    AbortedTransaction span;
    bool seen = false;  // a batch of it was met
  };
  void BeginUpTo(Offset offset);

  std::deque<AbortedTransaction> coming_;  // by first_offset
  std::map<ProducerId, Aborted> aborted_;
  std::set<ProducerId> committing_;  // with batches of a transaction that was not aborted
  std::vector<AbortedTransaction> entries_;
};

}  // namespace sluice::storage
