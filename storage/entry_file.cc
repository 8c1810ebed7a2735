#include "storage/entry_file.h"

#include <algorithm>
#include <cstring>

namespace sluice::storage {

Result<std::shared_ptr<File>> EntryFile::OpenFor(OpenMode mode) const {
  if (auto open = ref_.Get()) return open;
  return home_.cache->Open(ref_, path(), mode);
}

EntryFile::~EntryFile() {
  FreeBuffer();
  home_.cache->Forget(ref_);
}

// Up to what goes out at once: a string by itself would grow to nearly twice as much.
void EntryFile::MakeRoom() {
  std::string larger;
  larger.reserve(std::max(kSpillBytesMin, 2 * buffer_.size()));
  larger.append(buffer_);
  FreeBuffer();
  buffer_ = std::move(larger);
  home_.cache->HoldBack(static_cast<int64_t>(buffer_.capacity()));
}

void EntryFile::FreeBuffer() {
  const std::string none;
  if (buffer_.capacity() == none.capacity()) return;
  home_.cache->HoldBack(-static_cast<int64_t>(buffer_.capacity()));
  std::string().swap(buffer_);
}

Result<bool> EntryFile::Load() {
  Forget();
  forgotten_ = false;
  whole_ = false;
  const auto file = OpenFor(OpenMode::kReadWrite);
  if (file.status().code() == StatusCode::kNotFound) return false;
  SLUICE_RETURN_IF_ERROR(file.status());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  spilled_ = static_cast<uint32_t>(size / entry_size());
  whole_ = size % entry_size() == 0;
  return whole_;
}

Status EntryFile::Append(std::string_view entry) {
  CHECK_EQ(entry.size(), entry_size());
  if (buffer_.capacity() - buffer_.size() < entry_size()) MakeRoom();
  buffer_.append(entry);
  const size_t spill_at = home_.cache->short_of_memory() ? kSpillBytesMin : kSpillBytes;
  if (buffer_.size() + entry_size() <= spill_at) return Status::Ok();
  const Status spilled = Spill();
  // On a full disk the entries stay in memory and the next append tries again: the batch itself has
  // been written.
  return spilled.code() == StatusCode::kDiskFull ? Status::Ok() : spilled;
}

Status EntryFile::ReadEntry(size_t index, char* out) const {
  CHECK_LT(index, count());
  if (index < spilled_) return ReadSpilled(index, 1, out);
  std::memcpy(out, buffer_.data() + (index - spilled_) * entry_size(), entry_size());
  return Status::Ok();
}

Result<size_t> EntryFile::ReadEntries(size_t index, size_t entries, char* out) const {
  if (index >= count()) return size_t{0};
  if (index < spilled_) {
    entries = std::min<size_t>(entries, spilled_ - index);
    SLUICE_RETURN_IF_ERROR(ReadSpilled(index, entries, out));
    return entries;
  }
  entries = std::min(entries, count() - index);
  std::memcpy(out, buffer_.data() + (index - spilled_) * entry_size(), entries * entry_size());
  return entries;
}

Status EntryFile::ReadSpilled(size_t index, size_t entries, char* out) const {
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFor(OpenMode::kReadWrite));
  const size_t wanted = entries * entry_size();
  SLUICE_ASSIGN_OR_RETURN(const size_t got,
                          home_.ReadAt(file, uint64_t{index} * entry_size(), out, wanted));
  if (got == wanted) return Status::Ok();
  return Status::Corruption(path() + " ends at byte " + std::to_string(index * entry_size() + got) +
                            ", but held " + std::to_string(spilled_) +
                            " entries when it was opened");
}

Status EntryFile::Shrink(size_t count) {
  if (count >= this->count()) return Status::Ok();
  if (count >= spilled_) {
    buffer_.resize((count - spilled_) * entry_size());
    return Status::Ok();
  }
  buffer_.clear();
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFor(OpenMode::kReadWrite));
  SLUICE_RETURN_IF_ERROR(file->Truncate(count * entry_size()));
  spilled_ = static_cast<uint32_t>(count);
  return Status::Ok();
}

void EntryFile::Forget() {
  buffer_.clear();
  spilled_ = 0;
  forgotten_ = true;
}

Status EntryFile::Clear() {
  Forget();
  const auto file = OpenFor(OpenMode::kReadWrite);
  if (file.status().code() == StatusCode::kNotFound) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(file.status());
  return CutForgotten(**file);
}

Status EntryFile::CutForgotten(File& file) {
  if (!forgotten_) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file.Size());
  const uint64_t kept = uint64_t{spilled_} * entry_size();
  if (size > kept) SLUICE_RETURN_IF_ERROR(file.Truncate(kept));
  forgotten_ = false;
  return Status::Ok();
}

Status EntryFile::Spill() {
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFor(OpenMode::kCreate));
  if (buffer_.empty()) return CutForgotten(*file);
  SLUICE_RETURN_IF_ERROR(file->WriteAt(uint64_t{spilled_} * entry_size(), buffer_));
  spilled_ += static_cast<uint32_t>(buffer_.size() / entry_size());
  buffer_.clear();
  if (home_.cache->short_of_memory()) FreeBuffer();
  return CutForgotten(*file);
}

Result<std::shared_ptr<File>> EntryFile::Complete() {
  SLUICE_RETURN_IF_ERROR(Spill());
  FreeBuffer();
  return OpenFor(OpenMode::kReadWrite);
}

}  // namespace sluice::storage
