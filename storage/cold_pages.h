#pragma once
// ColdPages: what readers of old data brought into memory, so that it leaves again and not what
// everybody else reads. Only pieces that were not in memory before are noted: where most of one
// was, somebody reads there, and what was missing stays with the rest, or each such gap would grow
// by its surroundings from one reader to the next. The newest `bytes_max` stay, since another
// reader may follow close behind, and the older ones are given back. Of a file that was closed
// meanwhile nothing is known any more, and nothing done.
//
//   const ColdPages::Pin pin = pages.Note(file, offset, size);   // before reading
//   file->ReadAt(...);
//   // use them; then let go of the pin
//
// Thread rule: thread-safe; the mutex is a leaf, and files are touched without it.

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/file_system.h"

namespace sluice::storage {

class ColdPages {
 public:
  // What it was given for stays in memory while it lives. Null: there was nothing to note.
  using Pin = std::shared_ptr<const void>;

  // `holds_files`: noted files stay open, for a user who closes them early and will not go on for
  // long. Otherwise a file that is deleted must not be kept on the disk for what it has in memory.
  explicit ColdPages(uint64_t bytes_max, bool holds_files = false)
      : bytes_max_(bytes_max), holds_files_(holds_files) {}

  // These bytes are about to be read.
  Pin Note(const std::shared_ptr<File>& file, uint64_t offset, uint64_t size_bytes);
  // All of it leaves that nobody holds.
  void DropAll() { DropDownTo(0); }
  uint64_t noted_bytes() const;

 private:
  struct Range {
    std::weak_ptr<File> file;
    std::shared_ptr<File> held_file;
    uint64_t offset = 0;
    uint64_t size_bytes = 0;
    std::weak_ptr<const void> pin;
  };
  void DropDownTo(uint64_t bytes);

  const uint64_t bytes_max_;
  const bool holds_files_;
  mutable std::mutex mutex_;
  std::deque<Range> ranges_;  // guarded by mutex_; oldest first
  uint64_t noted_bytes_ = 0;  // guarded by mutex_
};

}  // namespace sluice::storage
