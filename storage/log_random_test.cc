// Long random runs of the Log beside its naive twin, with restarts of every kind. A failure prints
// its seed; SLUICE_SEED repeats one.

#include <gmock/gmock.h>

#include <cstdlib>

#include "base/random.h"
#include "storage/compaction/compaction_run.h"
#include "storage/testing/naive_log.h"
#include "storage/testing/run_compaction.h"

namespace sluice::storage {
namespace {

using testing::BatchesIn;
using testing::BatchSpec;
using testing::BytesOf;
using testing::MakeBatch;
using testing::NaiveBatch;
using testing::NaiveLog;
using testing::SeenBatch;

constexpr int kSeeds = 340;  // 100,000 operations
constexpr int kStepsPerSeed = 300;

class LogRandomTest : public testing::LogFixture {
 protected:
  void Begin(uint64_t seed) {
    random_ = Random(seed);
    naive_ = NaiveLog();
    log_.reset();
    CHECK(fs_.RemoveAll(testing::kLogDirectory).ok());
    CHECK(fs_.SyncFileSystem("/").ok());
    epoch_ = 0;
    time_ms_ = 1'700'000'000'000;
    checkpoint_ = Offset(0);
    PickConfig();
    OpenFromCheckpoint(false);
  }

  void PickConfig() {
    config_ = LogConfig();
    config_.segment_bytes = random_.Between(300, 6000);
    config_.index_interval_bytes = static_cast<int32_t>(random_.Between(0, 800));
    config_.index_size_bytes_max = static_cast<int32_t>(random_.Between(60, 600));
    config_.segment_ms = random_.Between(500, 100000);
  }

  LogOptions CheckpointOptions() {
    LogOptions options = Options();
    options.recovery_point = checkpoint_;
    options.log_start_offset = Offset(naive_.start());
    options.lower_recovery_point = [this](Offset offset) {
      checkpoint_ = std::min(checkpoint_, offset);
      return Status::Ok();
    };
    return options;
  }
  void OpenFromCheckpoint(bool clean) {
    LogOptions options = CheckpointOptions();
    options.clean = clean;
    options.host_stayed_up = !clean && random_.Chance(2, 3);
    options.checked_tail_bytes = 0;
    Open(std::move(options));
  }

  BatchSpec AnyBatch() {
    time_ms_ += random_.Between(-5, 30);
    BatchSpec spec;
    spec.records = static_cast<int>(random_.Between(1, 6));
    spec.timestamp_ms = time_ms_;
    spec.timestamp_step_ms = random_.Between(0, 3);
    spec.value_bytes = random_.Below(random_.Chance(1, 20) ? 3000 : 120);
    spec.codec = random_.Chance(1, 5) ? kafka::Codec::kLz4 : kafka::Codec::kNone;
    spec.fill = static_cast<char>('a' + random_.Below(26));
    spec.keys_from = next_key_;
    next_key_ += spec.records;
    return spec;
  }
  NaiveBatch Naive(const BatchSpec& spec, int64_t base, int32_t epoch, uint64_t bytes) {
    return {
        {base, base + spec.records - 1, epoch, bytes}, spec.timestamp_ms, spec.timestamp_step_ms};
  }

  void AppendLeader() {
    const BatchSpec spec = AnyBatch();
    const std::string batch = MakeBatch(spec);
    auto outcome = log_->AppendAsLeader(batch, LeaderEpoch(epoch_));
    ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
    ASSERT_EQ(outcome->info.first_offset.value(), naive_.end());
    naive_.Append(Naive(spec, naive_.end(), epoch_, batch.size()));
  }

  void AppendFollower() {
    std::string bytes;
    std::vector<NaiveBatch> batches;
    int64_t base = naive_.end();
    for (int64_t i = random_.Between(1, 8); i > 0; --i) {
      BatchSpec spec = AnyBatch();
      spec.base_offset = base;
      spec.leader_epoch = epoch_;
      const std::string batch = MakeBatch(spec);
      batches.push_back(Naive(spec, base, epoch_, batch.size()));
      base += spec.records;
      bytes += batch;
      if (random_.Chance(1, 6)) ++epoch_;
    }
    bytes += MakeBatch().substr(0, random_.Below(70));
    ASSERT_TRUE(log_->AppendAsFollower(bytes, LeaderEpoch(epoch_)).ok());
    for (const NaiveBatch& batch : batches) naive_.Append(batch);
  }

  void Truncate() {
    const int64_t offset =
        random_.Between(std::max<int64_t>(naive_.start() - 2, 0), naive_.end() + 2);
    const bool cuts = offset < naive_.end();
    const Status truncated = log_->TruncateTo(Offset(offset));
    ASSERT_TRUE(truncated.ok()) << truncated.ToString();
    naive_.TruncateTo(offset);
    if (cuts) {
      ASSERT_EQ(log_->flushed_offset(), log_->log_end_offset());
    }
    epoch_ = std::max(epoch_, naive_.latest_epoch()) + 1;
  }

