#include "controller/snapshot_files.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "base/crc32c.h"

namespace sluice::controller {
namespace {

constexpr std::string_view kSuffix = ".checkpoint";
constexpr std::string_view kTemporarySuffix = ".tmp";
constexpr size_t kIndexDigits = 20;
constexpr size_t kTermDigits = 10;

std::optional<int64_t> ParseDigits(std::string_view digits) {
  int64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9' || value > (INT64_MAX - 9) / 10) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

std::string SnapshotFileName(const SnapshotName& name) {
  char text[64];
  std::snprintf(text, sizeof text, "%020lld-%010lld.checkpoint",
                static_cast<long long>(name.index.value()),
                static_cast<long long>(name.term.value()));
  return text;
}

std::optional<SnapshotName> ParseSnapshotFileName(std::string_view name) {
  if (name.size() != kIndexDigits + 1 + kTermDigits + kSuffix.size()) return std::nullopt;
  if (name[kIndexDigits] != '-' || name.substr(name.size() - kSuffix.size()) != kSuffix)
    return std::nullopt;
  const auto index = ParseDigits(name.substr(0, kIndexDigits));
  const auto term = ParseDigits(name.substr(kIndexDigits + 1, kTermDigits));
  if (!index.has_value() || !term.has_value()) return std::nullopt;
  return SnapshotName{LogIndex(*index), Term(*term)};
}

Result<std::vector<SnapshotName>> SnapshotFiles::List() const {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> files, fs_.List(directory_));
  std::vector<SnapshotName> names;
  for (const std::string& file : files) {
    if (const auto name = ParseSnapshotFileName(file)) names.push_back(*name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status SnapshotFiles::Write(const raft::Snapshot& snapshot) {
  const std::string path = PathOf({snapshot.meta.index, snapshot.meta.term});
  const std::string temporary = path + std::string(kTemporarySuffix);
  {
    SLUICE_ASSIGN_OR_RETURN(const auto file, fs_.Open(temporary, OpenMode::kCreateTruncate));
    SLUICE_RETURN_IF_ERROR(WriteSnapshot(*file, snapshot, block_bytes_));
    SLUICE_RETURN_IF_ERROR(file->Sync());
  }
  SLUICE_RETURN_IF_ERROR(fs_.Rename(temporary, path));
  return fs_.SyncDirectory(directory_);
}

Result<StoredSnapshot> SnapshotFiles::Open(const SnapshotName& name) const {
  SLUICE_ASSIGN_OR_RETURN(StoredSnapshot stored, StoredSnapshot::Open(fs_, PathOf(name)));
  const raft::SnapshotMeta& meta = stored.layout().meta;
  if (meta.index != name.index || meta.term != name.term)
    return Status::Corruption(PathOf(name) + ": it is of index " +
                              std::to_string(meta.index.value()));
  return stored;
}

Result<raft::Snapshot> SnapshotFiles::Load(const SnapshotName& name) const {
  SLUICE_ASSIGN_OR_RETURN(const StoredSnapshot stored, Open(name));
  return stored.ReadWhole();
}

Result<raft::SnapshotChunk> SnapshotFiles::ReadChunk(const raft::SnapshotRead& read) {
  SLUICE_ASSIGN_OR_RETURN(const StoredSnapshot* stored, OpenToSend(read.index));
  const SnapshotLayout& layout = stored->layout();
  raft::SnapshotChunk chunk{.meta = layout.meta,
                            .offset = read.offset,
                            .size_total = layout.state_bytes,
                            .whole_crc = layout.state_crc};
  SLUICE_ASSIGN_OR_RETURN(chunk.data, stored->ReadState(read.offset, read.bytes_max));
  chunk.chunk_crc = Crc32c(chunk.data);
  return chunk;
}

Result<const StoredSnapshot*> SnapshotFiles::OpenToSend(LogIndex index) {
  const auto open = sent_.find(index);
  if (open != sent_.end()) {
    open->second.used = true;
    return &open->second.stored;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<SnapshotName> names, List());
  const auto name = std::ranges::find(names, index, &SnapshotName::index);
  if (name == names.end())
    return Status::NotFound(directory_ + " has no snapshot at " + std::to_string(index.value()));
  SLUICE_ASSIGN_OR_RETURN(StoredSnapshot stored, Open(*name));
  return &sent_.emplace(index, Sent{std::move(stored), true}).first->second.stored;
}

Status SnapshotFiles::PutAside(const SnapshotName& name) {
  SLUICE_RETURN_IF_ERROR(fs_.Rename(PathOf(name), PathOf(name) + ".damaged"));
  return fs_.SyncDirectory(directory_);
}

Status SnapshotFiles::RemoveTemporaries() {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> files, fs_.List(directory_));
  for (const std::string& file : files) {
    if (!file.ends_with(kTemporarySuffix)) continue;
    const size_t name_size = file.size() - kTemporarySuffix.size();
    if (ParseSnapshotFileName(std::string_view(file).substr(0, name_size)).has_value())
      SLUICE_RETURN_IF_ERROR(fs_.Remove(directory_ + "/" + file));
  }
  return Status::Ok();
}

Status SnapshotFiles::RemoveOld() {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<SnapshotName> names, List());
  for (size_t i = 0; i + 2 < names.size(); ++i)
    SLUICE_RETURN_IF_ERROR(fs_.Remove(PathOf(names[i])));
  for (auto sent = sent_.begin(); sent != sent_.end();)
    sent = std::exchange(sent->second.used, false) ? std::next(sent) : sent_.erase(sent);
  return Status::Ok();
}

}  // namespace sluice::controller
