#pragma once
// OffsetIndex: where the batches of one segment begin, sparsely. An entry is the last offset of a
// batch (relative to the segment's base, int32) and the byte position at which that batch begins
// (int32). Both ascend strictly.
//
// Thread rule: guarded by the log's owner.

#include <optional>
#include <string>

#include "base/ids.h"
#include "storage/entry_file.h"

namespace sluice::storage {

class OffsetIndex {
 public:
  static constexpr size_t kEntryBytes = 8;
  struct Entry {
    Offset offset;          // last offset of the batch
    uint32_t position = 0;  // its first byte in the .log file
  };

  static constexpr EntryFile::Kind kKind{kIndexSuffix, kEntryBytes};
  static constexpr EntryFile::Kind kAside{".index.tmp", kEntryBytes};  // being built

  // `home` outlives it.
  OffsetIndex(const SegmentHome& home, Offset base, const EntryFile::Kind& kind = kKind)
      : file_(home, base, kind), last_(Entry{base, 0}) {}

  // False when the file is missing or cannot be an index of a segment of `log_size_bytes`: rebuild
  // it then.
  Result<bool> Load(uint64_t log_size_bytes);
  bool whole() const { return file_.whole(); }
  size_t count() const { return file_.count(); }
  bool has_unwritten() const { return file_.has_unwritten(); }
  Status Append(const Entry& entry);
  // The last entry with offset <= `target`; the segment's start when there is none.
  Result<Entry> Floor(Offset target) const;
  // An offset above those of all batches that begin below `position` in the .log file, as two
  // entries tell that bear each other out; nullopt where they do not, or are not there.
  Result<std::optional<Offset>> OffsetAbove(uint64_t position) const;
  // The last entry, or the segment's start.
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
