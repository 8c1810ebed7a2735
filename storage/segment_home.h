#pragma once
// SegmentHome: what all segments of one log share, so that none of them keeps
// it for itself: the directory, and the cache through which its files are
// opened.
//
// Thread rule: immutable but for `lacking` and `reads_hot`, which are the log's owner's.

#include <memory>
#include <string>
#include <string_view>

#include "storage/file_cache.h"
#include "storage/file_names.h"
#include "storage/lacking.h"

namespace sluice::storage {

struct SegmentHome {
  std::string directory;
  std::shared_ptr<FileCache> cache;
  // See Log::set_lacking.
  Lacking* lacking = nullptr;
  // What the operation reads was written moments ago: it is not asked about. See HotReads.
  bool reads_hot = false;

  // Where reads tell what is not in memory; null: they wait for the disk.
  FileSlice* lacking_slice() const {
    return lacking == nullptr || reads_hot ? nullptr : &lacking->slice;
  }
  // Reads for an operation of the log, which may be one that does not wait.
  Result<size_t> ReadAt(const std::shared_ptr<File>& file, uint64_t offset, char* out,
                        size_t size) const {
    FileSlice* const slice = lacking_slice();
    return slice == nullptr ? file->ReadAt(offset, out, size)
                            : ReadOrTell({file, offset, static_cast<uint32_t>(size)}, out, *slice);
  }
  // Reads what is in memory; kWouldWait, and what is missing to `lacking`, when not all of it is.
  static Result<size_t> ReadOrTell(const FileSlice& wanted, char* out, FileSlice& lacking) {
    auto read = wanted.file->ReadInMemory(wanted.offset, out, wanted.size_bytes);
    if (read.status().code() == StatusCode::kWouldWait) lacking = wanted;
    return read;
  }
  FileSystem& fs() const { return cache->fs(); }
  std::string PathOf(Offset base, std::string_view suffix) const {
    return directory + "/" + OffsetFileName(base, suffix);
  }
};

// While it lives, operations of the log wait for the disk whatever their caller wished: what is
// read once, or has begun to change something, is not given up half way.
class MayWait {
 public:
  explicit MayWait(SegmentHome& home) : home_(home), lacking_(home.lacking) {
    home_.lacking = nullptr;
  }
  ~MayWait() { home_.lacking = lacking_; }
  MayWait(const MayWait&) = delete;
  MayWait& operator=(const MayWait&) = delete;

 private:
  SegmentHome& home_;
  Lacking* const lacking_;
};

// While it lives, reads of the log ask for nothing that is not in memory, if `hot`; but an index
// that has to be built again is still left to others.
class HotReads {
 public:
  HotReads(SegmentHome& home, bool hot) : home_(home) { home_.reads_hot = hot; }
  ~HotReads() { home_.reads_hot = false; }
  HotReads(const HotReads&) = delete;
  HotReads& operator=(const HotReads&) = delete;

 private:
  SegmentHome& home_;
};

}  // namespace sluice::storage
