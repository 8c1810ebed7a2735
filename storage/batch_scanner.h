#pragma once
// BatchScanner: walks the batches of a .log file from a position on, reading large pieces: headers
// only (a big batch's records are skipped unread) or, when asked, whole batches.
//
//   BatchScanner scanner(file, position, end);
//   while (true) {
//     SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
//     if (!more) break;
//     Use(scanner.header(), scanner.position());
//   }
//   if (scanner.damaged()) ...   // stopped before `end` at a place where no batch can begin
//
// Thread rule: one owner; the file may be appended to beside it.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/output_chain.h"
#include "storage/batch_header.h"

namespace sluice::storage {

class BatchScanner {
 public:
  // For a walk that looks at headers: reads on only where batches are small, and lets the system
  // read ahead where they are not large.
  static constexpr size_t kHeadersOnly = 0;
  // For a lookup that mostly ends after a few batches: reads to the end of a page, since less is
  // never read from the disk, and only in the long run more at once.
  static constexpr size_t kByPages = 1;

  // `chunk_bytes`: how much is read at once; small for a lookup that ends after a few batches.
  BatchScanner(const File& file, uint64_t position, uint64_t end, size_t chunk_bytes = 65536)
      : file_(&file), next_(position), end_(end), chunk_bytes_(chunk_bytes) {}
  // Keeps the file open for as long as it walks.
  BatchScanner(std::shared_ptr<File> file, uint64_t position, uint64_t end,
               size_t chunk_bytes = 65536)
      : BatchScanner(*file, position, end, chunk_bytes) {
    held_ = std::move(file);
  }
  // From now on it does not wait for the disk: see SegmentHome::ReadOrTell. REQUIRES: it holds its
  // file. Null: it waits.
  void set_lacking(FileSlice* lacking) { lacking_ = lacking; }

  // Moves to the next batch; false at the end, or where the bytes are no batch that ends by `end`.
  Result<bool> Next();
  const BatchHeader& header() const { return header_; }
  uint64_t position() const { return position_; }
  // Where the next batch would begin: after the last one that Next found.
  uint64_t next_position() const { return next_; }
  bool damaged() const { return damaged_; }
  // All bytes of the current batch, valid until Next.
  Result<std::string_view> Bytes();

 private:
  size_t ChunkBytes(uint64_t position, size_t size) const;
  Result<size_t> Read(uint64_t position, size_t size);
  void HintAhead(uint64_t position);
  // A view of [position, position + size), or less at the end of the file.
  Result<std::string_view> View(uint64_t position, size_t size);

  std::shared_ptr<File> held_;
  const File* file_;
  FileSlice* lacking_ = nullptr;
  uint64_t next_;
  const uint64_t end_;
  const size_t chunk_bytes_;
  uint64_t position_ = 0;
  BatchHeader header_;
  bool damaged_ = false;
  int reads_ = 0;
  uint64_t hinted_upto_ = 0;
  std::string buffer_;  // file bytes from buffer_position_ on
  uint64_t buffer_position_ = 0;
};

}  // namespace sluice::storage
