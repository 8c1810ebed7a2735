#include "storage/entry_file.h"

#include <cstring>

namespace sluice::storage {

Status EntryFile::OpenFor(OpenMode mode) const {
  if (file_ != nullptr) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(file_, fs_.Open(path_, mode));
  return Status::Ok();
}

Result<bool> EntryFile::Load() {
  buffer_.clear();
  spilled_ = 0;
  if (!fs_.Exists(path_)) return false;
  SLUICE_RETURN_IF_ERROR(OpenFor(OpenMode::kReadWrite));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file_->Size());
  spilled_ = size / entry_size_;
  return size % entry_size_ == 0;
}

Status EntryFile::Append(std::string_view entry) {
  CHECK_EQ(entry.size(), entry_size_);
  buffer_.append(entry);
  if (buffer_.size() < kSpillBytes) return Status::Ok();
  const Status spilled = Spill();
  // On a full disk the entries stay in memory and the next append tries again: the batch itself has
  // been written.
  return spilled.code() == StatusCode::kDiskFull ? Status::Ok() : spilled;
}

Status EntryFile::ReadEntry(size_t index, char* out) const {
  CHECK_LT(index, count());
  if (index < spilled_) return ReadSpilled(index, 1, out);
  std::memcpy(out, buffer_.data() + (index - spilled_) * entry_size_, entry_size_);
  return Status::Ok();
}

Status EntryFile::ReadSpilled(size_t index, size_t entries, char* out) const {
  SLUICE_RETURN_IF_ERROR(OpenFor(OpenMode::kReadWrite));
  const size_t wanted = entries * entry_size_;
  SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(index * entry_size_, out, wanted));
  if (got == wanted) return Status::Ok();
  return Status::Corruption(path_ + " ends at byte " + std::to_string(index * entry_size_ + got) +
                            ", but held " + std::to_string(spilled_) +
                            " entries when it was opened");
}

Status EntryFile::Shrink(size_t count) {
  if (count >= this->count()) return Status::Ok();
  if (count >= spilled_) {
    buffer_.resize((count - spilled_) * entry_size_);
    return Status::Ok();
  }
  buffer_.clear();
  SLUICE_RETURN_IF_ERROR(OpenFor(OpenMode::kReadWrite));
  SLUICE_RETURN_IF_ERROR(file_->Truncate(count * entry_size_));
  spilled_ = count;
  return Status::Ok();
}

Status EntryFile::Clear() {
  buffer_.clear();
  spilled_ = 0;
  if (!fs_.Exists(path_)) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(OpenFor(OpenMode::kReadWrite));
  return file_->Truncate(0);
}

Status EntryFile::Spill() {
  SLUICE_RETURN_IF_ERROR(OpenFor(OpenMode::kCreate));
  if (buffer_.empty()) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(file_->WriteAt(spilled_ * entry_size_, buffer_));
  spilled_ += buffer_.size() / entry_size_;
  buffer_.clear();
  return Status::Ok();
}

Result<std::shared_ptr<File>> EntryFile::Complete() {
  SLUICE_RETURN_IF_ERROR(Spill());
  return file_;
}

}  // namespace sluice::storage
