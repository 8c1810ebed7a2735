#include "storage/compaction/compactor.h"

#include <gtest/gtest.h>

#include <map>

#include "base/testing/sim_event_loop.h"
#include "storage/compaction/io_budget.h"
#include "storage/file_names.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::sluice::testing::SimEventLoop;
using ::sluice::testing::SimFileSystem;
using ::sluice::testing::SimScheduler;

// A log that stands for a partition.
class Target final : public CompactionTarget {
 public:
  Target(SimFileSystem& fs, const Clock& clock, const std::string& topic)
      : name_{topic, PartitionIndex(0)}, directory_("/data/" + name_.ToString()) {
    LogOptions options;
    options.directory = directory_;
    options.config.segment_bytes = 600;
    options.config.cleanup_compact = true;
    options.file_system = &fs;
    options.clock = &clock;
    log_ = *Log::Open(std::move(options));
  }

  const TopicPartition& name() const override { return name_; }
  bool WantsCompaction() const override { return wanted; }
  std::optional<CompactionSurvey> SurveyCompaction(std::optional<Offset> cleaned_upto) override {
    if (!wanted) return std::nullopt;
    return log_->SurveyCompaction(cleaned_upto, log_->log_end_offset());
  }
  Result<CompactionPlan> PlanCompaction(std::optional<Offset> cleaned_upto) override {
    ++plans;
    return log_->PlanCompaction(cleaned_upto, log_->log_end_offset());
  }
  Status CommitCompaction(const CleanedSegment& cleaned) override {
    ++commits;
    return log_->CommitCompaction(cleaned);
  }

  void Fill(int records, int keys) {
    for (int i = 0; i < records; ++i) {
      kafka::RecordBatchBuilder builder({});
      builder.Append({.timestamp_ms = 1, .key = "k" + std::to_string(i % keys), .value = "v"});
      ASSERT_TRUE(log_->AppendAsLeader(*builder.Build(), LeaderEpoch(0)).ok());
    }
    const FlushTarget target = log_->PrepareFlush();
    log_->OnFlushed(target.upto, target.Run());
  }
  Log& log() { return *log_; }
  const std::string& directory() const { return directory_; }

  bool wanted = true;
  int plans = 0;
  int commits = 0;

 private:
  const TopicPartition name_;
  const std::string directory_;
  std::unique_ptr<Log> log_;
};

class CompactorTest : public ::testing::Test {
 protected:
  CompactorTest() { CHECK(fs_.CreateDirectories("/data").ok()); }

  std::shared_ptr<Target> Add(const std::string& topic, int records, int keys) {
    auto target = std::make_shared<Target>(fs_, scheduler_.clock(), topic);
    target->Fill(records, keys);
    targets_.push_back(target);
    return target;
  }
  CompactorOptions Options() {
    CompactorOptions options;
    options.loops = {&loop_};
    options.file_system = &fs_;
    options.targets = [this] {
      return std::vector<std::shared_ptr<CompactionTarget>>(targets_.begin(), targets_.end());
    };
    options.cleaned_upto = [this](const TopicPartition& name) -> std::optional<Offset> {
      const auto found = cleaned_.find(name);
      return found == cleaned_.end() ? std::nullopt : std::optional(found->second);
    };
    options.set_cleaned_upto = [this](const TopicPartition& name, Offset offset) {
      order_.push_back(name.topic);
      cleaned_[name] = offset;
      return Status::Ok();
    };
    options.backoff_ms = 15000;
    return options;
  }

  SimScheduler scheduler_;
  SimEventLoop loop_{scheduler_};
  SimFileSystem fs_;
  std::vector<std::shared_ptr<Target>> targets_;
  std::map<TopicPartition, Offset> cleaned_;
  std::vector<std::string> order_;
};

TEST_F(CompactorTest, TakesTheDirtiestThatIsDueAndThenTheNext) {
  const auto half = Add("half", 60, 3);
  const auto all = Add("all", 60, 3);
  const auto clean = Add("clean", 60, 3);
  cleaned_[half->name()] = Offset(20);
  cleaned_[clean->name()] = Offset(50);
  const auto compactor = Compactor::Start(Options());
  scheduler_.RunForMs(1000);
  EXPECT_EQ(order_, (std::vector<std::string>{"all", "half"}));
  EXPECT_EQ(clean->plans, 0);
  const CompactorStats stats = compactor->stats();
  EXPECT_EQ(stats.runs, 2u);
  EXPECT_GT(stats.bytes_removed, 0u);
  EXPECT_GT(stats.bytes_read, stats.bytes_written);
  EXPECT_LT(stats.dirty_ratio_max, 0.5);
}

TEST_F(CompactorTest, LooksAgainAfterItsBackoff) {
  const auto compactor = Compactor::Start(Options());
  scheduler_.RunForMs(1);
  const auto late = Add("late", 60, 3);
  scheduler_.RunForMs(14000);
  EXPECT_EQ(late->plans, 0);
  scheduler_.RunForMs(2000);
  EXPECT_EQ(order_, std::vector<std::string>{"late"});
}

TEST_F(CompactorTest, IsThrottled) {
  Add("slow", 600, 3);
  CompactorOptions options = Options();
  const double bytes = static_cast<double>(targets_[0]->log().size_bytes());
  options.io_bytes_per_second_max = bytes / 10;  // read twice: above 20 s
  const auto compactor = Compactor::Start(std::move(options));
  scheduler_.RunForMs(19000);
  EXPECT_TRUE(order_.empty());
  scheduler_.RunForMs(30000);
  EXPECT_EQ(order_.size(), 1u);
}

