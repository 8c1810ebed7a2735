// A wrong entry in the midst of an index, which loading does not look at: who is misled by it has
// both indexes of the segment built again from the log, away from its guard, and then gets the
// answer of a right index. What the log itself has lost stays lost.

#include <gmock/gmock.h>

#include <functional>

#include "storage/no_waiting.h"
#include "storage/testing/log_fixture.h"

namespace sluice::storage {
namespace {

using ::testing::HasSubstr;
using testing::kLogDirectory;
using testing::MakeBatch;

constexpr int kInSegment = 10;
constexpr int kBatches = 25;  // the newest segment has half of them
constexpr char kSealed[] = "00000000000000000010";
constexpr char kNewest[] = "00000000000000000020";

class MisleadingIndexTest : public testing::LogFixture {
 protected:
  void SetUp() override {
    config_.index_interval_bytes = 0;  // each batch but the first has its entries
    Open();
    batch_bytes_ = MakeBatch(Spec(0)).size();
    config_.segment_bytes = static_cast<int64_t>(kInSegment * batch_bytes_);
    log_->set_config(config_);
    for (int i = 0; i < kBatches; ++i) Append(Spec(i), 1);
    Restart();
  }
  testing::BatchSpec Spec(int i) {
    return {.timestamp_ms = first_ms_ + i * 10, .value_bytes = 100};
  }
  std::string Path(const std::string& name) { return std::string(kLogDirectory) + "/" + name; }
  void Overwrite(const std::string& name, uint64_t position, const std::string& bytes) {
    auto file = fs_.Open(Path(name), OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok() && (*file)->WriteAt(position, bytes).ok());
  }
  // Stops cleanly; `rot` then changes files.
  void Restart(const std::function<void()>& rot = [] {}) {
    ASSERT_TRUE(log_->Close().ok());
    LogOptions options = Options();
    options.recovery_point = log_->log_end_offset();
    options.log_start_offset = log_->log_start_offset();
    options.clean = true;
    log_.reset();
    rot();
    Open(std::move(options));
    log_->set_config(config_);
    clock_.AdvanceMs(60'000);  // nothing is taken for hot
  }
  // As a broker asks: never waiting under the guard, and once more when what lacked was done.
  template <typename Ask>
  auto Answer(Ask ask) -> decltype(ask()) {
    for (int rounds = 0;; ++rounds) {
      Lacking lacking;
      {
        const NoWaiting scope(*log_, &lacking);
        fs_.set_on_wait([](const std::string& path) { ADD_FAILURE() << "waited for " << path; });
        auto answer = ask();
        fs_.set_on_wait(nullptr);
        if (answer.status().code() != StatusCode::kWouldWait || rounds > 30) return answer;
      }
      if (lacking.mending != nullptr) {
        ++mendings_;
        if (meanwhile_) meanwhile_();
        lacking.mending->Run();
        continue;
      }
      std::string bytes(lacking.slice.size_bytes, '\0');
      CHECK(lacking.slice.file->ReadAt(lacking.slice.offset, bytes.data(), bytes.size()).ok());
    }
  }
  Result<int64_t> FirstReadAt(int offset) {
    SLUICE_ASSIGN_OR_RETURN(const ReadResult read, Answer([&] {
                              return log_->Read(Offset(offset), 1, Offset(INT64_MAX), true);
                            }));
    const auto batches = testing::BatchesIn(testing::BytesOf(read));
    return batches.empty() ? -1 : batches.front().base;
  }
  Result<int64_t> FoundAt(int64_t timestamp_ms) {
    SLUICE_ASSIGN_OR_RETURN(const auto found, Answer([&] {
                              return log_->FindTimestamp(timestamp_ms, Offset(INT64_MAX));
                            }));
    return found ? found->offset.value() : -1;
  }
  // Every offset and every time gives what it should.
  void ExpectRight(int batches = kBatches) {
    for (int i = 0; i < batches; ++i) {
      const auto read = FirstReadAt(i);
      ASSERT_TRUE(read.ok()) << i << ": " << read.status().ToString();
      ASSERT_EQ(*read, i);
      const auto found = FoundAt(first_ms_ + i * 10);
      ASSERT_TRUE(found.ok()) << i << ": " << found.status().ToString();
      ASSERT_EQ(*found, i);
    }
  }
  bool AnythingLeftOver() {
    for (const std::string& name : Files()) {
      if (name.ends_with(".tmp")) return true;
    }
    return false;
  }

  const int64_t first_ms_ = clock_.WallMs();
  size_t batch_bytes_ = 0;
  int mendings_ = 0;
  std::function<void()> meanwhile_;
};

TEST_F(MisleadingIndexTest, WhateverByteIsWrongTheAnswersAreRight) {
  int mended = 0;
  for (const auto& [suffix, entry_bytes] : {std::pair{".index", 8}, {".timeindex", 12}}) {
    const std::string name = std::string(kSealed) + suffix;
    const std::string sound = FileBytes(name);
    const int entries = static_cast<int>(sound.size()) / entry_bytes;
    ASSERT_GE(entries, kInSegment - 1);
    for (int at = entry_bytes; at < (entries - 1) * entry_bytes; ++at) {
      for (const char bit : {'\x01', '\x04', '\x40'}) {
        SCOPED_TRACE(name + " at " + std::to_string(at) + " bit " + std::to_string(bit));
        Restart([&, at = at] {
          Overwrite(name, static_cast<uint64_t>(at),
                    std::string(1, static_cast<char>(sound[static_cast<size_t>(at)] ^ bit)));
        });
        fs_.DropCaches();
        mendings_ = 0;
        ExpectRight();
        if (HasFatalFailure()) return;
        EXPECT_LE(mendings_, 1);
        mended += mendings_;
        // One that misled nobody is still wrong.
        if (mendings_ > 0) {
          EXPECT_EQ(FileBytes(name), sound);
        }
        EXPECT_FALSE(AnythingLeftOver());
        Overwrite(name, 0, sound);
      }
    }
  }
  EXPECT_GT(mended, 100);
}

TEST_F(MisleadingIndexTest, WhoIsNotMisledGoesOnMeanwhile) {
  Restart([&] { Overwrite(std::string(kSealed) + ".index", 4 * 8 + 7, "\x7f"); });
  ASSERT_EQ(*FirstReadAt(12), 12);
  EXPECT_EQ(mendings_, 0);
  meanwhile_ = [this] {
    meanwhile_ = nullptr;
    EXPECT_EQ(*FirstReadAt(12), 12);
    EXPECT_EQ(Append(Spec(kBatches), 1), Offset(kBatches));
  };
  EXPECT_EQ(*FirstReadAt(15), 15);
  EXPECT_EQ(mendings_, 1);
  ExpectRight(kBatches + 1);
}

TEST_F(MisleadingIndexTest, TheNewestSegmentIsAppendedToMeanwhile) {
  const std::string index = std::string(kNewest) + ".index";
  Restart([&] { Overwrite(index, 8 + 7, "\x7f"); });
  ASSERT_EQ(Append(Spec(kBatches), 1), Offset(kBatches));
  meanwhile_ = [this] {
    meanwhile_ = nullptr;
    EXPECT_EQ(Append(Spec(kBatches + 1), 1), Offset(kBatches + 1));
  };
  EXPECT_EQ(*FirstReadAt(22), 22);
  EXPECT_EQ(mendings_, 1);
  EXPECT_EQ(Append(Spec(kBatches + 2), 1), Offset(kBatches + 2));
  ASSERT_TRUE(log_->Close().ok());
  const std::string mended = FileBytes(index),
                    times = FileBytes(std::string(kNewest) + ".timeindex");
  EXPECT_EQ(mended.size(), 7u * 8);
  // As a log that begins without indexes makes them.
  LogOptions options = Options();
  options.recovery_point = Offset(kBatches + 3);
  options.clean = true;
  log_.reset();
  ASSERT_TRUE(fs_.Remove(Path(index)).ok());
  Open(std::move(options));
  log_->set_config(config_);
  ASSERT_EQ(*FirstReadAt(22), 22);
  EXPECT_EQ(FileBytes(index), mended);
  EXPECT_EQ(FileBytes(std::string(kNewest) + ".timeindex"), times);
}

TEST_F(MisleadingIndexTest, ASegmentThatWasSealedMeanwhileIsMendedToo) {
  const std::string index = std::string(kNewest) + ".index";
  Restart([&] { Overwrite(index, 8 + 7, "\x7f"); });
  int next = kBatches;
  meanwhile_ = [&] {
    meanwhile_ = nullptr;
    for (; next < kBatches + 8; ++next) Append(Spec(next), 1);
  };
  EXPECT_EQ(*FirstReadAt(22), 22);
  ExpectRight(kBatches + 5);
  Flush();
  Restart();
  mendings_ = 0;
  EXPECT_EQ(*FirstReadAt(22), 22);
  EXPECT_EQ(mendings_, 0);
}

TEST_F(MisleadingIndexTest, HotReadsLeaveItToOthersToo) {
  config_.segment_bytes = 1 << 30;
  log_->set_config(config_);
  int next = kBatches;
  for (; next < kBatches + 600; ++next) Append(Spec(next), 1);  // most entries are written out
  ASSERT_GE(FileSize(std::string(kNewest) + ".index"), 512u * 8);
  Overwrite(std::string(kNewest) + ".index", 100 * 8 + 7, "\x7f");
  {
    Lacking lacking;
    const NoWaiting scope(*log_, &lacking);
    ASSERT_TRUE(log_->Read(Offset(122), 1, Offset(INT64_MAX), true)->slices.front().hot);
  }
  EXPECT_EQ(*FirstReadAt(121), 121);
  EXPECT_EQ(mendings_, 1);
}

TEST_F(MisleadingIndexTest, AnIndexThatIsCutWhileItIsUsedIsMended) {
  const std::string index = std::string(kSealed) + ".index";
  const std::string sound = FileBytes(index);
  ASSERT_EQ(*FirstReadAt(15), 15);
  auto file = fs_.Open(Path(index), OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok() && (*file)->Truncate(3 * 8).ok());
  ExpectRight();
  EXPECT_EQ(mendings_, 1);
  EXPECT_EQ(FileBytes(index), sound);
}

TEST_F(MisleadingIndexTest, TheLogsOwnDamageStaysDamage) {
  const std::string log = std::string(kNewest) + ".log";
  const std::string bytes = FileBytes(log);
  Restart([&] {
    Overwrite(std::string(kNewest) + ".index", 8 + 7, "\x7f");
    Overwrite(log, batch_bytes_ + 80,
              std::string(1, static_cast<char>(bytes[batch_bytes_ + 80] ^ 1)));
  });
  for (int round = 0; round < 2; ++round) {
    const auto read = FirstReadAt(22);
    EXPECT_EQ(read.status().code(), StatusCode::kCorruption);
    EXPECT_THAT(read.status().message(), HasSubstr(Path(log) + ": a batch fails its checksum"));
  }
  EXPECT_EQ(mendings_, 1) << "the same would come of it";
  EXPECT_FALSE(AnythingLeftOver());
  EXPECT_EQ(*FirstReadAt(12), 12);
  EXPECT_EQ(Append(Spec(kBatches), 1), Offset(kBatches));
}

TEST_F(MisleadingIndexTest, ATruncationIsNotMisled) {
  for (const uint64_t entry : {0, 1, 2}) {
    for (const int offset : {21, 22, 23, 24}) {
      SCOPED_TRACE(std::to_string(entry) + ", " + std::to_string(offset));
      Restart([&] { Overwrite(std::string(kNewest) + ".index", entry * 8 + 7, "\x7f"); });
      const Status cut = log_->TruncateTo(Offset(offset));
      ASSERT_TRUE(cut.ok()) << cut.ToString();
      for (int i = offset; i < kBatches; ++i) {
        Append(Spec(i), 1);
      }
      ExpectRight();
    }
  }
}

TEST_F(MisleadingIndexTest, ATruncationAmidTheMendingVoidsIt) {
  Restart([&] { Overwrite(std::string(kNewest) + ".index", 8 + 7, "\x7f"); });
  meanwhile_ = [this] {
    meanwhile_ = nullptr;
    ASSERT_TRUE(log_->TruncateTo(Offset(23)).ok());
    for (int i = 23; i < kBatches; ++i) {
      Append(Spec(i), 2);
    }
  };
  EXPECT_EQ(*FirstReadAt(22), 22);
  ExpectRight();
  EXPECT_FALSE(AnythingLeftOver());
}

}  // namespace
}  // namespace sluice::storage
