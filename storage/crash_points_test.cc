// Every crash point of short random scripts: the process stops at each change that it makes to the
// disk, the rest of the script never happens, and then either the machine lives on (SIGKILL) or the
// power is cut. What the next start finds must be what was acknowledged, and go on working.
// SLUICE_CRASH_POINTS sets how many are tried; a failure names its seed and its change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/testing/sim_clock.h"
#include "base/testing/sim_file_system.h"
#include "storage/log_manager.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using testing::BatchesIn;
using testing::BatchSpec;
using testing::BytesOf;
using testing::MakeBatch;
using testing::SeenBatch;

constexpr char kDirectory[] = "/data";
#if defined(__SANITIZE_ADDRESS__)
constexpr int kCrashPoints = 2000;  // each takes ten times as long
#else
constexpr int kCrashPoints = 20000;
#endif
constexpr int kStepsPerScript = 14;
constexpr int64_t kForEver = -1;

// What the log must hold, as plainly as it can be said.
struct Model {
  std::vector<SeenBatch> batches;  // in order; those below the start too
  int64_t start = 0;
  int64_t end = 0;
  int64_t synced = 0;  // below it a power cut takes nothing

  void TruncateTo(int64_t offset) {
    std::erase_if(batches, [&](const SeenBatch& batch) {
      if (batch.last < offset) return false;
      offset = std::min(offset, batch.base);
      return true;
    });
    end = std::max(offset, start);
    synced = end;
  }
};

// What a crash may leave of the operation that it fell into.
struct Allowed {
  std::vector<SeenBatch> batches;  // these, or the first of them
  int64_t end_min_after_kill = 0;
  int64_t end_min_after_power_cut = 0;
  int64_t start_max = 0;
};

class Script {
 public:
  Script(uint64_t seed, ::sluice::testing::SimFileSystem& fs) : random_(seed), fs_(fs) {}

  // Runs until its end or until the process stops; the first change that counts comes after the
  // directory is formatted.
  void Run(int64_t changes) {
    CHECK(
        LogManager::Format(fs_, kDirectory, {"cluster", NodeId(1), Uuid::Generate(random_)}).ok());
    CHECK(fs_.SyncFileSystem("/").ok());
    checked_tail_bytes_ = random_.Below(3) * 100;
    first_change_ = fs_.changes();
    fs_.StopAfter(changes);
    if (!Open(false).ok()) return;
    for (int i = 0; i < kStepsPerScript; ++i) {
      if (!Step().ok()) return;
      Settle();
    }
  }
  int64_t changes() const { return fs_.changes() - first_change_; }
  const Allowed& allowed() const { return allowed_; }

  // The next start, as it follows the crash.
  Status Open(bool host_restarted) {
    log_.reset();
    logs_.reset();
    LogManagerOptions options;
    options.directory = kDirectory;
    options.file_system = &fs_;
    options.clock = &clock_;
    options.config = Config();
    options.recovery_threads = 1;
    options.host_restarted = host_restarted;
    options.open_files_max = 2;
    options.checked_tail_bytes = checked_tail_bytes_;
    options.run_later = [](const std::function<void()>& task) { task(); };
    SLUICE_ASSIGN_OR_RETURN(logs_, LogManager::Open(std::move(options)));
    SLUICE_ASSIGN_OR_RETURN(log_, logs_->GetOrCreate(kName, topic_id_, Config()));
    return Status::Ok();
  }
  void Die() {
    log_.reset();
    logs_.reset();
  }
  Log& log() { return *log_; }

  std::vector<SeenBatch> ReadAll() {
    std::vector<SeenBatch> all;
    for (Offset from = log_->log_start_offset();;) {
      auto read = log_->Read(from, 1 << 20, Offset(INT64_MAX), true);
      CHECK(read.ok()) << read.status().ToString();
      const auto batches = BatchesIn(BytesOf(*read));
      if (batches.empty()) return all;
      all.insert(all.end(), batches.begin(), batches.end());
      from = Offset(batches.back().last + 1);
    }
  }
  Status Append() {
    BatchSpec spec;
    spec.records = static_cast<int>(random_.Between(1, 4));
    spec.value_bytes = random_.Below(120);
    spec.leader_epoch = epoch_;
    spec.base_offset = model_.end;
    const std::string bytes = MakeBatch(spec);
    const SeenBatch batch{model_.end, model_.end + spec.records - 1, epoch_, bytes.size()};
    allowed_.batches.push_back(batch);
    if (random_.Chance(1, 3)) {
      SLUICE_RETURN_IF_ERROR(log_->AppendAsFollower(bytes, LeaderEpoch(epoch_)));
    } else {
      SLUICE_RETURN_IF_ERROR(log_->AppendAsLeader(bytes, LeaderEpoch(epoch_)).status());
    }
    model_.batches.push_back(batch);
    model_.end = batch.last + 1;
    return Status::Ok();
  }

 private:
  static inline const TopicPartition kName{"orders", PartitionIndex(0)};

  static LogConfig Config() {
    LogConfig config;
    config.segment_bytes = 600;
    config.index_interval_bytes = 150;
    config.retention_ms = kForEver;
    config.retention_bytes = 1200;
    return config;
  }

  Status Step() {
    const uint64_t dice = random_.Below(100);
    if (dice < 50) return Append();
    if (dice < 68) return Flush();
    if (dice < 76) return Truncate();
    if (dice < 82) return AdvanceStart();
    if (dice < 88) return Retain();
    if (dice < 95) return logs_->WriteCheckpoints({{kName, Offset(model_.synced)}});
    return StopAndStart();
  }