TEST_F(CompactorTest, SetsADamagedLogAsideAndGoesOn) {
  const auto bad = Add("bad", 60, 3);
  Add("good", 40, 3);
  const std::string path = bad->directory() + "/00000000000000000000.log";
  fs_.FlipBit(path, 65, 1);
  const auto compactor = Compactor::Start(Options());
  scheduler_.RunForMs(100'000);
  EXPECT_EQ(order_, std::vector<std::string>{"good"});
  EXPECT_EQ(bad->plans, 1);
  EXPECT_EQ(compactor->stats().uncleanable_partitions, 1u);
  const Status why = compactor->Uncleanable(bad->name());
  EXPECT_EQ(why.code(), StatusCode::kCorruption);
  EXPECT_NE(why.message().find(path), std::string::npos);
  EXPECT_NE(why.message().find("position 0"), std::string::npos) << why.message();
  // A log of that name that is made anew is another one.
  targets_.erase(targets_.begin());
  ASSERT_TRUE(fs_.RemoveAll(bad->directory()).ok());
  Add("bad", 60, 3);
  scheduler_.RunForMs(100'000);
  EXPECT_EQ(order_, (std::vector<std::string>{"good", "bad"}));
}

TEST_F(CompactorTest, ATruncationEndsARunAndItBeginsAgain) {
  const auto target = Add("cut", 600, 3);
  CompactorOptions options = Options();
  options.io_bytes_per_second_max = static_cast<double>(target->log().size_bytes());
  const auto compactor = Compactor::Start(std::move(options));
  scheduler_.RunForMs(1500);
  ASSERT_EQ(target->plans, 1);
  ASSERT_TRUE(target->log().TruncateTo(Offset(500)).ok());
  target->Fill(10, 3);
  scheduler_.RunForMs(5000);
  EXPECT_TRUE(order_.empty());
  EXPECT_EQ(compactor->stats().uncleanable_partitions, 0u);
  scheduler_.RunForMs(60'000);
  EXPECT_EQ(order_, std::vector<std::string>{"cut"});
}

TEST_F(CompactorTest, ADeletedTopicEndsItsRun) {
  const auto target = Add("deleted", 600, 3);
  CompactorOptions options = Options();
  options.io_bytes_per_second_max = static_cast<double>(target->log().size_bytes());
  const auto compactor = Compactor::Start(std::move(options));
  scheduler_.RunForMs(1500);
  ASSERT_EQ(target->plans, 1);
  target->wanted = false;
  const int commits = target->commits;
  scheduler_.RunForMs(60'000);
  EXPECT_EQ(target->commits, commits);
  EXPECT_TRUE(order_.empty());
  EXPECT_EQ(compactor->stats().uncleanable_partitions, 0u);
}

TEST_F(CompactorTest, StopsBetweenTwoSteps) {
  const auto target = Add("much", 600, 3);
  CompactorOptions options = Options();
  options.io_bytes_per_second_max = static_cast<double>(target->log().size_bytes());
  const auto compactor = Compactor::Start(std::move(options));
  scheduler_.RunForMs(1500);
  ASSERT_EQ(target->plans, 1);
  const int commits = target->commits;
  compactor->Stop();
  scheduler_.RunForMs(60'000);
  EXPECT_EQ(target->commits, commits);
  EXPECT_TRUE(order_.empty());
  const auto names = fs_.List(target->directory());
  for (const std::string& name : *names) EXPECT_FALSE(name.ends_with(kCleanedSuffix)) << name;
}

TEST_F(CompactorTest, AFullDiskIsTriedAgain) {
  const auto target = Add("full", 60, 3);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kWrite,
                   .path_part = ".cleaned",
                   .status = Status::DiskFull("no room")});
  const auto compactor = Compactor::Start(Options());
  scheduler_.RunForMs(1000);
  EXPECT_TRUE(order_.empty());
  EXPECT_EQ(compactor->stats().uncleanable_partitions, 0u);
  scheduler_.RunForMs(20'000);
  EXPECT_EQ(order_, std::vector<std::string>{"full"});
}

TEST_F(CompactorTest, AFailedSyncOfTheNamesIsTold) {
  const auto target = Add("names", 60, 3);
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kSyncDirectory,
                   .path_part = target->directory(),
                   .status = Status::DiskFull("no room"),
                   .skip = 1});
  CompactorOptions options = Options();
  std::vector<std::pair<std::string, StatusCode>> told;
  options.sync_failed = [&](const TopicPartition& name, const Status& why) {
    told.emplace_back(name.topic, why.code());
  };
  const auto compactor = Compactor::Start(std::move(options));
  scheduler_.RunForMs(1000);
  EXPECT_EQ(told, (std::vector{std::pair(std::string("names"), StatusCode::kIoError)}));
  EXPECT_TRUE(order_.empty());
}

TEST(IoBudget, DelaysBySizeAndSavesNothingUp) {
  IoBudget budget(1000);
  EXPECT_EQ(budget.Spend(500, 0), 500);
  EXPECT_EQ(budget.Spend(500, 0), 1000);
  EXPECT_EQ(budget.Spend(500, 10'000'000), 500);
  IoBudget unlimited(1.7976931348623157e308);
  EXPECT_EQ(unlimited.Spend(1u << 30, 0), 0);
}

}  // namespace
}  // namespace sluice::storage
