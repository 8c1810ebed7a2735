#pragma once
// TxnIndexes: the .txnindex files of one log: for each segment the transactions that were aborted
// by a marker in it, in the order of their markers (docs/formats/log_directory.md). A file is made
// with its first entry, so most logs have none, and then this costs nothing.
//
// An entry's last stable offset bounds the search: a transaction that begins below it has its
// marker in this entry, in an earlier one, or lies open at that point.
//
// Thread rule: guarded by the log's owner.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "storage/entry_file.h"
#include "storage/log.h"
#include "storage/segment_home.h"

namespace sluice::storage {

class TxnIndexes {
 public:
  static constexpr size_t kEntryBytes = 34;

  // `home` outlives it.
  explicit TxnIndexes(const SegmentHome& home) : home_(home) {}

  // There is a file for the segment at `base`; it is looked into at its first use.
  void Add(Offset base);
  // The file is gone, or will be.
  void Forget(Offset base) { files_.erase(base); }
  void Clear() { files_.clear(); }
  bool empty() const { return files_.empty(); }
  bool Has(Offset base) const { return files_.contains(base); }

  // Reads what the file of the segment [base, end) holds and checks it. False when it is damaged:
  // StartAgain, and Append all anew.
  Result<bool> Check(Offset base, Offset end);
  // Forgets the entries of the segment at `base`; no file is made.
  Status StartAgain(Offset base);
  Status Append(Offset base, const AbortedTransaction& aborted);
  // Removes the entries whose marker is at or above `offset`.
  Status TruncateTo(Offset base, Offset offset);

  // Adds the transactions of that segment that overlap [from, upto). True when no later segment can
  // hold more of them. REQUIRES: Check gave true, if there is a file.
  Result<bool> Collect(Offset base, const OffsetRange& range,
                       std::vector<AbortedTransaction>& out) const;

  // For a seal: the file with all its entries, to be synced; null when the segment has none.
  Result<std::shared_ptr<File>> Complete(Offset base);

 private:
  struct Index {
    explicit Index(const SegmentHome& home, Offset base);
    EntryFile file;
    bool checked = false;
  };

  const SegmentHome& home_;
  std::map<Offset, Index> files_;
};

}  // namespace sluice::storage
