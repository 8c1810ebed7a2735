// What a connection does with parts of files that are not in memory: it asks for them, and sends
// what was brought in without asking again.

#include "broker/net/socket_writer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/testing/sim_file_system.h"

namespace sluice::broker {
namespace {

using Outcome = SocketWriter::Outcome;
constexpr size_t kMiB = 1u << 20;

class SocketWriterTest : public ::testing::Test {
 protected:
  SocketWriterTest() : file_(*disk_.Open("/log", OpenMode::kCreate)), body_(4 * kMiB, 'b') {
    for (size_t i = 0; i < body_.size(); i += 997) body_[i] = static_cast<char>(i);
    CHECK(file_->WriteAt(0, body_).ok());
    CHECK(file_->Sync().ok());
    disk_.DropCaches();
    disk_.set_on_wait([this](const std::string&) { EXPECT_TRUE(elsewhere_); });
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets_), 0);
  }
  ~SocketWriterTest() override {
    for (const int socket : sockets_) close(socket);
  }

  void Send(FileSlice slice) {
    OutputChain chain;
    chain.Add(std::move(slice));
    writer_.Add(std::move(chain));
  }
  void ReadElsewhere() {
    elsewhere_ = true;
    const FileSlice cold = writer_.cold();
    std::string bytes(cold.size_bytes, '\0');
    const Result<size_t> got = cold.file->ReadAt(cold.offset, bytes.data(), bytes.size());
    elsewhere_ = false;
    ++reads_elsewhere_;
    writer_.BroughtIn(got.status(), nullptr);
  }
  void Receive() {
    char buffer[65536];
    for (ssize_t got; (got = read(sockets_[1], buffer, sizeof buffer)) > 0;)
      received_.append(buffer, static_cast<size_t>(got));
  }
  Outcome SendAll() {
    while (true) {
      const Outcome outcome = writer_.Flush(sockets_[0]);
      Receive();
      if (outcome == Outcome::kDone || outcome == Outcome::kFailed) return outcome;
      if (outcome == Outcome::kCold) ReadElsewhere();
    }
  }

  sluice::testing::SimFileSystem disk_;
  std::shared_ptr<File> file_;
  std::string body_;
  int sockets_[2] = {-1, -1};
  SocketWriter writer_;
  bool elsewhere_ = false;
  int reads_elsewhere_ = 0;
  std::string received_;
};

TEST_F(SocketWriterTest, OldRecordsAreAskedForHalfAMibAtATime) {
  Send({file_, 1000, 3 * kMiB});
  ASSERT_EQ(writer_.Flush(sockets_[0]), Outcome::kCold);
  EXPECT_EQ(writer_.cold().offset, 1000u);
  EXPECT_EQ(writer_.cold().size_bytes, kMiB / 2);
  ReadElsewhere();
  EXPECT_EQ(SendAll(), Outcome::kDone);
  EXPECT_TRUE(received_ == body_.substr(1000, 3 * kMiB));
  EXPECT_EQ(reads_elsewhere_, 6);
}

TEST_F(SocketWriterTest, AHoleInWhatIsInMemoryIsFound) {
  std::string bytes(4 * kMiB, '\0');
  elsewhere_ = true;
  ASSERT_TRUE(file_->ReadAt(0, bytes.data(), bytes.size()).ok());
  elsewhere_ = false;
  file_->WontRead(100 * 4096, 4096);
  Send({file_, 0, 2 * kMiB});
  EXPECT_EQ(SendAll(), Outcome::kDone);
  EXPECT_EQ(reads_elsewhere_, 1);
  EXPECT_TRUE(received_ == body_.substr(0, 2 * kMiB));
}

TEST_F(SocketWriterTest, WhatWasBroughtInIsNotAskedAboutAgain) {
  Send({file_, 0, kMiB / 2});
  ASSERT_EQ(writer_.Flush(sockets_[0]), Outcome::kCold);
  ReadElsewhere();
  const uint64_t asked = disk_.counts().memory_asked;
  EXPECT_EQ(SendAll(), Outcome::kDone);
  EXPECT_EQ(disk_.counts().memory_asked, asked);
}

TEST_F(SocketWriterTest, AnErrorOfTheDiskEndsTheConnection) {
  Send({file_, 0, kMiB});
  disk_.InjectFault({.operation = sluice::testing::FileOperation::kRead, .times = -1});
  EXPECT_EQ(SendAll(), Outcome::kFailed);
  EXPECT_NE(writer_.error().find("injected fault"), std::string::npos);
}

TEST_F(SocketWriterTest, AClientThatIsSlowLosesTheHotTail) {
  std::string bytes(4 * kMiB, '\0');
  elsewhere_ = true;
  ASSERT_TRUE(file_->ReadAt(0, bytes.data(), bytes.size()).ok());
  elsewhere_ = false;
  const auto fill = [&] {
    Send({file_, 0, 4 * kMiB, /*hot=*/true});
    while (writer_.Flush(sockets_[0]) != Outcome::kWouldBlock) continue;
  };
  fill();
  EXPECT_EQ(disk_.counts().memory_asked, 0u);
  writer_.Age();
  writer_.Age();
  disk_.DropCaches();
  EXPECT_EQ(SendAll(), Outcome::kDone);
  EXPECT_GT(reads_elsewhere_, 0);
  EXPECT_TRUE(received_ == body_);
}

}  // namespace
}  // namespace sluice::broker
