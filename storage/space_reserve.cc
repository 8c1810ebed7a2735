#include "storage/space_reserve.h"

#include <glog/logging.h>

#include <algorithm>
#include <limits>
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
  CHECK(options_.file_system != nullptr && options_.clock != nullptr);
}

// Without room for the lock's file nobody can hold it, and there may be room once a piece is gone.
Status SpaceReserve::Own() {
  if (lock_ != nullptr) return Status::Ok();
  Result<std::unique_ptr<FileLock>> locked = options_.file_system->Lock(path_ + ".lock");
  if (locked.ok())
    lock_ = *std::move(locked);
  else if (locked.status().code() != StatusCode::kDiskFull)
    return locked.status();
  return Status::Ok();
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
  if (!Own().ok()) return;
  const uint64_t held_before = HeldBytes();
  uint64_t held = held_before;
  const Result<DiskSpace> found = options_.file_system->Space(options_.directory);
  if (!found.ok()) return;
  // Not only once all is open, which may take long.
  if (held < options_.size_bytes && !HasRoomFor(held, *found)) standing_ = ReserveStanding::kNoRoom;
  if (held == 0 || found->free_bytes >= kStartBytes) return;
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
    NoteRefusal(held);
  }
  (void)Own();  // for the lock's file there is room now
  LOG(WARNING) << "the disk of " << options_.directory << " has only " << found->free_bytes
               << " bytes free: " << Text(held_before - held) << " of the reserve in " << path_
               << " are given up for this start, " << Text(held)
               << " are left. It is made again when there is room";
}

// Whoever waited here while a Refill had the room, and failed, finds the room back and nothing in
// reserve: that is no refusal. Each cut lets the calls that began before it be made once more, so
// they end.
bool SpaceReserve::GiveUp(const Status& why, uint64_t cuts_before) {
  const std::lock_guard lock(mutex_);
  if (cuts_ != cuts_before) return true;
  if (!Own().ok()) return false;
  const uint64_t held = HeldBytes();
  if (held == 0) return false;
  const uint64_t left = held - std::min(held, PieceBytes());
  if (const Status cut = CutTo(left); !cut.ok()) {
    LOG(ERROR) << "the reserve cannot be given up: " << cut.message();
    return false;
  }
  given_up_ = true;
  NoteRefusal(left);
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
  } else {
    SLUICE_ASSIGN_OR_RETURN(const auto file, fs.Open(path_, OpenMode::kReadWrite));
    SLUICE_RETURN_IF_ERROR(file->Truncate(bytes));
    held_ = bytes;
    (void)file->Sync();
  }
  ++cuts_;
  return Status::Ok();
}

bool SpaceReserve::HasRoomFor(uint64_t held, const DiskSpace& space) {
  const SpaceMarks::Bytes marks = options_.marks.Of(space.total_bytes);
  // As much as a directory must have that is not to be told of as full again, and the reserve's
  // size once more: what is gained by a little retention is filled again at once.
  const uint64_t some = std::max((marks.soft - marks.hard) / 4, marks.hard / 10);
  wanted_ = 2 * options_.size_bytes - held + marks.hard + some;
  return space.free_bytes >= wanted_;
}

void SpaceReserve::NoteRefusal(uint64_t held) {
  const Result<DiskSpace> space = options_.file_system->Space(options_.directory);
  refusal_ = {.free_bytes = space.ok() ? space->free_bytes : std::numeric_limits<uint64_t>::max(),
              .at_ms = options_.clock->SteadyMs()};
  const bool has_room = space.ok() && HasRoomFor(held, *space);
  standing_ = has_room ? ReserveStanding::kRefused : ReserveStanding::kNoRoom;
}

// Where a write found no room because the disk is full, the room that Refill takes was gained
// since, and is more than this: there it never waits.
bool SpaceReserve::MayTry(uint64_t free_bytes) {
  if (!refusal_) return true;
  const bool gained =
      free_bytes > refusal_->free_bytes && free_bytes - refusal_->free_bytes >= options_.size_bytes;
  if (gained) return true;
  if (options_.clock->SteadyMs() - refusal_->at_ms < wait_ms_) return false;
  wait_ms_ = std::min(2 * wait_ms_, kWaitMsMax);
  return true;
}

void SpaceReserve::NoteWhole() {
  const int64_t now_ms = options_.clock->SteadyMs();
  standing_ = ReserveStanding::kWhole;
  if (!whole_since_ms_) whole_since_ms_ = now_ms;
  // What had refused room does not any more.
  if (now_ms - *whole_since_ms_ >= kWaitMsMax) wait_ms_ = kWaitMsMin;
}

void SpaceReserve::Refill() {
  const std::lock_guard lock(mutex_);
  if (const Status owned = Own(); !owned.ok()) {
    standing_ = ReserveStanding::kRefused;
    LOG_IF(WARNING, !std::exchange(not_owned_, true))
        << "the reserve cannot be used: " << owned.message() << ". It is tried again";
    return;
  }
  not_owned_ = false;
  const uint64_t held = HeldBytes();
  if (held >= options_.size_bytes) return NoteWhole();
  whole_since_ms_.reset();
  const Result<DiskSpace> space = options_.file_system->Space(options_.directory);
  if (!space.ok()) {
    standing_ = ReserveStanding::kUnknown;
    return;
  }
  if (!HasRoomFor(held, *space)) {
    standing_ = ReserveStanding::kNoRoom;
    return;
  }
  if (!MayTry(space->free_bytes)) {
    standing_ = ReserveStanding::kRefused;
    return;
  }
  const Status written = WriteFrom(held);
  if (!written.ok()) {
    (void)CutTo(held);
    NoteRefusal(held);
    LOG_IF(WARNING, !std::exchange(refill_failed_, true))
        << "the reserve cannot be made: " << written.message()
        << ". It is tried again, at least every " << kWaitMsMax / 60'000 << " min";
    return;
  }
  refill_failed_ = false;
  refusal_.reset();
  held_ = options_.size_bytes;
  NoteWhole();
  LOG(INFO) << path_ << " holds " << Text(options_.size_bytes) << " in reserve"
            << (std::exchange(given_up_, false) ? " again" : "")
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
