#pragma once
// SpaceReserve: some room that a node keeps for itself on the disk of its metadata log and its
// key-value store, as a file of written blocks. Our own appends end at the hard mark
// (directory_state.h), but others may use the disk too, and a controller that cannot write its log
// has to end. So, when no byte is left, the reserve is given up piece by piece: by whoever must
// write now and finds no room (reserve_file_system.h), and by a start that could not open its
// files. It is made again when there is room.
//
// By pieces, because whoever filled the disk may still be at it: what is given up at once could be
// theirs at once. A piece that goes was cut off the file's end, so the file's size is all there is
// to know, and an operator who removes the file to have room does no harm.
//
//   SpaceReserve reserve({.directory = "/data", .file_system = &fs, .marks = marks});
//   reserve.MakeRoomToStart();                       // before anything in the directory is opened
//   while (written.code() == StatusCode::kDiskFull && reserve.GiveUp(written)) written = Write();
//   reserve.Refill();                                // now and then
//
// When not to use: for writes that can wait until there is room, as appends of records do.
//
// Thread rule: thread-safe. Refill waits for the disk, and GiveUp for it; held_bytes and given_up
// wait for nothing.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

#include "base/file_system.h"
#include "storage/directory_state.h"

namespace sluice::storage {

inline constexpr char kSpaceReserveName[] = "space.reserve";

// One segment of the metadata log: some 50,000 changes of a partition or a topic, and twice what
// the key-value store wants free before it flushes again. A hundredth of a disk of 1.6 GB.
inline constexpr uint64_t kSpaceReserveBytes = 16 << 20;

struct SpaceReserveOptions {
  std::string directory;              // need not exist yet
  FileSystem* file_system = nullptr;  // not owned
  SpaceMarks marks;                   // of the log directories: the reserve leaves their room alone
  uint64_t size_bytes = kSpaceReserveBytes;
};

class SpaceReserve {
 public:
  explicit SpaceReserve(SpaceReserveOptions options);

  // Gives up what a start lacks, as far as there is any.
  void MakeRoomToStart();
  // The next piece, for a write that failed with `why` and will be tried again. False when there is
  // none left.
  bool GiveUp(const Status& why);
  // Makes the reserve whole where that leaves room above the hard mark, and then some.
  void Refill();

  // By the last look at the file.
  uint64_t held_bytes() const { return held_.load(std::memory_order_relaxed); }
  // Pieces were given up, and not made again since.
  bool given_up() const { return given_up_.load(std::memory_order_relaxed); }
  const std::string& directory() const { return options_.directory; }
  const std::string& path() const { return path_; }

 private:
  uint64_t HeldBytes();
  uint64_t PieceBytes() const;
  Status CutTo(uint64_t bytes);
  Status WriteFrom(uint64_t bytes);
  bool HasRoomFor(uint64_t bytes) const;

  const SpaceReserveOptions options_;
  const std::string path_;
  std::atomic<uint64_t> held_{0};
  std::atomic<bool> given_up_{false};
  std::mutex mutex_;            // guards the file and what is below; nothing is taken under it
  bool refill_failed_ = false;  // and told
};

}  // namespace sluice::storage