  void AdvanceStart() {
    const int64_t offset =
        random_.Between(naive_.start(), std::min(naive_.end(), naive_.start() + 40));
    ASSERT_TRUE(log_->AdvanceLogStart(Offset(offset)).ok());
    naive_.AdvanceStart(offset);
  }

  // What goes is the log's choice: whole segments. That it had to go is known.
  void Retain() {
    const bool by_size = random_.Chance(1, 2);
    const int64_t upto = random_.Between(naive_.start(), naive_.end());
    const int64_t oldest_ms = time_ms_ - random_.Between(0, 3000);
    LogConfig config = config_;
    config.retention_bytes = by_size ? static_cast<int64_t>(random_.Below(20000)) : -1;
    config.retention_ms = by_size ? -1 : 1'000'000;
    log_->set_config(config);
    clock_.AdvanceMs(std::max<int64_t>(oldest_ms + config.retention_ms - clock_.WallMs(), 0));
    const int64_t now_ms = clock_.WallMs();
    const Result<int> deleted = log_->ApplyRetention(Offset(upto));
    log_->set_config(config_);
    ASSERT_TRUE(deleted.ok()) << deleted.status().ToString();
    const int64_t start = log_->log_start_offset().value();
    ASSERT_LE(start, upto);
    if (by_size && start > naive_.start()) {
      ASSERT_GE(log_->size_bytes(), static_cast<uint64_t>(config.retention_bytes));
    }
    for (const NaiveBatch& batch : naive_.batches()) {
      if (by_size || batch.seen.last < naive_.start() || batch.seen.last >= start) continue;
      const int64_t newest_ms =
          batch.timestamp_ms + (batch.seen.last - batch.seen.base) * batch.timestamp_step_ms;
      ASSERT_LT(newest_ms, now_ms - config.retention_ms) << batch.seen;
    }
    naive_.AdvanceStart(start);
  }

  // Each key is there once: segments are put together, and nothing goes.
  void Compact() {
    auto plan = log_->PlanCompaction(std::nullopt, log_->log_end_offset());
    ASSERT_TRUE(plan.ok()) << plan.status().ToString();
    CompactionRun run(*std::move(plan), {.file_system = &fs_, .map_bytes_max = 1 << 20});
    const Status compacted = testing::RunCompaction(run, *log_, fs_, testing::kLogDirectory);
    ASSERT_TRUE(compacted.ok()) << compacted.ToString();
  }

  void Restart() {
    const int kind = static_cast<int>(random_.Below(2));
    if (kind == 0) {
      ASSERT_TRUE(log_->Close().ok());
      checkpoint_ = log_->flushed_offset();
      OpenFromCheckpoint(true);
    } else {
      if (random_.Chance(1, 2)) checkpoint_ = log_->flushed_offset();
      log_.reset();
      fs_.KillProcess();
      OpenFromCheckpoint(false);
      EXPECT_EQ(log_->recovery().truncated_bytes, 0u);
    }
  }

  void Step() {
    const uint64_t dice = random_.Below(100);
    if (dice < 45)
      AppendLeader();
    else if (dice < 60)
      AppendFollower();
    else if (dice < 66)
      Flush();
    else if (dice < 70)
      Truncate();
    else if (dice < 74)
      AdvanceStart();
    else if (dice < 78)
      Restart();
    else if (dice < 80) {
      PickConfig();
      log_->set_config(config_);
    } else if (dice < 82) {
      ASSERT_TRUE(log_->AssignEpochStart(LeaderEpoch(++epoch_), log_->log_end_offset()).ok());
      naive_.AssignEpoch(epoch_, naive_.end());
    } else if (dice < 83) {
      ASSERT_TRUE(log_->TruncateFullyAndStartAt(Offset(naive_.end() + 7)).ok());
      naive_.StartAgainAt(naive_.end() + 7);
    } else if (dice < 85)
      Retain();
    else if (dice < 87)
      Compact();
    else
      CheckReads();
  }

