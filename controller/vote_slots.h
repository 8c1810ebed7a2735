#pragma once
// VoteSlots: the file `quorum-state`, where a voter keeps its term, its vote and how far its log is
// known to be synced. Two slots of 512 bytes, each with a version and a checksum
// (docs/formats/raft_log.md); the higher version counts.
//
// Rule: a write goes to the slot that does not hold the newest *synced* version. A write that a
// crash tears, or that never reached the device, therefore leaves the promise that was synced last.
// What was synced is then written to the other slot too, to be durable some time: two good copies.
//
// Thread rule: one owner at a time (the quorum log's IO thread).

#include <memory>
#include <string>

#include "base/file_system.h"
#include "raft/types.h"

namespace sluice::controller {

class VoteSlots {
 public:
  static constexpr size_t kSlotBytes = 512;

  struct State {
    raft::HardState hard_state;
    LogIndex synced_end{0};  // entries below this index were synced
    friend bool operator==(const State&, const State&) = default;
  };

  // Makes the file, durably with its name: whole, or not at all. kAlreadyExists when there is one.
  static Status Create(FileSystem& fs, const std::string& path, const State& state);
  // kNotFound without a file, kCorruption when neither slot can be read. Both slots hold state(),
  // one of them durably, when it returns.
  static Result<std::unique_ptr<VoteSlots>> Open(FileSystem& fs, const std::string& path);

  const State& state() const { return state_; }
  // Durable on return.
  Status WriteSynced(const State& state);
  // A hint, durable some time or never: only `synced_end` may differ from state().
  Status WriteHint(LogIndex synced_end);
  // Makes the last hint durable, if it is not.
  Status SyncHint();

 private:
  VoteSlots(std::shared_ptr<File> file, std::string path)
      : file_(std::move(file)), path_(std::move(path)) {}
  static size_t PositionOf(int slot) { return static_cast<size_t>(slot) * kSlotBytes; }
  Status Load();
  Status MakeDurable();
  Status Write(const State& state);
  Status SyncNewest();

  std::shared_ptr<File> file_;
  const std::string path_;
  State state_;
  uint64_t version_ = 0;
  bool unsynced_ = false;  // the newest version may not be on the device yet
  int synced_slot_ = 0;    // holds the newest version that is surely on the device
};

}  // namespace sluice::controller