  // The operation is done: only what is asked of it from now on is left to chance.
  void Settle() { allowed_ = {model_.batches, model_.end, model_.synced, model_.start}; }

  Status Flush() {
    const FlushTarget target = log_->PrepareFlush();
    const Status outcome = target.Run();
    log_->OnFlushed(target.upto, outcome);
    SLUICE_RETURN_IF_ERROR(outcome);
    model_.synced = model_.end;
    return outcome;
  }

  Status Truncate() {
    const int64_t offset = random_.Between(model_.start, model_.end);
    Model after = model_;
    after.TruncateTo(offset);
    // One that takes everything begins with nothing.
    const int64_t end_min = after.end == after.start ? 0 : after.end;
    allowed_.end_min_after_kill = std::min(allowed_.end_min_after_kill, end_min);
    allowed_.end_min_after_power_cut = std::min(allowed_.end_min_after_power_cut, end_min);
    const bool cuts = offset < model_.end;
    SLUICE_RETURN_IF_ERROR(log_->TruncateTo(Offset(offset)));
    if (cuts) model_ = std::move(after);
    ++epoch_;
    return Status::Ok();
  }

  // Not past what is synced, as where the high watermark counts durable offsets: the end of a log
  // whose records all were deleted unsynced may come back lower.
  Status AdvanceStart() {
    const int64_t offset = random_.Between(model_.start, std::max(model_.start, model_.synced));
    allowed_.start_max = offset;
    SLUICE_RETURN_IF_ERROR(log_->AdvanceLogStart(Offset(offset)));
    model_.start = offset;
    return Status::Ok();
  }

  Status Retain() {
    allowed_.start_max = model_.end;
    SLUICE_RETURN_IF_ERROR(log_->ApplyRetention(Offset(model_.synced)).status());
    model_.start = log_->log_start_offset().value();
    return Status::Ok();
  }

  Status StopAndStart() {
    SLUICE_RETURN_IF_ERROR(logs_->CloseCleanly({{kName, Offset(model_.end)}}, BrokerEpoch(1)));
    model_.synced = model_.end;
    Settle();
    return Open(false);
  }

  Random random_;
  ::sluice::testing::SimFileSystem& fs_;
  ::sluice::testing::SimClock clock_;
  const TopicId topic_id_ = Uuid::FromBytes("0123456789abcdef");
  std::unique_ptr<LogManager> logs_;
  std::shared_ptr<Log> log_;
  Model model_;
  Allowed allowed_;
  int32_t epoch_ = 0;
  int64_t first_change_ = 0;
  uint64_t checked_tail_bytes_ = 0;  // after a kill
};

// Those of `batches` that a log from `start` to `end` shows.
std::vector<SeenBatch> Between(const std::vector<SeenBatch>& batches, int64_t start, int64_t end) {
  std::vector<SeenBatch> shown;
  for (const SeenBatch& batch : batches) {
    if (batch.last >= start && batch.last < end) shown.push_back(batch);
  }
  return shown;
}

// The process stops at change `change` of the script of `seed`.
void CrashAt(uint64_t seed, int64_t change, bool power_cut) {
  ::sluice::testing::SimFileSystem fs;
  Script script(seed, fs);
  script.Run(change);
  script.Die();
  Random random(seed * 1000003 + static_cast<uint64_t>(change));
  if (power_cut)
    fs.Crash(random);
  else
    fs.KillProcess();
  const Status opened = script.Open(power_cut);
  ASSERT_TRUE(opened.ok()) << opened.ToString();
  const Allowed& allowed = script.allowed();
  const int64_t start = script.log().log_start_offset().value();
  const int64_t end = script.log().log_end_offset().value();
  EXPECT_LE(start, std::max(allowed.start_max, end));
  EXPECT_GE(end, power_cut ? allowed.end_min_after_power_cut : allowed.end_min_after_kill);
  ASSERT_EQ(script.ReadAll(), Between(allowed.batches, start, end)) << start << ".." << end;

  // It goes on where it ended.
  const std::string batch = MakeBatch();
  const auto outcome = script.log().AppendAsLeader(batch, LeaderEpoch(1000));
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  EXPECT_EQ(outcome->info.first_offset, Offset(end));
  EXPECT_EQ(script.ReadAll().back().base, end);
}

TEST(CrashPointsTest, EveryStartFindsWhatWasAcknowledged) {
  FLAGS_minloglevel = google::GLOG_FATAL;  // crashes are the subject here
  const char* wanted = std::getenv("SLUICE_CRASH_POINTS");
  const int points_wanted = wanted == nullptr ? kCrashPoints : std::atoi(wanted);
  int points = 0;
  for (uint64_t seed = 1; points < points_wanted; ++seed) {
    ::sluice::testing::SimFileSystem fs;
    Script whole(seed, fs);
    whole.Run(-1);
    const int64_t changes = whole.changes();
    for (int64_t change = 0; change < changes; ++change) {
      for (const bool power_cut : {false, true}) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", change " + std::to_string(change) +
                     (power_cut ? ", power cut" : ", kill"));
        CrashAt(seed, change, power_cut);
        if (::testing::Test::HasFailure()) return;
        ++points;
      }
    }
  }
  RecordProperty("crash_points", points);
}

}  // namespace
}  // namespace sluice::storage