  void CheckReads() {
    const int64_t from = random_.Between(naive_.start(), naive_.end());
    const int64_t upto = random_.Chance(1, 2) ? naive_.end() : random_.Between(from, naive_.end());
    ASSERT_EQ(ReadAll(Offset(from), Offset(upto), random_.Below(3000)), naive_.Read(from, upto))
        << from << ".." << upto;
    const int64_t ms = time_ms_ + random_.Between(-3000, 20);
    auto found = log_->FindTimestamp(ms, Offset(upto));
    ASSERT_TRUE(found.ok()) << found.status().ToString();
    const auto expected = naive_.FindTimestamp(ms, upto);
    ASSERT_EQ(found->has_value(), expected.has_value()) << ms;
    if (expected) {
      ASSERT_EQ((*found)->offset.value(), expected->first);
      ASSERT_EQ((*found)->timestamp_ms, expected->second);
    }
    auto largest = log_->MaxTimestamp(log_->log_end_offset());
    ASSERT_TRUE(largest.ok()) << largest.status().ToString();
    ASSERT_EQ(*largest ? (*largest)->timestamp_ms : -1, naive_.MaxTimestamp(naive_.end()));
    const auto asked = static_cast<int32_t>(random_.Between(0, epoch_ + 1));
    const EpochEndOffset answer = log_->EndOffsetFor(LeaderEpoch(asked));
    ASSERT_EQ(std::pair(answer.epoch.value(), answer.end_offset.value()),
              naive_.EndOffsetFor(asked))
        << "epoch " << asked;
  }

  void CheckInvariants() {
    ASSERT_EQ(log_->log_start_offset().value(), naive_.start());
    ASSERT_EQ(log_->log_end_offset().value(), naive_.end());
    ASSERT_LE(log_->log_start_offset(), log_->flushed_offset());
    ASSERT_LE(log_->flushed_offset(), log_->log_end_offset());
    ASSERT_EQ(log_->latest_epoch().value(), naive_.latest_epoch());
  }

  // The power goes; the log must hold all that was flushed, and exactly a prefix of what was
  // written.
  void Crash() {
    const Offset flushed = log_->flushed_offset();
    if (random_.Chance(1, 2)) checkpoint_ = flushed;
    log_.reset();
    fs_.Crash(random_);
    auto strict = Log::Open(CheckpointOptions());
    if (strict.ok()) {
      log_ = std::move(*strict);
    } else {
      // Pages of the unsynced tail reached the disk in another order: refused unless the owner says
      // that they do not count.
      ASSERT_EQ(strict.status().code(), StatusCode::kCorruption);
      LogOptions options = CheckpointOptions();
      options.cut_unsynced_damage = true;
      Open(std::move(options));
    }
    ASSERT_GE(log_->log_end_offset(), flushed);
    ASSERT_LE(log_->log_end_offset().value(), naive_.end());
    naive_.CutTo(log_->log_end_offset().value());
    ASSERT_EQ(log_->log_start_offset().value(), naive_.start());
    ASSERT_EQ(ReadAll(log_->log_start_offset()), naive_.Read(naive_.start(), naive_.end()));
    for (int i = 0; i < 5; ++i) {
      const int64_t from = random_.Between(naive_.start(), naive_.end());
      ASSERT_EQ(ReadAll(Offset(from), Offset(INT64_MAX), 500), naive_.Read(from, naive_.end()))
          << from;
    }
    // An epoch without records may be forgotten, never one with.
    for (const NaiveBatch& batch : naive_.batches()) {
      if (batch.seen.last < naive_.start()) continue;
      ASSERT_EQ(log_->EndOffsetFor(LeaderEpoch(batch.seen.epoch)).epoch.value(), batch.seen.epoch);
    }
    epoch_ = std::max(epoch_, log_->latest_epoch().value()) + 1;
  }

  Random random_{0};
  NaiveLog naive_;
  int32_t epoch_ = 0;
  int64_t time_ms_ = 0;
  int64_t next_key_ = 0;
  Offset checkpoint_;
};

std::vector<uint64_t> Seeds() {
  if (const char* one = std::getenv("SLUICE_SEED")) return {std::strtoull(one, nullptr, 10)};
  std::vector<uint64_t> seeds;
  for (int i = 1; i <= kSeeds; ++i) seeds.push_back(static_cast<uint64_t>(i));
  return seeds;
}

TEST_F(LogRandomTest, BehavesAsItsNaiveTwin) {
  for (const uint64_t seed : Seeds()) {
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed));
    Begin(seed);
    for (int step = 0; step < kStepsPerSeed && !HasFatalFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      Step();
      if (!HasFatalFailure()) CheckInvariants();
    }
    if (HasFatalFailure()) return;
  }
}

TEST_F(LogRandomTest, APowerCutTakesOnlyWhatWasNotFlushed) {
  for (const uint64_t seed : Seeds()) {
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed));
    Begin(seed);
    Flush();
    for (int round = 0; round < 12 && !HasFatalFailure(); ++round) {
      SCOPED_TRACE("round " + std::to_string(round));
      for (int64_t step = random_.Between(1, 25); step > 0 && !HasFatalFailure(); --step) {
        const uint64_t dice = random_.Below(100);
        if (dice < 60)
          AppendLeader();
        else if (dice < 75)
          AppendFollower();
        else if (dice < 92)
          Flush();
        else if (dice < 96)
          AdvanceStart();
        else
          Truncate();
      }
      if (!HasFatalFailure()) Crash();
    }
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::storage
