#pragma once
// OutputChain: the bytes of one response, gathered from owned strings, shared memory and ranges of
// files, in order. It lets a fetch answer with file bytes that sendfile moves, and a request's
// memory be written without a copy.
//
// Thread rule: one owner at a time; what it refers to is immutable while it lives.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file_system.h"

namespace sluice {

// A range of a file. The file stays open as long as the slice lives.
struct FileSlice {
  std::shared_ptr<File> file;
  uint64_t offset = 0;  // bytes
  uint32_t size_bytes = 0;
  bool hot = false;  // written moments ago, so surely in memory
};

// A view into memory that `owner` keeps alive.
struct SharedBytes {
  std::shared_ptr<const void> owner;
  std::string_view bytes;
};

class OutputChain {
 public:
  using Segment = std::variant<std::string, SharedBytes, FileSlice>;

  static size_t SizeOf(const Segment& segment) {
    if (const auto* owned = std::get_if<std::string>(&segment)) return owned->size();
    if (const auto* shared = std::get_if<SharedBytes>(&segment)) return shared->bytes.size();
    return std::get<FileSlice>(segment).size_bytes;
  }

  void Add(Segment segment) {
    const size_t size = SizeOf(segment);
    if (size == 0) return;
    size_bytes_ += size;
    segments_.push_back(std::move(segment));
  }
  size_t size_bytes() const { return size_bytes_; }
  const std::vector<Segment>& segments() const { return segments_; }
  std::vector<Segment>& segments() { return segments_; }

 private:
  std::vector<Segment> segments_;
  size_t size_bytes_ = 0;
};

// All bytes of the chain in one string, file ranges read. For tests and for transports without
// sendfile.
Result<std::string> Flatten(const OutputChain& chain);

}  // namespace sluice
