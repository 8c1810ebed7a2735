// The server over real loopback sockets: order of replies, file ranges, refusals, limits, and
// stopping; and the peer client against it.

#include "broker/net/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <thread>
#include <utility>

#include "base/bytes.h"
#include "base/testing/sim_file_system.h"
#include "broker/net/peer_client_asio.h"
#include "kafka/messages/response_header.h"
#include "kafka/wire_writer.h"

namespace sluice::broker {
namespace {

// A blocking client socket; every wait has a deadline of some seconds, so that a fault is a failure
// and no hang.
class Client {
 public:
  explicit Client(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval deadline{5, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { Close(); }
  void Close() {
    if (socket_ >= 0) close(std::exchange(socket_, -1));
  }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(sent, 0);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  void SendFrame(const std::string& body) {
    ByteWriter writer;
    writer.PutInt32(static_cast<int32_t>(body.size()));
    writer.PutBytes(body);
    Send(writer.view());
  }
  std::string Receive(size_t size) {
    std::string bytes(size, '\0');
    size_t got = 0;
    while (got < size) {
      const ssize_t n = recv(socket_, bytes.data() + got, size - got, 0);
      if (n <= 0) return "closed after " + std::to_string(got);
      got += static_cast<size_t>(n);
    }
    return bytes;
  }
  std::string ReceiveFrame() {
    const std::string prefix = Receive(4);
    if (prefix.size() != 4) return prefix;
    return Receive(static_cast<size_t>(LoadBigEndian<int32_t>(prefix.data())));
  }
  // As the server knows it.
  std::string address() const {
    sockaddr_in own{};
    socklen_t size = sizeof own;
    EXPECT_EQ(getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size), 0);
    return "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
  }
  // True when the server closes without another byte.
  bool Closed() {
    char byte;
    return recv(socket_, &byte, 1, 0) <= 0;
  }

 private:
  int socket_;
};

// Keeps requests until the test answers them.
class Sink {
 public:
  bool operator()(SharedBytes frame, const std::shared_ptr<ConnectionInfo>& connection,
                  ReplyCallback reply) {
    if (park) {
      parked.push_back(std::make_shared<Parked>(reply));
      connection->parked.Add(parked.back());
      return false;
    }
    std::lock_guard lock(mutex_);
    waiting_.push_back({std::string(frame.bytes), std::move(reply)});
    came_.notify_all();
    return exclusive;
  }
  struct Request {
    std::string body;
    ReplyCallback reply;
  };
  Request Take() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        came_.wait_for(lock, std::chrono::seconds(5), [this] { return !waiting_.empty(); }));
    if (waiting_.empty()) return {"", [](Reply) {}};
    Request request = std::move(waiting_.front());
    waiting_.pop_front();
    return request;
  }
  size_t waiting() {
    std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  // A request that is answered when its client goes.
  class Parked final : public ParkedRequest {
   public:
    explicit Parked(ReplyCallback reply) : reply_(std::move(reply)) {}
    void Abandon() override {
      if (finished_.exchange(true)) return;
      reply_(Reply::Nothing());
      ++ended;
    }
    bool finished() const override { return finished_; }
    static inline std::atomic<int> ended = 0;

   private:
    ReplyCallback reply_;
    std::atomic<bool> finished_ = false;
  };
  bool exclusive = false;
  bool park = false;
  std::vector<std::shared_ptr<Parked>> parked;  // one connection's reactor only

 private:
  std::mutex mutex_;  // guards all below
  std::condition_variable came_;
  std::deque<Request> waiting_;
};

Reply Framed(const std::string& body) {
  ByteWriter writer;
  writer.PutInt32(static_cast<int32_t>(body.size()));
  writer.PutBytes(body);
  OutputChain chain;
  chain.Add(writer.Take());
  return Reply::Send(std::move(chain));
}

class ServerTest : public ::testing::Test {
 protected:
  void Start(const std::function<void(ServerOptions&)>& edit = nullptr) {
    ServerOptions options;
    options.listeners = {{"PLAINTEXT", "127.0.0.1", 0}};
    options.clock = &clock_;
    options.cold_reads = &cold_reads_;
    options.metrics = &metrics_;
    options.reactors = 2;
    if (!options.sink) {
      options.sink = [this](SharedBytes frame, const auto& connection, ReplyCallback reply) {
        return sink_(std::move(frame), connection, std::move(reply));
      };
    }
    if (edit) edit(options);
    auto started = Server::Start(std::move(options));
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server_ = *std::move(started);
    port_ = server_->port("PLAINTEXT");
  }

