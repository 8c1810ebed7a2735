// What is brought in for readers in passing, and what leaves again for it.

#include "broker/cold_reads.h"

#include <gtest/gtest.h>

#include "base/testing/sim_event_loop.h"
#include "base/testing/sim_file_system.h"

namespace sluice::broker {
namespace {

constexpr uint32_t kKiB = 1024;

class ColdReadsTest : public ::testing::Test {
 protected:
  // Of which nothing is in memory.
  std::shared_ptr<File> OldFile(const std::string& path, uint32_t size_bytes) {
    std::shared_ptr<File> file = *fs_.Open(path, OpenMode::kCreate);
    CHECK(file->WriteAt(0, std::string(size_bytes, 'o')).ok());
    CHECK(file->Sync().ok());
    fs_.DropCaches(path);
    return file;
  }
  void Pass(const FileSlice& slice, uint64_t ahead_bytes) {
    bool read = false;
    reads_.BringInPassing(
        slice, ahead_bytes, [] { return true; },
        [&](const Status& status, const ColdReads::Pin&) { read = status.ok(); });
    scheduler_.RunForMs(1);
    EXPECT_TRUE(read);
  }

  ::sluice::testing::SimScheduler scheduler_;
  ::sluice::testing::SimEventLoop loop_{scheduler_};
  ::sluice::testing::SimFileSystem fs_;
  ColdReads reads_{{&loop_}, 1024 * kKiB};
};

TEST_F(ColdReadsTest, WhatIsWrittenBehindAReaderAtTheEndStays) {
  const auto hot = OldFile("/hot", 200 * kKiB);
  Pass({hot, 0, 128 * kKiB}, 512 * kKiB);
  // What the reader was to have next is written meanwhile.
  ASSERT_TRUE(hot->WriteAt(200 * kKiB, std::string(800 * kKiB, 'n')).ok());
  ASSERT_TRUE(hot->Sync().ok());
  const auto old = OldFile("/old", 4096 * kKiB);
  for (uint32_t at = 0; at < 4096; at += 256) Pass({old, at * kKiB, 256 * kKiB}, 0);
  EXPECT_EQ(fs_.BytesInMemory("/old"), 1024u * kKiB);
  EXPECT_FALSE(hot->InMemory(0, 128 * kKiB)) << "it was old";
  EXPECT_TRUE(hot->InMemory(200 * kKiB, 800 * kKiB));
}

TEST_F(ColdReadsTest, WhatNobodyWantsAnyMoreIsNotRead) {
  const auto old = OldFile("/old", 1024 * kKiB);
  bool wanted = true;
  int answers = 0;
  const auto asked = [&] { return wanted; };
  reads_.BringIn({.slice = {old, 0, 4 * kKiB}}, asked, [&](const Status&) { ++answers; });
  reads_.BringInPassing({old, 0, 128 * kKiB}, 512 * kKiB, asked,
                        [&](const Status&, const ColdReads::Pin&) { ++answers; });
  wanted = false;
  scheduler_.RunForMs(1);
  EXPECT_EQ(answers, 0);
  EXPECT_EQ(fs_.BytesInMemory("/old"), 0u);
}

}  // namespace
}  // namespace sluice::broker
