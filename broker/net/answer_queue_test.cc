// Which answers another thread writes by itself, and that the order of requests is kept whoever
// writes.

#include "broker/net/answer_queue.h"

#include <glog/logging.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace sluice::broker {
namespace {

using Outcome = SocketWriter::Outcome;
using Sent = AnswerQueue::Sent;

Reply Answer(std::string bytes) {
  OutputChain chain;
  chain.Add(std::move(bytes));
  return Reply::Send(std::move(chain));
}

class AnswerQueueTest : public ::testing::Test {
 protected:
  ~AnswerQueueTest() override {
    for (const int socket : sockets_) close(socket);
  }

  Sent SendNow(uint64_t sequence, Reply reply) { return queue_.SendNow(sequence, reply); }
  std::string Received() {
    char buffer[65536];
    for (ssize_t got; (got = read(sockets_[1], buffer, sizeof buffer)) > 0;)
      received_.append(buffer, static_cast<size_t>(got));
    return std::exchange(received_, "");
  }

  static std::array<int, 2> SocketPair() {
    std::array<int, 2> sockets{};
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets.data()), 0);
    return sockets;
  }

  const std::array<int, 2> sockets_ = SocketPair();
  NetMetrics metrics_;
  std::string received_;
  AnswerQueue queue_{sockets_[0], metrics_};
};

TEST_F(AnswerQueueTest, WhatIsDueAtOnceIsWrittenByWhoeverHasIt) {
  const uint64_t first = queue_.Add(10);
  const uint64_t second = queue_.Add(20);
  EXPECT_EQ(SendNow(first, Answer("first ")), Sent::kWhole);
  EXPECT_EQ(queue_.owed().requests, 1u);
  EXPECT_EQ(queue_.owed().request_bytes, 20u);
  EXPECT_EQ(SendNow(second, Answer("second")), Sent::kWhole);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(Received(), "first second");
  EXPECT_EQ(metrics_.bytes_out, 12u);
}

TEST_F(AnswerQueueTest, WhatHasToWaitIsLeftToTheReactor) {
  const uint64_t first = queue_.Add(10);
  const uint64_t second = queue_.Add(10);
  EXPECT_EQ(SendNow(second, Answer("second")), Sent::kNo);  // it is not its turn
  queue_.Complete(second, Answer("second"));
  EXPECT_EQ(SendNow(first, Answer("first ")), Sent::kNo);  // another is due behind it
  queue_.Complete(first, Answer("first "));
  const uint64_t third = queue_.Add(10);
  EXPECT_EQ(SendNow(third, Answer("third")), Sent::kNo);  // what is before it is not written
  EXPECT_EQ(Received(), "");
  EXPECT_EQ(queue_.Write(), Outcome::kDone);
  EXPECT_EQ(Received(), "first second");
  EXPECT_EQ(SendNow(third, Answer("third")), Sent::kWhole);
  EXPECT_EQ(Received(), "third");
}

TEST_F(AnswerQueueTest, WhatTheReactorHasToSeeIsLeftToIt) {
  const uint64_t sequence = queue_.Add(10);
  queue_.set_attended(true);
  EXPECT_EQ(SendNow(sequence, Answer("a")), Sent::kNo);
  queue_.set_attended(false);
  EXPECT_EQ(SendNow(sequence, Reply::Nothing()), Sent::kNo);
  EXPECT_EQ(SendNow(sequence, Reply::Close("bad")), Sent::kNo);
  EXPECT_EQ(SendNow(sequence, Answer(std::string(AnswerQueue::kSmallBytes + 1, 'b'))), Sent::kNo);
  Reply closing = Answer("a");
  closing.idle_close = {10, 100};
  EXPECT_EQ(SendNow(sequence, std::move(closing)), Sent::kNo);
  EXPECT_EQ(queue_.owed().requests, 1u);
  EXPECT_EQ(SendNow(sequence, Answer("a")), Sent::kWhole);
  EXPECT_EQ(Received(), "a");
}

