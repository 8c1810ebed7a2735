#include "controller/vote_slots.h"

#include <glog/logging.h>

#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "raft/fault.h"

namespace sluice::controller {
namespace {

constexpr uint32_t kMagic = 0x534c5653;  // "SLVS"
constexpr int16_t kFormat = 1;
// While entries are lost: versions that know nothing of that refuse the slot, and do not vote.
constexpr int16_t kFormatOfLost = 2;
constexpr size_t kCrcPosition = VoteSlots::kSlotBytes - 4;

struct Slot {
  uint64_t version = 0;
  VoteSlots::State state;
};

std::string EncodeSlot(const Slot& slot) {
  ByteWriter writer;
  writer.PutUint32(kMagic);
  const raft::LostEntries& lost = slot.state.hard_state.lost;
  writer.PutInt16(lost.any() ? kFormatOfLost : kFormat);
  writer.PutInt64(static_cast<int64_t>(slot.version));
  writer.PutInt64(slot.state.hard_state.term.value());
  writer.PutInt32(slot.state.hard_state.voted_for.value());
  writer.PutInt64(slot.state.synced_end.value());
  writer.PutInt64(lost.upto.value() + 1);
  writer.PutInt64(lost.term.value());
  writer.PutBytes(std::string(kCrcPosition - writer.size(), '\0'));
  writer.PutUint32(Crc32c(writer.view()));
  return writer.Take();
}

std::optional<Slot> DecodeSlot(std::string_view bytes) {
  if (bytes.size() != VoteSlots::kSlotBytes) return std::nullopt;
  const bool whole =
      LoadBigEndian<uint32_t>(bytes.data() + kCrcPosition) == Crc32c(bytes.substr(0, kCrcPosition));
  if (!whole && !FaultPlanted(raft::Fault::kTornSlotWins)) return std::nullopt;
  ByteReader reader(bytes);
  if (reader.ReadUint32() != kMagic) return std::nullopt;
  const int16_t format = reader.ReadInt16();
  if (format != kFormat && format != kFormatOfLost) return std::nullopt;
  Slot slot;
  slot.version = static_cast<uint64_t>(reader.ReadInt64());
  slot.state.hard_state.term = Term(reader.ReadInt64());
  slot.state.hard_state.voted_for = NodeId(reader.ReadInt32());
  slot.state.synced_end = LogIndex(reader.ReadInt64());
  slot.state.hard_state.lost.upto = LogIndex(reader.ReadInt64() - 1);
  slot.state.hard_state.lost.term = Term(reader.ReadInt64());
  return slot;
}

}  // namespace

Status VoteSlots::Create(FileSystem& fs, const std::string& path, const State& state) {
  if (fs.Exists(path)) return Status::AlreadyExists(path + " exists");
  // Both slots from the start: the file never changes its size, so a sync need not touch its
  // metadata.
  return WriteFileAtomically(fs, path, EncodeSlot({1, state}) + EncodeSlot({2, state}));
}

Result<std::unique_ptr<VoteSlots>> VoteSlots::Open(FileSystem& fs, const std::string& path) {
  if (!fs.Exists(path)) return Status::NotFound(path + " does not exist");
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<File> file, fs.Open(path, OpenMode::kReadWrite));
  std::unique_ptr<VoteSlots> slots(new VoteSlots(std::move(file), path));
  SLUICE_RETURN_IF_ERROR(slots->Load());
  SLUICE_RETURN_IF_ERROR(slots->MakeDurable());
  return slots;
}

Status VoteSlots::Load() {
  std::string bytes(2 * kSlotBytes, '\0');
  SLUICE_ASSIGN_OR_RETURN(const size_t size, file_->ReadAt(0, bytes.data(), bytes.size()));
  bytes.resize(size);
  bool found = false, torn = false;
  for (int i = 0; i < 2; ++i) {
    const size_t at = PositionOf(i);
    if (at >= bytes.size()) break;
    const std::optional<Slot> slot = DecodeSlot(std::string_view(bytes).substr(at, kSlotBytes));
    torn = torn || !slot.has_value();
    if (!slot.has_value() || (found && slot->version < version_)) continue;
    found = true;
    version_ = slot->version;
    state_ = slot->state;
    synced_slot_ = i;
  }
  LOG_IF(WARNING, found && torn)
      << path_ << ": one of its two slots has no valid checksum, the other one stands. After a "
      << "power cut that is a write that did not end; else look after this disk";
  if (found) return Status::Ok();
  return Status::Corruption(path_ +
                            ": neither of its two slots has a valid checksum. The votes of this "
                            "node are lost, so it must not "
                            "vote under its old disk id");
}

// The newest slot may be in the page cache only, written by the last process and not synced, and
// after a failed sync it may look clean there. So it is written again, first in its place, while
// what was synced last may lie in the other slot, then over the other.
Status VoteSlots::MakeDurable() {
  SLUICE_RETURN_IF_ERROR(file_->WriteAt(PositionOf(synced_slot_), EncodeSlot({version_, state_})));
  SLUICE_RETURN_IF_ERROR(file_->Sync());
  return WriteSynced(state_);
}

Status VoteSlots::Write(const State& state) {
  SLUICE_RETURN_IF_ERROR(
      file_->WriteAt(PositionOf(1 - synced_slot_), EncodeSlot({version_ + 1, state})));
  ++version_;
  state_ = state;
  unsynced_ = true;
  return Status::Ok();
}

Status VoteSlots::WriteSynced(const State& state) {
  SLUICE_RETURN_IF_ERROR(Write(state));
  SLUICE_RETURN_IF_ERROR(SyncNewest());
  // The other slot is older by one promise: should this one rot, that would be forgotten.
  return Write(state);
}

// The newest version lies in the slot that did not hold the newest synced one.
Status VoteSlots::SyncNewest() {
  SLUICE_RETURN_IF_ERROR(file_->Sync());
  synced_slot_ = 1 - synced_slot_;
  unsynced_ = false;
  return Status::Ok();
}

Status VoteSlots::WriteHint(LogIndex synced_end) {
  if (synced_end == state_.synced_end) return Status::Ok();
  return Write({state_.hard_state, synced_end});
}

Status VoteSlots::SyncHint() { return unsynced_ ? SyncNewest() : Status::Ok(); }

}  // namespace sluice::controller
