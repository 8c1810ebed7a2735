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
// It belongs to the process that holds its lock, a file beside it: a second start on the directory
// of a node that runs gives nothing of it up.
//
//   SpaceReserve reserve({.directory = "/data", .file_system = &fs, .clock = &clock, ...});
//   reserve.MakeRoomToStart();                       // before anything in the directory is opened
//   Status written = WithReserve(reserve, [&] { return Write(); });
//   reserve.Refill();                                // now and then
//
// When not to use: for writes that can wait until there is room, as appends of records do.
//
// Thread rule: thread-safe. Refill waits for the disk, and GiveUp for it; what is const waits for
// nothing.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>

#include "base/clock.h"
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
  const Clock* clock = nullptr;       // not owned
  SpaceMarks marks;                   // of the log directories: the reserve leaves their room alone
  uint64_t size_bytes = kSpaceReserveBytes;
};

// As the last look found it.
enum class ReserveStanding {
  kUnknown,  // not looked at yet, or it cannot be
  kWhole,
  kNoRoom,   // not whole: the disk has not the room for it
  kRefused,  // not whole: the disk shows room, and refused a write all the same, for a quota say
};

class SpaceReserve {
 public:
  // How long Refill lets the disk be after it was refused room that the disk shows, doubled with
  // each attempt: a quota is not seen in what is free, and what is given up and made again at every
  // look helps nobody. More free room than there was then ends the wait at once.
  static constexpr int64_t kWaitMsMin = 5'000;
  static constexpr int64_t kWaitMsMax = 600'000;

  explicit SpaceReserve(SpaceReserveOptions options);

  // Gives up what a start lacks, as far as there is any.
  void MakeRoomToStart();
  // The next piece, for a write that failed with `why` and is tried again where this is true.
  // `cuts_before`: cuts(), before that write began. Nothing is given up where there were some since
  // (another writer's piece, or a Refill that took the room and gave it back). False: there were
  // none, and nothing is left.
  bool GiveUp(const Status& why, uint64_t cuts_before);
  // How often room was given back to the disk.
  uint64_t cuts() const { return cuts_; }
  // Makes the reserve whole where that leaves room above the hard mark, and then some.
  void Refill();

  // By the last look at the file.
  uint64_t held_bytes() const { return held_.load(std::memory_order_relaxed); }
  ReserveStanding standing() const { return standing_.load(std::memory_order_relaxed); }
  // Where it is not whole: with how much free room it is made again.
  uint64_t wanted_bytes() const { return wanted_.load(std::memory_order_relaxed); }
  const std::string& directory() const { return options_.directory; }
  const std::string& path() const { return path_; }

 private:
  // How much was free when the disk refused room, and when that was.
  struct Refusal {
    uint64_t free_bytes;
    int64_t at_ms;
  };

  Status Own();
  uint64_t HeldBytes();
  uint64_t PieceBytes() const;
  Status CutTo(uint64_t bytes);
  Status WriteFrom(uint64_t bytes);
  bool HasRoomFor(uint64_t held, const DiskSpace& space);
  void NoteRefusal(uint64_t held);
  bool MayTry(uint64_t free_bytes);
  void NoteWhole();

  const SpaceReserveOptions options_;
  const std::string path_;
  std::atomic<uint64_t> held_{0};
  std::atomic<uint64_t> wanted_{0};
  std::atomic<uint64_t> cuts_{0};
  std::atomic<ReserveStanding> standing_{ReserveStanding::kUnknown};
  std::mutex mutex_;  // guards the file and what is below; nothing is taken under it
  std::unique_ptr<FileLock> lock_;
  bool given_up_ = false;       // and not made again since
  bool refill_failed_ = false;  // and told
  bool not_owned_ = false;      // and told
  std::optional<Refusal> refusal_;
  std::optional<int64_t> whole_since_ms_;
  int64_t wait_ms_ = kWaitMsMin;
};

// Makes `call`, which returns a Status or a Result, and makes it again where it found no room and
// the reserve has some to give. Each piece may be taken by others before that.
template <typename Call>
auto WithReserve(SpaceReserve& reserve, Call call) {
  while (true) {
    const uint64_t cuts_before = reserve.cuts();
    auto outcome = call();
    const Status& status = [&outcome]() -> const Status& {
      if constexpr (std::is_same_v<decltype(outcome), Status>)
        return outcome;
      else
        return outcome.status();
    }();
    if (status.code() != StatusCode::kDiskFull) return outcome;
    if (!reserve.GiveUp(status, cuts_before)) {
      return decltype(outcome)(Status::DiskFull(
          status.message() + "; nothing can be given up of the reserve in " + reserve.path()));
    }
  }
}

}  // namespace sluice::storage
