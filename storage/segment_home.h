#pragma once
// SegmentHome: what all segments of one log share, so that none of them keeps
// it for itself: the directory, and the cache through which its files are
// opened.
//
// Thread rule: immutable.

#include <memory>
#include <string>
#include <string_view>

#include "storage/file_cache.h"
#include "storage/file_names.h"

namespace sluice::storage {

struct SegmentHome {
  std::string directory;
  std::shared_ptr<FileCache> cache;

  FileSystem& fs() const { return cache->fs(); }
  std::string PathOf(Offset base, std::string_view suffix) const {
    return directory + "/" + OffsetFileName(base, suffix);
  }
};

}  // namespace sluice::storage
