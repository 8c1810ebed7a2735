#pragma once
// SegmentWalk: over the batches of a .log file with their checksums, for tools: it goes on behind a
// batch whose checksum fails, says in words what stands where no batch begins, and holds at most a
// few MiB however large a batch claims to be.
//
//   SLUICE_ASSIGN_OR_RETURN(SegmentWalk walk, SegmentWalk::Open(fs, path));
//   while (true) {
//     SLUICE_ASSIGN_OR_RETURN(const bool more, walk.Next());
//     if (!more) break;
//     Use(walk.header(), walk.position(), walk.checksum_holds());
//   }
//   if (walk.damaged()) ...  // DescribeDamage, FindNext
//
// Thread rule: one owner.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "storage/batch_scanner.h"

namespace sluice::storage {

class SegmentWalk {
 public:
  // A batch up to this size is looked at as a whole; a larger one piece by piece.
  static constexpr size_t kWholeBatchBytesMax = 16 << 20;

  static Result<SegmentWalk> Open(FileSystem& fs, const std::string& path);

  // False at the end, and where no batch begins.
  Result<bool> Next();
  const BatchHeader& header() const { return scanner_->header(); }
  uint64_t position() const { return scanner_->position(); }
  bool checksum_holds() const { return checksum_holds_; }
  // All bytes of the current batch; kResourceExhausted when it has more than `size_bytes_max`.
  Result<std::string_view> Bytes(size_t size_bytes_max = kWholeBatchBytesMax);

  uint64_t size_bytes() const { return size_; }
  uint64_t next_position() const { return scanner_->next_position(); }
  bool damaged() const { return scanner_->damaged(); }
  // What stands at next_position(), where no batch begins.
  Result<std::string> DescribeDamage() const;
  // The next whole batch behind the damage that could follow an offset below `expected`; nullopt
  // when there is none. The walk goes on there.
  Result<std::optional<uint64_t>> SkipDamage(Offset expected);

 private:
  SegmentWalk(std::shared_ptr<File> file, uint64_t size);
  Result<bool> CheckLargeBatch() const;
  Result<bool> OnlyZerosFrom(uint64_t position) const;

  std::shared_ptr<File> file_;
  uint64_t size_;
  std::unique_ptr<BatchScanner> scanner_;
  bool checksum_holds_ = false;
};

}  // namespace sluice::storage
