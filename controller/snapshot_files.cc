#include "controller/snapshot_files.h"

#include <algorithm>
#include <cstdio>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace sluice::controller {
namespace {

constexpr uint32_t kMagic = 0x534c534e;  // "SLSN"
constexpr int16_t kFormat = 2;
constexpr int16_t kFormatOfFixedVoters = 1;  // voters without addresses, no learners; still read
constexpr std::string_view kSuffix = ".checkpoint";
constexpr std::string_view kTemporarySuffix = ".tmp";  // WriteFileAtomically's
constexpr size_t kIndexDigits = 20;
constexpr size_t kTermDigits = 10;
constexpr size_t kVoterBytes = 4 + 16;

std::optional<int64_t> ParseDigits(std::string_view digits) {
  int64_t value = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9' || value > (INT64_MAX - 9) / 10) return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<SnapshotName> ParseName(std::string_view name) {
  if (name.size() != kIndexDigits + 1 + kTermDigits + kSuffix.size()) return std::nullopt;
  if (name[kIndexDigits] != '-' || name.substr(name.size() - kSuffix.size()) != kSuffix)
    return std::nullopt;
  const auto index = ParseDigits(name.substr(0, kIndexDigits));
  const auto term = ParseDigits(name.substr(kIndexDigits + 1, kTermDigits));
  if (!index.has_value() || !term.has_value()) return std::nullopt;
  return SnapshotName{LogIndex(*index), Term(*term)};
}

std::string Encode(const raft::Snapshot& snapshot) {
  ByteWriter writer;
  writer.Reserve(snapshot.data->size() + 256);
  writer.PutUint32(kMagic);
  writer.PutInt16(kFormat);
  writer.PutInt64(snapshot.meta.index.value());
  writer.PutInt64(snapshot.meta.term.value());
  const std::string members = raft::EncodeMembership(snapshot.meta.members);
  writer.PutInt32(static_cast<int32_t>(members.size()));
  writer.PutBytes(members);
  writer.PutInt64(static_cast<int64_t>(snapshot.data->size()));
  writer.PutBytes(*snapshot.data);
  writer.PutUint32(Crc32c(writer.view()));
  return writer.Take();
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

std::optional<raft::Snapshot> Decode(std::string_view bytes) {
  if (bytes.size() < 4) return std::nullopt;
  const std::string_view covered = bytes.substr(0, bytes.size() - 4);
  if (LoadBigEndian<uint32_t>(bytes.data() + covered.size()) != Crc32c(covered))
    return std::nullopt;
  ByteReader reader(covered);
  if (reader.ReadUint32() != kMagic) return std::nullopt;
  const int16_t format = reader.ReadInt16();
  if (format != kFormat && format != kFormatOfFixedVoters) return std::nullopt;
  raft::Snapshot snapshot;
  snapshot.meta.index = LogIndex(reader.ReadInt64());
  snapshot.meta.term = Term(reader.ReadInt64());
  std::optional<raft::Membership> members =
      format == kFormat ? ReadMembers(reader) : ReadFixedVoters(reader);
  if (!members.has_value() || !members->IsSound()) return std::nullopt;
  snapshot.meta.members = *std::move(members);
  const int64_t size = reader.ReadInt64();
  if (!reader.ok() || size < 0 || static_cast<size_t>(size) != reader.remaining())
    return std::nullopt;
  snapshot.data = std::make_shared<const std::string>(reader.ReadBytes(static_cast<size_t>(size)));
  return snapshot;
}

}  // namespace

std::string SnapshotFileName(const SnapshotName& name) {
  char text[64];
  std::snprintf(text, sizeof text, "%020lld-%010lld.checkpoint",
                static_cast<long long>(name.index.value()),
                static_cast<long long>(name.term.value()));
  return text;
}

Result<std::vector<SnapshotName>> SnapshotFiles::List() const {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> files, fs_.List(directory_));
  std::vector<SnapshotName> names;
  for (const std::string& file : files) {
    if (const auto name = ParseName(file)) names.push_back(*name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status SnapshotFiles::Write(const raft::Snapshot& snapshot) {
  return WriteFileAtomically(fs_, PathOf({snapshot.meta.index, snapshot.meta.term}),
                             Encode(snapshot));
}

Result<raft::Snapshot> SnapshotFiles::Load(const SnapshotName& name) const {
  SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs_, PathOf(name)));
  std::optional<raft::Snapshot> snapshot = Decode(bytes);
  if (!snapshot.has_value() || snapshot->meta.index != name.index ||
      snapshot->meta.term != name.term) {
    return Status::Corruption(PathOf(name) + ": the checksum over its " +
                              std::to_string(bytes.size()) + " bytes does not hold");
  }
  return *std::move(snapshot);
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
    if (ParseName(std::string_view(file).substr(0, name_size)).has_value())
      SLUICE_RETURN_IF_ERROR(fs_.Remove(directory_ + "/" + file));
  }
  return Status::Ok();
}

Status SnapshotFiles::RemoveOld() {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<SnapshotName> names, List());
  for (size_t i = 0; i + 2 < names.size(); ++i)
    SLUICE_RETURN_IF_ERROR(fs_.Remove(PathOf(names[i])));
  return Status::Ok();
}

}  // namespace sluice::controller