TEST_F(AnswerQueueTest, TheRestOfWhatASocketDoesNotTakeIsTheReactors) {
  const int size = 1;  // the least that the kernel allows
  ASSERT_EQ(setsockopt(sockets_[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
  const std::string large(AnswerQueue::kSmallBytes, 'c');
  EXPECT_EQ(SendNow(queue_.Add(10), Answer(large)), Sent::kPart);
  EXPECT_EQ(queue_.owed().requests, 0u);
  EXPECT_FALSE(queue_.empty());
  std::string all = Received();
  while (queue_.Write() != Outcome::kDone) all += Received();
  EXPECT_TRUE(all + Received() == large);
}

TEST_F(AnswerQueueTest, AfterTheCloseNothingIsWritten) {
  const uint64_t first = queue_.Add(10);
  const uint64_t second = queue_.Add(10);
  queue_.Complete(second, Answer("second"));
  queue_.Close();
  EXPECT_EQ(SendNow(first, Answer("first")), Sent::kNo);
  queue_.Complete(first, Answer("first"));
  EXPECT_EQ(queue_.Write(), Outcome::kDone);
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(Received(), "");
}

TEST_F(AnswerQueueTest, ARefusalDropsWhatCameAfterIt) {
  const uint64_t first = queue_.Add(10);
  const uint64_t second = queue_.Add(10);
  const uint64_t third = queue_.Add(10);
  EXPECT_FALSE(queue_.Complete(second, Reply::Close("malformed")).refusal.has_value());
  EXPECT_EQ(queue_.Complete(first, Answer("first")).refusal, "malformed");
  EXPECT_EQ(queue_.owed().requests, 0u);
  EXPECT_EQ(queue_.owed().request_bytes, 0u);
  queue_.Complete(third, Answer("third"));
  EXPECT_EQ(queue_.Write(), Outcome::kDone);
  EXPECT_EQ(Received(), "first");
}

// A reactor's thread, which gets what was not sent at once, and another that has all answers: each
// request is answered once, in its turn.
TEST_F(AnswerQueueTest, TwoThreadsKeepTheOrder) {
  constexpr uint32_t kRequests = 20000;
  std::mutex mutex;
  std::deque<std::pair<uint64_t, uint32_t>> asked;  // sequence, number
  std::deque<std::pair<uint64_t, Reply>> mail;
  std::atomic<uint32_t> sent_now = 0;
  std::thread other([&] {
    for (uint32_t answered = 0; answered < kRequests;) {
      std::unique_lock lock(mutex);
      if (asked.empty()) {
        lock.unlock();
        std::this_thread::yield();
        continue;
      }
      const auto [sequence, number] = asked.front();
      asked.pop_front();
      lock.unlock();
      Reply reply = Answer(std::string(reinterpret_cast<const char*>(&number), sizeof number));
      const Sent sent = queue_.SendNow(sequence, reply);
      sent_now += sent != Sent::kNo;
      ++answered;
      lock.lock();
      if (sent == Sent::kNo) mail.emplace_back(sequence, std::move(reply));
    }
  });
  std::string all;
  for (uint32_t number = 0; all.size() < kRequests * sizeof number;) {
    if (number < kRequests && queue_.owed().requests < 8) {
      const uint64_t sequence = queue_.Add(1);
      std::lock_guard lock(mutex);
      asked.emplace_back(sequence, number++);
    }
    std::deque<std::pair<uint64_t, Reply>> taken;
    {
      std::lock_guard lock(mutex);
      taken.swap(mail);
    }
    for (auto& [sequence, reply] : taken) queue_.Complete(sequence, std::move(reply));
    queue_.Write();
    all += Received();
  }
  other.join();
  for (uint32_t number = 0; number < kRequests; ++number) {
    uint32_t received = 0;
    std::memcpy(&received, all.data() + number * sizeof number, sizeof number);
    ASSERT_EQ(received, number);
  }
  EXPECT_GT(sent_now, 0u);
}

}  // namespace
}  // namespace sluice::broker
