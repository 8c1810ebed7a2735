// Reads of what has left the memory: how few bytes a look-up takes from the disk, and that an
// operation which must not wait does not, yet comes to the same result.

#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"
#include "storage/no_waiting.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using testing::BatchSpec;
using testing::kLogDirectory;

constexpr int64_t kStartMs = 1'700'000'000'000;
constexpr uint64_t kLookUpBytesMax = 64u << 10;

class ColdReadTest : public testing::LogFixture {
 protected:
  // `batches` of one record each, about `step_ms` apart, all of them in the index.
  void Fill(int batches, size_t value_bytes, int64_t step_ms) {
    config_.index_interval_bytes = 0;
    Open();
    Random random(7);
    for (int i = 0; i < batches; ++i) {
      timestamp_ms_ += random.Between(1, 2 * step_ms - 1);
      Append({.timestamp_ms = timestamp_ms_, .value_bytes = value_bytes});
    }
    Flush();
    clock_.AdvanceMs(60'000);  // nothing of it is taken for hot
  }
  // What `look` takes from the disk when nothing is in memory.
  uint64_t BytesFor(const std::function<void()>& look) {
    fs_.DropCaches();
    const uint64_t before = fs_.counts().bytes_from_disk;
    look();
    return fs_.counts().bytes_from_disk - before;
  }
  // The most that one of many look-ups by time takes. Each finds the record that a scan finds.
  uint64_t MostForTimestamps(int look_ups) {
    Random random(8);
    uint64_t most = 0;
    for (int i = 0; i < look_ups; ++i) {
      const int64_t wanted_ms = random.Between(kStartMs, timestamp_ms_);
      std::optional<TimestampOffset> found;
      most = std::max(
          most, BytesFor([&] { found = *log_->FindTimestamp(wanted_ms, Offset(INT64_MAX)); }));
      CHECK(found.has_value() && found->timestamp_ms >= wanted_ms);
      if (found->offset > Offset(0)) {
        const auto before = log_->FindTimestamp(wanted_ms, found->offset);
        CHECK(before.ok() && !before->has_value());
      }
    }
    return most;
  }
  // Asks until nothing is lacking, as a broker does; counts how often something had to be read.
  template <typename Ask>
  int RoundsOf(Ask ask) {
    for (int rounds = 0;; ++rounds) {
      Lacking lacking;
      {
        const NoWaiting scope(*log_, &lacking);
        const Status status = ask();
        if (status.ok()) return rounds;
        CHECK(status.code() == StatusCode::kWouldWait) << status.ToString();
      }
      CHECK(lacking.slice.file != nullptr);
      std::string bytes(lacking.slice.size_bytes, '\0');
      waiting_allowed_ = true;
      CHECK(lacking.slice.file->ReadAt(lacking.slice.offset, bytes.data(), bytes.size()).ok());
      waiting_allowed_ = false;
    }
  }
  void FailOnWaiting() {
    fs_.set_on_wait([this](const std::string& path) {
      EXPECT_TRUE(waiting_allowed_) << "waited for " << path;
    });
  }

  int64_t timestamp_ms_ = kStartMs;
  bool waiting_allowed_ = false;
};

// A segment of 1 GiB has at most 262,144 entries in its offset index, one for each 4 KiB; here that
// many batches are small.
TEST_F(ColdReadTest, ALookUpByTimeInAsManyBatchesAsAGibHasReadsLittle) {
  Fill(262'144, 1, 10);
  const uint64_t most = MostForTimestamps(200);
  EXPECT_LE(most, kLookUpBytesMax - (20u << 10)) << "room for a batch of 16 KiB";
  RecordProperty("most_bytes", static_cast<int>(most));
}

TEST_F(ColdReadTest, ALookUpByTimeReadsOneBatchOfThoseThatItPasses) {
  Fill(4096, 16'000, 10);
  EXPECT_LE(MostForTimestamps(100), 40u << 10);
}

TEST_F(ColdReadTest, ALookUpByTimeAfterACleanStartReadsLittleToo) {
  Fill(4096, 16'000, 10);
  uint64_t most = 0;
  for (int i = 1; i <= 20; ++i) {
    CloseAndReopen();
    const int64_t wanted_ms = kStartMs + (timestamp_ms_ - kStartMs) * i / 21;
    most = std::max(most, BytesFor([&] {
                      ASSERT_TRUE(log_->FindTimestamp(wanted_ms, Offset(INT64_MAX)).ok());
                    }));
  }
  EXPECT_LE(most, kLookUpBytesMax);
}

TEST_F(ColdReadTest, TimesThatGrowByFitsAndStartsAreFoundToo) {
  config_.index_interval_bytes = 0;
  Open();
  for (int i = 0; i < 20'000; ++i) {
    timestamp_ms_ += i < 10'000 ? 1 : i == 10'000 ? int64_t{1} << 40 : 1000;
    Append({.timestamp_ms = timestamp_ms_, .value_bytes = 1});
  }
  Flush();
  Random random(9);
  for (int i = 0; i < 200; ++i) {
    const int64_t wanted_ms = i % 2 == 0 ? kStartMs + random.Between(0, 10'000)
                                         : timestamp_ms_ - random.Between(0, 10'000'000);
    std::optional<TimestampOffset> found;
    const uint64_t bytes =
        BytesFor([&] { found = *log_->FindTimestamp(wanted_ms, Offset(INT64_MAX)); });
    EXPECT_LE(bytes, kLookUpBytesMax) << wanted_ms;
    ASSERT_TRUE(found.has_value());
    const auto before = log_->FindTimestamp(wanted_ms, found->offset);
    EXPECT_TRUE(before.ok() && !before->has_value());
  }
}

TEST_F(ColdReadTest, ALookUpByOffsetReadsLittle) {
  Fill(262'144, 1, 10);
  Random random(10);
  for (int i = 0; i < 200; ++i) {
    const Offset wanted(random.Between(0, 262'143));
    const uint64_t bytes = BytesFor([&] {
      const auto read = log_->Read(wanted, 1000, Offset(INT64_MAX), true);
      ASSERT_TRUE(read.ok());
      EXPECT_FALSE(read->slices.front().hot);
    });
    EXPECT_LE(bytes, 24u << 10) << wanted;
  }
}

TEST_F(ColdReadTest, AReadThatMustNotWaitSaysWhatItLacks) {
  config_.segment_bytes = 1 << 20;
  Fill(40'000, 100, 10);
  const Offset from(1234);
  const std::string expected =
      testing::BytesOf(*log_->Read(from, 100'000, Offset(INT64_MAX), true));
  FailOnWaiting();
  fs_.DropCaches();
  ReadResult result;
  const int rounds = RoundsOf([&]() -> Status {
    SLUICE_ASSIGN_OR_RETURN(result, log_->Read(from, 100'000, Offset(INT64_MAX), true));
    return Status::Ok();
  });
  EXPECT_GT(rounds, 0);
  EXPECT_LE(rounds, 6);
  ASSERT_EQ(result.slices.size(), 1u);
  EXPECT_FALSE(result.slices[0].hot);
  // The records themselves were not looked at.
  EXPECT_FALSE(result.slices[0].file->InMemory(result.slices[0].offset, 100'000));
  waiting_allowed_ = true;
  EXPECT_EQ(testing::BytesOf(result), expected);
}

TEST_F(ColdReadTest, LookUpsByTimeThatMustNotWaitComeToTheSameResult) {
  config_.segment_bytes = 1 << 20;
  Fill(40'000, 100, 10);
  FailOnWaiting();
  for (const int64_t part : {0, 1, 5, 9, 10}) {
    const int64_t wanted_ms = kStartMs + (timestamp_ms_ - kStartMs) * part / 10;
    waiting_allowed_ = true;
    const auto expected = *log_->FindTimestamp(wanted_ms, Offset(INT64_MAX));
    const auto latest = *log_->MaxTimestamp(Offset(INT64_MAX));
    CloseAndReopen();  // most segments are not loaded yet
    waiting_allowed_ = false;
    fs_.DropCaches();
    RoundsOf([&]() -> Status {
      SLUICE_ASSIGN_OR_RETURN(const auto found, log_->FindTimestamp(wanted_ms, Offset(INT64_MAX)));
      EXPECT_EQ(found->offset, expected->offset);
      return Status::Ok();
    });
    fs_.DropCaches();
    RoundsOf([&]() -> Status {
      SLUICE_ASSIGN_OR_RETURN(const auto found, log_->MaxTimestamp(Offset(INT64_MAX)));
      EXPECT_EQ(found->offset, latest->offset);
      return Status::Ok();
    });
    waiting_allowed_ = true;
  }
}

TEST_F(ColdReadTest, TheHotTailIsNotAskedAbout) {
  Open();
  for (int i = 0; i < 100; ++i) Append({.value_bytes = 1000});
  Flush();
  const auto hot_from = [&](Offset from) {
    return log_->Read(from, 100, Offset(INT64_MAX), true)->slices.front().hot;
  };
  EXPECT_TRUE(hot_from(Offset(0)));
  Lacking lacking;
  {
    const NoWaiting scope(*log_, &lacking);
    EXPECT_TRUE(hot_from(Offset(0)));
    EXPECT_TRUE(hot_from(Offset(99)));
  }
  EXPECT_EQ(fs_.counts().memory_asked, 0u);
  clock_.AdvanceMs(1500);
  for (int i = 0; i < 100; ++i) Append({.value_bytes = 1000});
  EXPECT_TRUE(hot_from(Offset(0)));
  EXPECT_TRUE(hot_from(Offset(199)));
  clock_.AdvanceMs(3000);
  Append({.value_bytes = 1000});
  EXPECT_FALSE(hot_from(Offset(0)));
  EXPECT_FALSE(hot_from(Offset(199)));
  EXPECT_TRUE(hot_from(Offset(200)));
  clock_.AdvanceMs(5000);
  EXPECT_FALSE(hot_from(Offset(200)));
}

TEST_F(ColdReadTest, AReadFailsWhenTheDiskDoes) {
  Fill(10'000, 100, 10);
  fs_.DropCaches();
  Lacking lacking;
  {
    const NoWaiting scope(*log_, &lacking);
    EXPECT_EQ(log_->Read(Offset(5000), 100, Offset(INT64_MAX), true).status().code(),
              StatusCode::kWouldWait);
  }
  fs_.InjectFault({.operation = ::sluice::testing::FileOperation::kRead,
                   .status = Status::IoError("EIO"),
                   .times = 1});
  EXPECT_EQ(log_->Read(Offset(5000), 100, Offset(INT64_MAX), true).status().code(),
            StatusCode::kIoError);
  EXPECT_TRUE(log_->Read(Offset(5000), 100, Offset(INT64_MAX), true).ok());
}

}  // namespace
}  // namespace sluice::storage
