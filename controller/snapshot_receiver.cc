#include "controller/snapshot_receiver.h"

#include <algorithm>

#include "controller/snapshot_files.h"

namespace sluice::controller {
namespace {

constexpr std::string_view kPartSuffix = ".part";

std::optional<SnapshotName> NameOfPart(std::string_view file) {
  if (!file.ends_with(kPartSuffix)) return std::nullopt;
  return ParseSnapshotFileName(file.substr(0, file.size() - kPartSuffix.size()));
}

}  // namespace

Result<std::optional<raft::ReceivedSnapshot>> SnapshotReceiver::Reopen(LogIndex newest) {
  incoming_.reset();
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> files, fs_.List(directory_));
  for (const std::string& file : files) {
    const std::optional<SnapshotName> name = NameOfPart(file);
    if (!name.has_value()) continue;
    const std::string path = directory_ + "/" + file;
    std::optional<Incoming> found;
    if (name->index > newest && !incoming_.has_value()) {
      SLUICE_ASSIGN_OR_RETURN(found, ReopenFile(path));
    }
    if (found.has_value()) {
      incoming_ = std::move(found);
    } else {
      SLUICE_RETURN_IF_ERROR(fs_.Remove(path));
    }
  }
  if (!incoming_.has_value()) return std::optional<raft::ReceivedSnapshot>();
  const SnapshotLayout& layout = incoming_->layout;
  return std::optional(
      raft::ReceivedSnapshot{layout.meta, layout.state_bytes, layout.state_crc, incoming_->held});
}

// Everything is written again in its place and synced: after a failed sync the page cache may show
// bytes that the device never got.
Result<std::optional<SnapshotReceiver::Incoming>> SnapshotReceiver::ReopenFile(
    const std::string& path) {
  const Result<StoredSnapshot> stored = StoredSnapshot::Open(fs_, path);
  if (!stored.ok() || stored->layout().block_bytes == 0) return std::optional<Incoming>();
  Incoming incoming{.path = path, .layout = stored->layout()};
  SLUICE_ASSIGN_OR_RETURN(incoming.file, fs_.Open(path, OpenMode::kReadWrite));
  SLUICE_RETURN_IF_ERROR(incoming.file->WriteAt(0, EncodeSnapshotHeader(incoming.layout)));
  while (incoming.held < incoming.layout.state_bytes) {
    const Result<std::string> block = stored->ReadState(incoming.held, incoming.layout.block_bytes);
    if (!block.ok()) break;
    SLUICE_RETURN_IF_ERROR(
        WriteSnapshotBlock(*incoming.file, incoming.layout, incoming.held, *block));
    incoming.held += block->size();
  }
  SLUICE_RETURN_IF_ERROR(incoming.file->Sync());
  if (incoming.held == 0) return std::optional<Incoming>();
  return std::optional(std::move(incoming));
}

Status SnapshotReceiver::RemoveAllParts() {
  incoming_.reset();
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> files, fs_.List(directory_));
  for (const std::string& file : files) {
    if (NameOfPart(file).has_value()) SLUICE_RETURN_IF_ERROR(fs_.Remove(directory_ + "/" + file));
  }
  return Status::Ok();
}

Status SnapshotReceiver::Begin(const raft::SnapshotChunk& chunk) {
  SLUICE_RETURN_IF_ERROR(RemoveAllParts());
  Incoming incoming{.layout = {.meta = chunk.meta,
                               .state_bytes = chunk.size_total,
                               .state_crc = chunk.whole_crc,
                               .block_bytes = block_bytes_}};
  const SnapshotName name{chunk.meta.index, chunk.meta.term};
  incoming.path = directory_ + "/" + SnapshotFileName(name) + std::string(kPartSuffix);
  SLUICE_ASSIGN_OR_RETURN(incoming.file, fs_.Open(incoming.path, OpenMode::kCreateTruncate));
  SLUICE_RETURN_IF_ERROR(incoming.file->WriteAt(0, EncodeSnapshotHeader(incoming.layout)));
  incoming_ = std::move(incoming);
  return fs_.SyncDirectory(directory_);
}

Status SnapshotReceiver::Receive(const raft::SnapshotChunk& chunk) {
  if (chunk.offset == 0) SLUICE_RETURN_IF_ERROR(Begin(chunk));
  CHECK(incoming_.has_value() && incoming_->layout.meta == chunk.meta &&
        incoming_->held == chunk.offset)
      << "a part at " << chunk.offset << " of the snapshot at " << chunk.meta.index;
  SLUICE_RETURN_IF_ERROR(WriteBlocks(*incoming_, chunk.data));
  return incoming_->file->Sync();
}

Status SnapshotReceiver::WriteBlocks(Incoming& incoming, std::string_view data) {
  const SnapshotLayout& layout = incoming.layout;
  while (!data.empty()) {
    const uint64_t offset = incoming.held - incoming.last_block.size();  // of the block
    const uint64_t full = std::min<uint64_t>(layout.block_bytes, layout.state_bytes - offset);
    const std::string_view more = data.substr(0, full - incoming.last_block.size());
    incoming.last_block += more;
    incoming.held += more.size();
    data.remove_prefix(more.size());
    if (incoming.last_block.size() < full) break;
    SLUICE_RETURN_IF_ERROR(WriteSnapshotBlock(*incoming.file, layout, offset, incoming.last_block));
    incoming.last_block.clear();
  }
  return Status::Ok();
}

Result<raft::Snapshot> SnapshotReceiver::Load() {
  if (!incoming_.has_value())
    return Status::NotFound(directory_ + " has a newer snapshot than was received");
  SLUICE_ASSIGN_OR_RETURN(const StoredSnapshot stored, StoredSnapshot::Open(fs_, incoming_->path));
  SLUICE_ASSIGN_OR_RETURN(raft::Snapshot whole, stored.ReadWhole());
  incoming_->checked = true;
  return whole;
}

bool SnapshotReceiver::HasChecked(const raft::SnapshotMeta& meta) const {
  return incoming_.has_value() && incoming_->checked && incoming_->layout.meta == meta;
}

Status SnapshotReceiver::GiveName() {
  const std::string path = incoming_->path;
  incoming_.reset();
  SLUICE_RETURN_IF_ERROR(fs_.Rename(path, path.substr(0, path.size() - kPartSuffix.size())));
  return fs_.SyncDirectory(directory_);
}

Status SnapshotReceiver::DropUpTo(LogIndex index) {
  if (!incoming_.has_value() || incoming_->layout.meta.index > index) return Status::Ok();
  return RemoveAllParts();
}

}  // namespace sluice::controller