  // The reactors have threads of their own: looks again and again, up to some seconds.
  bool Eventually(const std::function<bool()>& done) {
    const int64_t deadline_ms = clock_.SteadyMs() + 5000;
    while (!done()) {
      if (clock_.SteadyMs() > deadline_ms) return false;
      std::this_thread::yield();
    }
    return true;
  }

  SystemClock clock_;
  NetMetrics metrics_;
  ThreadEventLoop cold_loop_{"cold", clock_};
  ColdReads cold_reads_{{&cold_loop_}};
  Sink sink_;
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

TEST_F(ServerTest, RepliesLeaveInTheOrderOfRequests) {
  Start();
  Client client(port_);
  for (const char* body : {"request1", "request2", "request3"}) client.SendFrame(body);
  Sink::Request first = sink_.Take();
  Sink::Request second = sink_.Take();
  Sink::Request third = sink_.Take();
  third.reply(Framed("three"));
  second.reply(Framed("two"));
  first.reply(Framed("one"));
  EXPECT_EQ(client.ReceiveFrame(), "one");
  EXPECT_EQ(client.ReceiveFrame(), "two");
  EXPECT_EQ(client.ReceiveFrame(), "three");
}

TEST_F(ServerTest, AnExclusiveRequestHoldsBackTheNext) {
  sink_.exclusive = true;
  Start();
  Client client(port_);
  client.SendFrame("request1");
  client.SendFrame("request2");
  Sink::Request first = sink_.Take();
  EXPECT_EQ(sink_.waiting(), 0u);
  first.reply(Framed("one"));
  EXPECT_EQ(client.ReceiveFrame(), "one");
  sink_.Take().reply(Framed("two"));
  EXPECT_EQ(client.ReceiveFrame(), "two");
}

TEST_F(ServerTest, WhatAsksForTheMomentIsLookedAtInItsTurn) {
  Start([](ServerOptions& options) {
    options.in_turn = [](std::string_view request) { return request.starts_with("who leads"); };
  });
  Client client(port_);
  for (const char* body : {"request1", "request2", "who leads 3", "who leads 4", "request5"})
    client.SendFrame(body);
  Sink::Request first = sink_.Take();
  Sink::Request second = sink_.Take();
  second.reply(Framed("two"));
  EXPECT_EQ(sink_.waiting(), 0U) << "the answer to the first is not there yet";
  first.reply(Framed("one"));
  // Each alone, and what comes behind it stays in order.
  for (const std::string number : {"3", "4"}) {
    Sink::Request request = sink_.Take();
    EXPECT_EQ(request.body, "who leads " + number);
    EXPECT_LE(sink_.waiting(), number == "3" ? 0U : 1U);
    request.reply(Framed(number));
  }
  sink_.Take().reply(Framed("five"));
  for (const char* body : {"one", "two", "3", "4", "five"}) EXPECT_EQ(client.ReceiveFrame(), body);
  // With nothing under way it is at once.
  client.SendFrame("who leads 6");
  sink_.Take().reply(Framed("six"));
  EXPECT_EQ(client.ReceiveFrame(), "six");
}

TEST_F(ServerTest, ManyPipelinedRequestsBeyondTheLimitAreAllServed) {
  Start([](ServerOptions& options) { options.outstanding_requests_max = 4; });
  Client client(port_);
  for (int i = 0; i < 100; ++i) client.SendFrame("request" + std::to_string(i));
  for (int i = 0; i < 100; ++i) {
    Sink::Request request = sink_.Take();
    EXPECT_EQ(request.body, "request" + std::to_string(i));
    EXPECT_LE(sink_.waiting(), 4u);
    request.reply(Framed(std::to_string(i)));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.ReceiveFrame(), std::to_string(i));
}

TEST_F(ServerTest, WhatIsParkedEndsWhenTheClientCloses) {
  // The second client sends more than is looked at: only at the next sweep is it seen to be gone.
  for (const int requests : {3, 20}) {
    sink_.park = true;
    Sink::Parked::ended = 0;
    Start([](ServerOptions& options) {
      options.outstanding_requests_max = 4;
      options.sweep_ms = 10;
    });
    Client client(port_);
    for (int i = 0; i < requests; ++i) client.SendFrame("request" + std::to_string(i));
    client.Close();
    EXPECT_TRUE(Eventually([&] { return Sink::Parked::ended == requests; }))
        << Sink::Parked::ended << " of " << requests;
    EXPECT_TRUE(Eventually([&] { return metrics_.connections == 0; }));
    server_->Stop(0);
    sink_.parked.clear();
  }
}

TEST_F(ServerTest, LargeRequestsAndMixedRepliesSurviveTheTrip) {
  Start();
  Client client(port_);
  std::string body(3 << 20, 'x');
  for (size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>(i);
  client.SendFrame(body);
  Sink::Request request = sink_.Take();
  EXPECT_EQ(request.body, body);

  std::string path = ::testing::TempDir() + "server_test_XXXXXX";
  const int descriptor = mkstemp(path.data());
  ASSERT_GE(descriptor, 0);
  close(descriptor);
  const auto fs = NewPosixFileSystem();
  const auto file = fs->Open(path, OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->WriteAt(0, body).ok());
  OutputChain chain;
  ByteWriter prefix;
  prefix.PutInt32(static_cast<int32_t>(6 + (2 << 20)));
  prefix.PutBytes("abc");
  chain.Add(prefix.Take());
  chain.Add(FileSlice{*file, 1000, 2 << 20});
  const auto owner = std::make_shared<std::string>("def");
  chain.Add(SharedBytes{owner, *owner});
  request.reply(Reply::Send(std::move(chain)));
  EXPECT_EQ(client.ReceiveFrame(), "abc" + body.substr(1000, 2 << 20) + "def");
  ASSERT_TRUE(fs->Remove(path).ok());
}

TEST_F(ServerTest, OldRecordsAreReadElsewhere) {
  sluice::testing::SimFileSystem disk;
  const std::shared_ptr<File> file = *disk.Open("/log", OpenMode::kCreate);
  std::string body(3 << 20, 'x');
  for (size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>(i);
  ASSERT_TRUE(file->WriteAt(0, body).ok());
  ASSERT_TRUE(file->Sync().ok());
  disk.DropCaches();
  std::atomic<int> waits_of_reactors{0};
  disk.set_on_wait([&](const std::string&) {
    if (!cold_loop_.InLoopThread()) ++waits_of_reactors;
  });
  Start();
  Client client(port_);
  const auto ask = [&] {
    client.SendFrame("request1");
    OutputChain chain;
    ByteWriter prefix;
    prefix.PutInt32(2 << 20);
    chain.Add(prefix.Take());
    chain.Add(FileSlice{file, 1000, 2 << 20});
    sink_.Take().reply(Reply::Send(std::move(chain)));
  };
  ask();
  EXPECT_TRUE(client.ReceiveFrame() == body.substr(1000, 2 << 20));
  EXPECT_EQ(waits_of_reactors, 0);
  EXPECT_GT(disk.counts().waits, 0u);
  const uint64_t asked = disk.counts().memory_asked;
  client.SendFrame("request2");
  OutputChain fresh;
  ByteWriter prefix;
  prefix.PutInt32(1 << 20);
  fresh.Add(prefix.Take());
  fresh.Add(FileSlice{file, 1000, 1 << 20, /*hot=*/true});
  sink_.Take().reply(Reply::Send(std::move(fresh)));
  EXPECT_TRUE(client.ReceiveFrame() == body.substr(1000, 1 << 20));
  EXPECT_EQ(disk.counts().memory_asked, asked) << "of what was just written nobody need ask";
  disk.DropCaches();
  disk.InjectFault({.operation = sluice::testing::FileOperation::kRead, .times = -1});
  ask();
  EXPECT_TRUE(client.ReceiveFrame().starts_with("closed"));
  EXPECT_EQ(waits_of_reactors, 0);
}

TEST_F(ServerTest, ForAConnectionThatIsGoneNothingIsRead) {
  sluice::testing::SimFileSystem disk;
  const std::shared_ptr<File> file = *disk.Open("/log", OpenMode::kCreate);
  ASSERT_TRUE(file->WriteAt(0, std::string(1 << 20, 'x')).ok());
  ASSERT_TRUE(file->Sync().ok());
  disk.DropCaches();
  Start();
  // The worker has something else to do for now.
  std::promise<void> go_on;
  cold_loop_.Post([gone = go_on.get_future().share()] { gone.wait(); });
  {
    Client client(port_);
    client.SendFrame("request1");
    client.SendFrame("request2");
    const Sink::Request first = sink_.Take();
    OutputChain chain;
    chain.Add(FileSlice{file, 0, 1 << 20});
    first.reply(Reply::Send(std::move(chain)));
    ASSERT_EQ(sink_.Take().body, "request2");
    ASSERT_TRUE(Eventually([&] { return disk.counts().memory_asked > 0; }));
  }
  EXPECT_TRUE(Eventually([&] { return metrics_.connections == 0; }));
  server_->Stop(0);
  go_on.set_value();
  std::promise<void> its_turn_is_over;
  cold_loop_.Post([&] { its_turn_is_over.set_value(); });
  its_turn_is_over.get_future().wait();
  EXPECT_EQ(disk.counts().waits, 0u);
}

TEST_F(ServerTest, BadSizesCloseTheConnectionAndAreCounted) {
  Start([](ServerOptions& options) { options.request_bytes_max = 1000; });
  for (const int32_t size : {-1, 0, 1001, INT32_MAX}) {
    Client client(port_);
    ByteWriter prefix;
    prefix.PutInt32(size);
    client.Send(prefix.view());
    EXPECT_TRUE(client.Closed()) << size;
  }
  EXPECT_EQ(metrics_.frames_refused.load(), 4u);
  EXPECT_EQ(sink_.waiting(), 0u);
}

TEST_F(ServerTest, ACloseReplyComesAfterEarlierAnswers) {
  Start();
  Client client(port_);
  client.SendFrame("request1");
  client.SendFrame("request2");
  Sink::Request first = sink_.Take();
  sink_.Take().reply(Reply::Close("malformed"));
  first.reply(Framed("one"));
  EXPECT_EQ(client.ReceiveFrame(), "one");
  EXPECT_TRUE(client.Closed());
}

TEST_F(ServerTest, NothingIsSentWhereNoAnswerIsExpected) {
  Start();
  Client client(port_);
  client.SendFrame("request1");
  client.SendFrame("request2");
  sink_.Take().reply(Reply::Nothing());
  sink_.Take().reply(Framed("two"));
  EXPECT_EQ(client.ReceiveFrame(), "two");
}

TEST_F(ServerTest, RefusesConnectionsOverTheLimit) {
  Start([](ServerOptions& options) { options.connections_per_ip_max = 1; });
  Client first(port_);
  first.SendFrame("request1");
  sink_.Take().reply(Framed("one"));
  EXPECT_EQ(first.ReceiveFrame(), "one");
  Client second(port_);
  EXPECT_TRUE(second.Closed());
  EXPECT_EQ(metrics_.connections_refused.load(), 1u);
}

TEST_F(ServerTest, ABusyPortIsOneClearError) {
  Start();
  ServerOptions options;
  options.listeners = {{"PLAINTEXT", "127.0.0.1", port_}};
  options.clock = &clock_;
  options.cold_reads = &cold_reads_;
  options.metrics = &metrics_;
  options.sink = [](SharedBytes, const auto&, ReplyCallback) { return false; };
  const auto second = Server::Start(std::move(options));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(), "listener PLAINTEXT on 127.0.0.1:" + std::to_string(port_) +
                                           ": the port is in use by another process");
}

TEST_F(ServerTest, StoppingLetsRequestsInProgressFinish) {
  Start();
  Client client(port_);
  client.SendFrame("request1");
  Sink::Request request = sink_.Take();
  std::thread stopper([this] { server_->Stop(5000); });
  request.reply(Framed("one"));
  EXPECT_EQ(client.ReceiveFrame(), "one");
  EXPECT_TRUE(client.Closed());
  stopper.join();
  EXPECT_EQ(metrics_.connections.load(), 0);
}

TEST_F(ServerTest, ClosesWhatIsPickedWhenNothingIsUnderWay) {
  Start();
  Client idle(port_), busy(port_), other(port_);
  const auto ask = [this](Client& client, const std::string& body) {
    client.SendFrame(body);
    return sink_.Take();
  };
  for (Client* client : {&idle, &other}) {
    ask(*client, "request1").reply(Framed("one"));
    EXPECT_EQ(client->ReceiveFrame(), "one");
  }
  const Sink::Request under_way = ask(busy, "request2");
  const auto pick = [spared = other.address()](const ConnectionInfo& connection) {
    return connection.peer_address != spared;
  };
  server_->CloseIdle([](const ConnectionInfo&) { return true; }, 0);  // too late for everybody
  server_->CloseIdle(pick, 60000);
  EXPECT_TRUE(idle.Closed());
  under_way.reply(Framed("two"));
  EXPECT_EQ(busy.ReceiveFrame(), "two");
  EXPECT_TRUE(busy.Closed());
  ask(other, "request3").reply(Framed("three"));
  EXPECT_EQ(other.ReceiveFrame(), "three");
}

// As a producer that was told that the leader has moved, but not where to.
TEST_F(ServerTest, ClosesAfterAnAnswerOnceNothingIsUnderWay) {
  Start();
  Client client(port_);
  client.SendFrame("request1");
  client.SendFrame("request2");
  const Sink::Request first = sink_.Take(), second = sink_.Take();
  Reply moved = Framed("one");
  moved.idle_close = {.from_ms = 1, .until_ms = 60000};
  first.reply(std::move(moved));
  EXPECT_EQ(client.ReceiveFrame(), "one");
  second.reply(Framed("two"));
  EXPECT_EQ(client.ReceiveFrame(), "two");
  EXPECT_TRUE(client.Closed());
}

class PeerClientTest : public ServerTest {
 protected:
  Result<kafka::FetchResponse> Fetch(PeerClient& peer, int64_t timeout_ms,
                                     const std::function<void()>& meanwhile = nullptr) {
    kafka::FetchRequest request;
    request.max_wait_ms = 1;
    std::mutex mutex;
    std::condition_variable came;
    std::optional<Result<kafka::FetchResponse>> answer;
    peer.Fetch(request, timeout_ms, [&](Result<kafka::FetchResponse> response) {
      std::lock_guard lock(mutex);
      answer = std::move(response);
      came.notify_all();
    });
    if (meanwhile) meanwhile();
    std::unique_lock lock(mutex);
    came.wait(lock, [&] { return answer.has_value(); });
    return *std::move(answer);
  }

  static Reply Answer(const std::string& request, const std::string& records) {
    kafka::FetchResponse response;
    response.responses.emplace_back().partitions.emplace_back().records =
        kafka::Records::View({nullptr, records});
    Result<OutputChain> frame =
        EncodeResponseFrame(response, LoadBigEndian<int32_t>(request.data() + 4), 18);
    return Reply::Send(*std::move(frame));
  }

  NetworkLoop loop_{"peer-test", clock_};
  AsioPeerConnector connector_{{.client_id = "broker-1-fetcher", .metrics = &metrics_}, loop_};
};

TEST_F(PeerClientTest, FetchesAndKeepsRecordsAsViews) {
  Start();
  const auto peer = connector_.Connect("127.0.0.1", port_, loop_);
  const std::string records(200000, 'r');
  for (int i = 0; i < 3; ++i) {
    const auto response = Fetch(*peer, 5000, [&] {
      Sink::Request request = sink_.Take();
      request.reply(Answer(request.body, records));
    });
    ASSERT_TRUE(response.ok()) << response.status().ToString();
    EXPECT_EQ(response->responses[0].partitions[0].records.bytes(), records);
  }
  EXPECT_EQ(metrics_.connections_accepted.load(), 1u);
}

TEST_F(PeerClientTest, FailuresAreToldAndTheNextCallDialsAgain) {
  Start();
  const auto peer = connector_.Connect("127.0.0.1", port_, loop_);
  const auto closed = Fetch(*peer, 5000, [&] { sink_.Take().reply(Reply::Close("test")); });
  EXPECT_EQ(closed.status().code(), StatusCode::kUnavailable);
  const auto late = Fetch(*peer, 20);
  EXPECT_EQ(late.status().code(), StatusCode::kTimeout);
  sink_.Take();
  const auto good = Fetch(*peer, 5000, [&] {
    Sink::Request request = sink_.Take();
    request.reply(Answer(request.body, "records"));
  });
  EXPECT_TRUE(good.ok()) << good.status().ToString();
  server_->Stop(0);
  EXPECT_EQ(Fetch(*peer, 5000).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Fetch(*peer, 5000).status().code(), StatusCode::kUnavailable);  // refused
}

}  // namespace
}  // namespace sluice::broker
