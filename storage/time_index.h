#pragma once
// TimeIndex: how the largest timestamp of one segment grew. An entry (timestamp int64, relative
// offset int32) says that no record up to and including that offset is younger than the timestamp,
// and that the batch which ends at the offset holds it. Timestamps ascend strictly.
//
// Thread rule: guarded by the log's owner.

#include <string>

#include "base/ids.h"
#include "storage/entry_file.h"

namespace sluice::storage {

class TimeIndex {
 public:
  static constexpr size_t kEntryBytes = 12;
  static constexpr int64_t kNoTimestamp = -1;
  struct Entry {
    int64_t timestamp_ms = kNoTimestamp;
    Offset offset;
  };

  static constexpr EntryFile::Kind kKind{kTimeIndexSuffix, kEntryBytes};
  static constexpr EntryFile::Kind kAside{".timeindex.tmp", kEntryBytes};  // being built

  // `home` outlives it.
  TimeIndex(const SegmentHome& home, Offset base, const EntryFile::Kind& kind = kKind)
      : file_(home, base, kind), last_(Entry{kNoTimestamp, base}) {}

  // False when the file is missing or cannot be a time index: rebuild it then.
  Result<bool> Load();
  bool whole() const { return file_.whole(); }
  size_t count() const { return file_.count(); }
  bool has_unwritten() const { return file_.has_unwritten(); }
  // Adds the entry unless its timestamp is no larger than the last one's.
  Status MaybeAppend(const Entry& entry);
  // The last entry with timestamp <= `target_ms`; {kNoTimestamp, base} when there is none.
  // `first_ms`: about the timestamp of the first entry, where it is known.
  Result<Entry> Floor(int64_t target_ms, int64_t first_ms = kNoTimestamp) const;
  const Entry& last() const { return last_; }
  // REQUIRES: index < count().
  Result<Entry> At(size_t index) const;
  // Whether both columns ascend from entry to entry; reads the whole file.
  Result<bool> Ascends() const;
  // Removes entries at or above `offset`.
  Status TruncateTo(Offset offset);
  Status Clear();
  void Forget();  // of EntryFile
  EntryFile& file() { return file_; }
  std::string file_path() const { return file_.path(); }

 private:
  Offset base() const { return file_.base(); }
  Entry Decode(const char* bytes) const;
  Status RefreshLast();

  EntryFile file_;
  Entry last_;
};

}  // namespace sluice::storage
