#include "storage/inspect/entry_reader.h"

#include <algorithm>

#include "base/bytes.h"

namespace sluice::storage {
namespace {

constexpr size_t kPieceBytes = 32768;

template <typename T>
void Put(std::string& out, T value) {
  char bytes[sizeof(T)];
  StoreBigEndian(bytes, value);
  out.append(bytes, sizeof bytes);
}

}  // namespace

Result<std::optional<EntryReader>> EntryReader::Open(FileSystem& fs, const std::string& path,
                                                     size_t entry_bytes) {
  auto file = fs.Open(path, OpenMode::kRead);
  if (file.status().code() == StatusCode::kNotFound) return std::optional<EntryReader>();
  SLUICE_RETURN_IF_ERROR(file.status());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  return std::optional(EntryReader(*std::move(file), path, size, entry_bytes));
}

Status EntryReader::Fill() {
  buffer_.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, size_ - next_)));
  SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(next_, buffer_.data(), buffer_.size()));
  buffer_.resize(got);
  buffer_position_ = next_;
  return Status::Ok();
}

Result<std::string_view> EntryReader::Next(bool zeros_count) {
  if (size_ - next_ < entry_bytes_) return std::string_view();
  if (next_ + entry_bytes_ > buffer_position_ + buffer_.size()) SLUICE_RETURN_IF_ERROR(Fill());
  if (buffer_position_ + buffer_.size() < next_ + entry_bytes_) return std::string_view();
  const auto entry = std::string_view(buffer_).substr(next_ - buffer_position_, entry_bytes_);
  const bool zeros = entry.find_first_not_of('\0') == std::string_view::npos;
  if (zeros && !zeros_count) return std::string_view();
  next_ += entry_bytes_;
  return entry;
}

Result<std::optional<uint64_t>> EntryReader::FirstNonZeroInTail() {
  std::string piece;
  for (uint64_t at = next_; at < size_;) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, size_ - at)));
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(at, piece.data(), piece.size()));
    if (got == 0) break;
    const size_t found = std::string_view(piece.data(), got).find_first_not_of('\0');
    if (found != std::string_view::npos) return std::optional(at + found);
    at += got;
  }
  return std::optional<uint64_t>();
}

OffsetEntry DecodeOffsetEntry(std::string_view bytes, Offset base) {
  return {base + LoadBigEndian<int32_t>(bytes.data()), LoadBigEndian<int32_t>(bytes.data() + 4)};
}

TimeEntry DecodeTimeEntry(std::string_view bytes, Offset base) {
  return {LoadBigEndian<int64_t>(bytes.data()), base + LoadBigEndian<int32_t>(bytes.data() + 8)};
}

TxnEntry DecodeTxnEntry(std::string_view bytes) {
  ByteReader in(bytes);
  TxnEntry entry;
  entry.version = in.ReadInt16();
  entry.producer_id = ProducerId(in.ReadInt64());
  entry.first_offset = Offset(in.ReadInt64());
  entry.last_offset = Offset(in.ReadInt64());
  entry.last_stable_offset = Offset(in.ReadInt64());
  return entry;
}

void EncodeTo(std::string& out, const OffsetEntry& entry, Offset base) {
  Put(out, static_cast<int32_t>(entry.offset - base));
  Put(out, static_cast<int32_t>(entry.position));
}

void EncodeTo(std::string& out, const TimeEntry& entry, Offset base) {
  Put(out, entry.timestamp_ms);
  Put(out, static_cast<int32_t>(entry.offset - base));
}

void EncodeTo(std::string& out, const TxnEntry& entry) {
  Put(out, entry.version);
  Put(out, entry.producer_id.value());
  Put(out, entry.first_offset.value());
  Put(out, entry.last_offset.value());
  Put(out, entry.last_stable_offset.value());
}

}  // namespace sluice::storage
