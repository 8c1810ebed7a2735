#include "storage/space_reserve.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "base/random.h"

namespace sluice::storage {
namespace {

constexpr uint64_t kPieces = 16;
// For a start's first writes: RocksDB's manifest, the log's next segment and the like take some
// 100 KiB.
constexpr uint64_t kStartBytes = 4 << 20;

std::string Text(uint64_t bytes) {
  constexpr uint64_t kMiB = 1 << 20;
  return bytes % kMiB == 0 ? std::to_string(bytes / kMiB) + " MiB"
                           : std::to_string(bytes >> 10) + " KiB";
}

// No file system keeps less of it than it is long, as one that compresses would of zeros, and one
// that keeps the same bytes once of what several nodes write.
std::string Incompressible(uint64_t size, uint64_t seed) {
  Random random(seed);
  std::string bytes;
  bytes.reserve(size + sizeof(uint64_t));
  while (bytes.size() < size) {
    const uint64_t word = random.Next();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace

SpaceReserve::SpaceReserve(SpaceReserveOptions options)
    : options_(std::move(options)), path_(options_.directory + "/" + kSpaceReserveName) {
  CHECK(options_.file_system != nullptr);
}

uint64_t SpaceReserve::PieceBytes() const {
  return std::max<uint64_t>(options_.size_bytes / kPieces, 1);
}

uint64_t SpaceReserve::HeldBytes() {
  const Result<uint64_t> size = options_.file_system->FileSize(path_);
  held_ = size.ok() ? *size : 0;
  return held_;
}

void SpaceReserve::MakeRoomToStart() {
  const std::lock_guard lock(mutex_);
  const uint64_t held_before = HeldBytes();
  uint64_t held = held_before;
  const Result<DiskSpace> found = options_.file_system->Space(options_.directory);
  if (held == 0 || !found.ok() || found->free_bytes >= kStartBytes) return;
  const uint64_t piece = PieceBytes();
  for (Result<DiskSpace> now = found; held > 0 && now.ok() && now->free_bytes < kStartBytes;
       now = options_.file_system->Space(options_.directory)) {
    const uint64_t lacks = (kStartBytes - now->free_bytes + piece - 1) / piece * piece;
    held -= std::min(held, lacks);
    if (const Status cut = CutTo(held); !cut.ok()) {
      LOG(ERROR) << "the reserve cannot be given up: " << cut.message();
      return;
    }
    given_up_ = true;
  }
  LOG(WARNING) << "the disk of " << options_.directory << " has only " << found->free_bytes
               << " bytes free: " << Text(held_before - held) << " of the reserve in " << path_
               << " are given up for this start, " << Text(held)
               << " are left. It is made again when there is room";
}

bool SpaceReserve::GiveUp(const Status& why) {
  const std::lock_guard lock(mutex_);
  const uint64_t held = HeldBytes();
  if (held == 0) return false;
  const uint64_t left = held - std::min(held, PieceBytes());
  if (const Status cut = CutTo(left); !cut.ok()) {
    LOG(ERROR) << "the reserve cannot be given up: " << cut.message();
    return false;
  }
  given_up_ = true;
  LOG(WARNING) << why.message() << ". The disk of " << options_.directory
               << " is full: " << Text(held - left) << " of the reserve in " << path_
               << " are given up, "
               << (left > 0
                       ? Text(left) +
                             " are left. Give the disk room; no restart is needed as long "
                             "as some is left"
                       : "the last. Give the disk room: the next write of the metadata log that "
                         "finds none ends this node");
  return true;
}

// Synced, for a journal gives the blocks back with its next commit. Where it cannot be they may be
// free all the same: whoever wants them finds out.
Status SpaceReserve::CutTo(uint64_t bytes) {
  FileSystem& fs = *options_.file_system;
  if (bytes == 0) {
    SLUICE_RETURN_IF_ERROR(fs.Remove(path_));
    held_ = 0;
    (void)fs.SyncDirectory(options_.directory);
    return Status::Ok();
  }
  SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(path_, OpenMode::kReadWrite));
  SLUICE_RETURN_IF_ERROR(file->Truncate(bytes));
  held_ = bytes;
  (void)file->Sync();
  return Status::Ok();
}

bool SpaceReserve::HasRoomFor(uint64_t bytes) const {
  const Result<DiskSpace> space = options_.file_system->Space(options_.directory);
  if (!space.ok()) return false;
  const SpaceMarks::Bytes marks = options_.marks.Of(space->total_bytes);
  // As much as a directory must have that is not to be told of as full again, and the reserve's
  // size once more: what is gained by a little retention is filled again at once.
  const uint64_t some = std::max((marks.soft - marks.hard) / 4, marks.hard / 10);
  return space->free_bytes >= bytes + marks.hard + some + options_.size_bytes;
}

void SpaceReserve::Refill() {
  const std::lock_guard lock(mutex_);
  const uint64_t held = HeldBytes();
  if (held >= options_.size_bytes) return;
  if (!HasRoomFor(options_.size_bytes - held)) return;
  const Status written = WriteFrom(held);
  if (!written.ok()) {
    (void)CutTo(held);
    LOG_IF(WARNING, !std::exchange(refill_failed_, true))
        << "the reserve cannot be made: " << written.message() << ". It is tried again";
    return;
  }
  refill_failed_ = false;
  held_ = options_.size_bytes;
  LOG(INFO) << path_ << " holds " << Text(options_.size_bytes) << " in reserve"
            << (given_up_.exchange(false) ? " again" : "")
            << ", for the metadata log and the next start when the disk is full";
}

Status SpaceReserve::WriteFrom(uint64_t bytes) {
  FileSystem& fs = *options_.file_system;
  const uint64_t seed = uint64_t{Crc32c(path_)} << 32;
  SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(path_, OpenMode::kCreate));
  for (uint64_t at = bytes; at < options_.size_bytes; at += PieceBytes()) {
    const uint64_t more = std::min(PieceBytes(), options_.size_bytes - at);
    SLUICE_RETURN_IF_ERROR(file->WriteAt(at, Incompressible(more, seed + at)));
  }
  // Blocks are given to a file when it is written back.
  SLUICE_RETURN_IF_ERROR(file->Sync());
  return fs.SyncDirectory(options_.directory);
}

}  // namespace sluice::storage
