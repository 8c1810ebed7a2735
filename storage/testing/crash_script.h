#pragma once
// CrashScript: a short random life of one log, of its manager's checkpoints and of a key-value view
// of it, that stops at a chosen change to the disk, or at one that fails; beside it a model of what
// must be there afterwards. A quarter of the scripts compacts and deletes
// (cleanup.policy=compact,delete), the others only delete; half have numbered batches.
//
// Not for concurrency: one operation follows another.
//
// Thread rule: one thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/log_manager.h"
#include "storage/testing/log_fixture.h"
#include "storage/testing/sim_kv.h"

namespace sluice::storage::testing {

struct KeyedRecord {
  int64_t offset = 0;
  std::string key;
  std::optional<std::string> value;
  friend bool operator==(const KeyedRecord&, const KeyedRecord&) = default;
};
std::ostream& operator<<(std::ostream& out, const KeyedRecord& record);

struct ModelBatch {
  SeenBatch seen;
  std::vector<KeyedRecord> records;
};

// What the log must hold, as plainly as it can be said.
struct CrashModel {
  std::vector<ModelBatch> batches;  // in order; those below the start too
  int64_t start = 0;
  int64_t end = 0;
  int64_t synced = 0;           // below it a power cut takes nothing
  int64_t start_kept = 0;       // a checkpoint has it: the log does not end below it any more
  int64_t cleaned_max = 0;      // below it a record may be gone for a newer one of its key,
  int64_t tombstones_from = 0;  // a tombstone below this one also without

  void TruncateTo(int64_t offset);
};

// What a crash may leave of the operation that it fell into.
struct Allowed {
  std::vector<ModelBatch> batches;  // these, or the first of them
  int64_t end_min_after_kill = 0;
  int64_t end_min_after_power_cut = 0;
  int64_t start = 0;  // what lies below was deleted, and may come back in parts
  int64_t start_max = 0;
  int64_t cleaned_max = 0;
  int64_t tombstones_from = 0;
};

using Entries = std::map<std::string, std::string>;

class CrashScript {
 public:
  CrashScript(uint64_t seed, ::sluice::testing::SimFileSystem& fs);
  ~CrashScript();

  // What ends a run early, once the directory is formatted: so many changes, or a call that fails.
  struct Ending {
    int64_t changes = -1;
    std::optional<::sluice::testing::FileFault> fault;
  };
  void Run(const Ending& ending);
  int64_t changes() const { return fs_.changes() - first_change_; }
  const Allowed& allowed() const { return allowed_; }
  bool compacts() const { return compacts_; }

  void Die();
  // The next start, as it follows the crash.
  Status Open(bool host_restarted);
  Log& log() { return *log_; }
  Result<std::vector<ModelBatch>> ReadAll();

  // The view as the crash left it, and up to where. nullopt when there is none.
  std::optional<int64_t> view_applied() const;
  Entries View() const;
  static void Apply(const std::vector<ModelBatch>& batches, int64_t from, int64_t upto,
                    Entries& entries);

 private:
  LogConfig Config() const;
  void Resume();
  Status Step();
  Status CompactingStep();
  // The operation is done: only what is asked of it from now on is left to chance.
  void Settle();
  Status Append();
  Status Flush();
  Status Truncate();
  Status AdvanceStart();
  Status Retain();
  Status Compact();
  Status WriteCheckpoints();
  Status StopAndStart();
  void OpenView();
  Status ApplyToView(int64_t upto);
  Status ForgetView();

  Random random_;
  const bool compacts_;
  const bool numbered_;  // an idempotent producer wrote the records
  ::sluice::testing::SimFileSystem& fs_;
  ::sluice::testing::SimClock clock_;
  SimKvDisk kv_disk_;
  std::unique_ptr<Kv> kv_;
  std::unique_ptr<LogManager> logs_;
  std::shared_ptr<Log> log_;
  CrashModel model_;
  Allowed allowed_;
  uint64_t checked_tail_bytes_ = 0;
  int32_t epoch_ = 0;
  int64_t first_change_ = 0;
};

}  // namespace sluice::storage::testing
