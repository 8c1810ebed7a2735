#include "storage/inspect/segment_walk.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/segment_scan.h"

namespace sluice::storage {
namespace {

constexpr size_t kPieceBytes = 1 << 20;

}  // namespace

SegmentWalk::SegmentWalk(std::shared_ptr<File> file, uint64_t size)
    : file_(std::move(file)),
      size_(size),
      scanner_(std::make_unique<BatchScanner>(file_, 0, size, kPieceBytes)) {}

Result<SegmentWalk> SegmentWalk::Open(FileSystem& fs, const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(auto file, fs.Open(path, OpenMode::kRead));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  return SegmentWalk(std::move(file), size);
}

Result<bool> SegmentWalk::Next() {
  SLUICE_ASSIGN_OR_RETURN(const bool more, scanner_->Next());
  if (!more) return false;
  if (header().size_bytes > kWholeBatchBytesMax) {
    SLUICE_ASSIGN_OR_RETURN(checksum_holds_, CheckLargeBatch());
    return true;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner_->Bytes());
  checksum_holds_ = bytes.size() == header().size_bytes && BatchChecksumHolds(bytes);
  return true;
}

Result<bool> SegmentWalk::CheckLargeBatch() const {
  uint64_t at = position() + kafka::batch_layout::kAttributes;
  const uint64_t end = position() + header().size_bytes;
  uint32_t crc = Crc32c("");
  std::string piece;
  while (at < end) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, end - at)));
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(at, piece.data(), piece.size()));
    if (got < piece.size()) return false;
    crc = Crc32cExtend(crc, piece);
    at += got;
  }
  return crc == header().crc;
}

Result<std::string_view> SegmentWalk::Bytes(size_t size_bytes_max) {
  if (header().size_bytes > size_bytes_max) {
    return Status::ResourceExhausted("the batch has " + std::to_string(header().size_bytes) +
                                     " bytes, more than the " + std::to_string(size_bytes_max) +
                                     " that are looked at");
  }
  return scanner_->Bytes();
}

Result<bool> SegmentWalk::OnlyZerosFrom(uint64_t position) const {
  std::string piece;
  while (position < size_) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, size_ - position)));
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(position, piece.data(), piece.size()));
    if (got == 0) break;
    if (std::string_view(piece.data(), got).find_first_not_of('\0') != std::string_view::npos)
      return false;
    position += got;
  }
  return true;
}

Result<std::string> SegmentWalk::DescribeDamage() const {
  const uint64_t at = next_position();
  const uint64_t left = size_ - at;
  SLUICE_ASSIGN_OR_RETURN(const bool zeros, OnlyZerosFrom(at));
  if (zeros) return std::to_string(left) + " zero bytes stand where a batch is due";
  if (left < BatchHeader::kBytes) {
    return "a batch is cut short: only " + std::to_string(left) + " bytes are left of it";
  }
  char bytes[BatchHeader::kBytes];
  SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(at, bytes, sizeof bytes));
  const auto header = BatchHeader::Parse({bytes, got});
  if (header) {
    return "a batch of " + std::to_string(header->size_bytes) + " bytes at offset " +
           std::to_string(header->base_offset.value()) + " is cut short: only " +
           std::to_string(left) + " bytes are left";
  }
  const int magic = static_cast<unsigned char>(bytes[kafka::batch_layout::kMagic]);
  if (magic < kafka::kMagicV2 && LoadBigEndian<int64_t>(bytes) >= 0) {
    return "a message of the old format " + std::to_string(magic) +
           ", or bytes that are no batch, stand where a batch is due";
  }
  return std::string("the bytes are no batch");
}

Result<std::optional<uint64_t>> SegmentWalk::SkipDamage(Offset expected) {
  SLUICE_ASSIGN_OR_RETURN(const auto next,
                          FindValidBatch(*file_, next_position(), size_, expected));
  if (next) scanner_ = std::make_unique<BatchScanner>(file_, *next, size_, kPieceBytes);
  return next;
}

}  // namespace sluice::storage
