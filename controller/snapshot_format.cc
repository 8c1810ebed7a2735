#include "controller/snapshot_format.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace sluice::controller {
namespace {

constexpr uint32_t kMagic = 0x534c534e;  // "SLSN"
constexpr int16_t kFormat = 3;
constexpr int16_t kFormatOfOneChecksum = 2;  // behind all of the file
constexpr int16_t kFormatOfFixedVoters = 1;  // the same; voters without addresses, no learners
constexpr size_t kCrcBytes = 4;
constexpr size_t kVoterBytes = 4 + 16;
constexpr size_t kBeforeMembers = 4 + 2 + 8 + 8 + 4;
constexpr size_t kAfterMembers = 8 + 4 + 4 + kCrcBytes;

std::string CrcOf(std::string_view bytes) {
  ByteWriter writer;
  writer.PutUint32(Crc32c(bytes));
  return writer.Take();
}

// The last four bytes are the checksum of those before.
bool Holds(std::string_view bytes) {
  if (bytes.size() < kCrcBytes) return false;
  const std::string_view covered = bytes.substr(0, bytes.size() - kCrcBytes);
  return LoadBigEndian<uint32_t>(bytes.data() + covered.size()) == Crc32c(covered);
}

std::optional<raft::Membership> ReadMembers(ByteReader& reader) {
  const int32_t size = reader.CheckedCount(reader.ReadInt32(), 1);
  Result<raft::Membership> members =
      raft::DecodeMembership(reader.ReadBytes(static_cast<size_t>(std::max(0, size))));
  return members.ok() ? std::optional(*std::move(members)) : std::nullopt;
}

std::optional<raft::Membership> ReadFixedVoters(ByteReader& reader) {
  std::vector<raft::VoterId> voters;
  const int32_t count = reader.CheckedCount(reader.ReadInt32(), kVoterBytes);
  for (int32_t i = 0; i < count && reader.ok(); ++i) {
    const NodeId id(reader.ReadInt32());
    const std::string_view disk = reader.ReadBytes(16);
    if (reader.ok()) voters.push_back({id, Uuid::FromBytes(disk)});
  }
  return raft::MembershipOf(voters);
}

// What all formats begin with; up to the size of the state.
std::optional<SnapshotLayout> ReadStart(ByteReader& reader, int16_t format) {
  SnapshotLayout layout;
  if (reader.ReadUint32() != kMagic || reader.ReadInt16() != format) return std::nullopt;
  layout.meta.index = LogIndex(reader.ReadInt64());
  layout.meta.term = Term(reader.ReadInt64());
  std::optional<raft::Membership> members =
      format == kFormatOfFixedVoters ? ReadFixedVoters(reader) : ReadMembers(reader);
  if (!members.has_value() || !members->IsSound()) return std::nullopt;
  layout.meta.members = *std::move(members);
  const int64_t state_bytes = reader.ReadInt64();
  if (!reader.ok() || state_bytes < 0) return std::nullopt;
  layout.state_bytes = static_cast<uint64_t>(state_bytes);
  return layout;
}

}  // namespace

std::string EncodeSnapshotHeader(SnapshotLayout& layout) {
  ByteWriter writer;
  writer.PutUint32(kMagic);
  writer.PutInt16(kFormat);
  writer.PutInt64(layout.meta.index.value());
  writer.PutInt64(layout.meta.term.value());
  const std::string members = raft::EncodeMembership(layout.meta.members);
  writer.PutInt32(static_cast<int32_t>(members.size()));
  writer.PutBytes(members);
  writer.PutInt64(static_cast<int64_t>(layout.state_bytes));
  writer.PutUint32(layout.state_crc);
  writer.PutUint32(layout.block_bytes);
  writer.PutUint32(Crc32c(writer.view()));
  layout.state_at = writer.size();
  return writer.Take();
}

Status WriteSnapshotBlock(File& file, const SnapshotLayout& layout, uint64_t offset,
                          std::string_view block) {
  const std::string crc = CrcOf(block);
  const std::array<std::string_view, 2> parts{block, crc};
  const uint64_t blocks_before = offset / layout.block_bytes;
  return file.WriteParts(layout.state_at + offset + blocks_before * kCrcBytes, parts);
}

Status WriteSnapshot(File& file, const raft::Snapshot& snapshot, uint32_t block_bytes) {
  const std::string_view state = *snapshot.data;
  SnapshotLayout layout{.meta = snapshot.meta,
                        .state_bytes = state.size(),
                        .state_crc = Crc32c(state),
                        .block_bytes = block_bytes};
  SLUICE_RETURN_IF_ERROR(file.WriteAt(0, EncodeSnapshotHeader(layout)));
  for (size_t offset = 0; offset < state.size(); offset += block_bytes)
    SLUICE_RETURN_IF_ERROR(
        WriteSnapshotBlock(file, layout, offset, state.substr(offset, block_bytes)));
  return Status::Ok();
}

Result<StoredSnapshot> StoredSnapshot::Open(FileSystem& fs, const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<File> file, fs.Open(path, OpenMode::kRead));
  StoredSnapshot snapshot(path, std::move(file));
  SLUICE_RETURN_IF_ERROR(snapshot.ReadHeader());
  return snapshot;
}

Status StoredSnapshot::Damaged(const std::string& what) const {
  return Status::Corruption(path_ + ": the checksum of " + what + " does not hold");
}

Result<std::string> StoredSnapshot::ReadExactly(uint64_t at, uint64_t size) const {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t file_bytes, file_->Size());
  if (at > file_bytes || size > file_bytes - at)
    return Status::Corruption(path_ + " ends at " + std::to_string(file_bytes) + " bytes");
  std::string bytes(size, '\0');
  SLUICE_ASSIGN_OR_RETURN(const size_t got, file_->ReadAt(at, bytes.data(), bytes.size()));
  if (got != size) return Status::Corruption(path_ + " ends too early");
  return bytes;
}

Status StoredSnapshot::ReadHeader() {
  SLUICE_ASSIGN_OR_RETURN(const std::string start, ReadExactly(0, kBeforeMembers));
  const auto format = LoadBigEndian<int16_t>(start.data() + 4);
  if (format == kFormatOfOneChecksum || format == kFormatOfFixedVoters) return ReadOfOld(format);
  const auto members_bytes = LoadBigEndian<uint32_t>(start.data() + kBeforeMembers - 4);
  layout_.state_at = kBeforeMembers + members_bytes + kAfterMembers;
  SLUICE_ASSIGN_OR_RETURN(const std::string header, ReadExactly(0, layout_.state_at));
  if (!Holds(header)) return Damaged("the header");
  ByteReader reader(header);
  std::optional<SnapshotLayout> layout = ReadStart(reader, kFormat);
  if (!layout.has_value()) return Damaged("the header");
  layout->state_crc = reader.ReadUint32();
  layout->block_bytes = reader.ReadUint32();
  if (!reader.ok() || layout->block_bytes == 0) return Damaged("the header");
  layout->state_at = layout_.state_at;
  layout_ = *std::move(layout);
  return Status::Ok();
}

Status StoredSnapshot::ReadOfOld(int16_t format) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t file_bytes, file_->Size());
  SLUICE_ASSIGN_OR_RETURN(const std::string whole, ReadExactly(0, file_bytes));
  ByteReader reader(whole);
  std::optional<SnapshotLayout> layout;
  if (Holds(whole)) layout = ReadStart(reader, format);
  if (!layout.has_value() || layout->state_bytes + kCrcBytes != reader.remaining())
    return Damaged("its " + std::to_string(file_bytes) + " bytes");
  layout->state_at = reader.position();
  layout->state_crc = Crc32c(reader.ReadBytes(layout->state_bytes));
  layout_ = *std::move(layout);
  return Status::Ok();
}

Status StoredSnapshot::AppendBlock(uint64_t block, std::string& to) const {
  const uint64_t offset = block * layout_.block_bytes;
  const uint64_t size = std::min<uint64_t>(layout_.block_bytes, layout_.state_bytes - offset);
  SLUICE_ASSIGN_OR_RETURN(
      const std::string bytes,
      ReadExactly(layout_.state_at + offset + block * kCrcBytes, size + kCrcBytes));
  if (!Holds(bytes)) return Damaged("the block at " + std::to_string(offset));
  to.append(bytes, 0, size);
  return Status::Ok();
}

Result<std::string> StoredSnapshot::ReadState(uint64_t offset, uint64_t size) const {
  if (offset >= layout_.state_bytes) return std::string();
  size = std::min(size, layout_.state_bytes - offset);
  if (size == 0) return std::string();
  if (layout_.block_bytes == 0) return ReadExactly(layout_.state_at + offset, size);
  const uint64_t first = offset / layout_.block_bytes;
  const uint64_t last = (offset + size - 1) / layout_.block_bytes;
  std::string state;
  state.reserve((last - first + 1) * layout_.block_bytes);
  for (uint64_t block = first; block <= last; ++block)
    SLUICE_RETURN_IF_ERROR(AppendBlock(block, state));
  state.erase(0, offset - first * layout_.block_bytes);
  state.resize(size);
  return state;
}

Result<raft::Snapshot> StoredSnapshot::ReadWhole() const {
  SLUICE_ASSIGN_OR_RETURN(std::string state, ReadState(0, layout_.state_bytes));
  if (Crc32c(state) != layout_.state_crc) return Damaged("the state");
  return raft::Snapshot{layout_.meta, std::make_shared<const std::string>(std::move(state))};
}

}  // namespace sluice::controller
