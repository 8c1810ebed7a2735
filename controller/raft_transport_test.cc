// Real gRPC on this machine: what a message becomes on the way, and how fast the end of a peer is
// noticed. Waits have deadlines and end with the event.
#include "controller/raft_transport.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "controller/raft_proto.h"
#include "controller/raft_service.h"
#include "rpc/channel.h"
#include "rpc/server.h"

namespace sluice::controller {
namespace {

template <typename T>
class Mailbox {
 public:
  void Put(T value) {
    std::lock_guard lock(mutex_);
    values_.push_back(std::move(value));
    arrived_.notify_all();
  }
  std::optional<T> Take() {
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, std::chrono::seconds(10), [this] { return !values_.empty(); }))
      return std::nullopt;
    T value = std::move(values_.front());
    values_.pop_front();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<T> values_;
};

raft::VoterId Voter(int id) {
  return {NodeId(id), Uuid::FromBytes(std::string(16, static_cast<char>(id)))};
}

raft::Message Wrap(raft::MessageBody body) {
  return {"cluster", Voter(1), NodeId(2), Term(7), std::move(body), Voter(2).disk_id};
}

TEST(RaftProto, EveryMessageSurvivesTheWire) {
  const std::vector<raft::MessageBody> bodies{
      raft::VoteRequest{true, true, LogIndex(4), Term(3), 1ULL << 63},
      raft::VoteResponse{true, true, 1ULL << 63},
      raft::AppendRequest{LogIndex(4),
                          Term(3),
                          LogIndex(2),
                          {{LogIndex(5), Term(3), raft::EntryType::kNormal, "abc"}}},
      raft::AppendResponse{false, LogIndex(1), LogIndex(2), LogIndex(3), Term(4), true},
      raft::HeartbeatRequest{LogIndex(9), 8, 77},
      raft::HeartbeatResponse{8, 77, true},
      raft::SnapshotChunk{
          {LogIndex(5), Term(3), {{{Voter(1), ""}, {Voter(2), "b:2"}}, {{Voter(3), "c:3"}}}},
          10,
          20,
          30,
          40,
          "chunk"},
      raft::SnapshotChunkResponse{LogIndex(5), 15, true},
      raft::TimeoutNow{},
      raft::Inquiry{1ULL << 63, {Voter(1), Voter(2)}},
      raft::InquiryResponse{7, LogIndex(5), true, true}};
  ASSERT_EQ(bodies.size(), std::variant_size_v<raft::MessageBody>);
  for (const raft::MessageBody& body : bodies) {
    const raftpb::RaftMessage proto = ToProto(Wrap(body));
    Result<raft::Message> back = FromProto(proto);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_TRUE(back->body == body) << raft::Describe(*back);
    EXPECT_EQ(raft::Describe(*back), raft::Describe(Wrap(body))) << "and who it is from and for";
    EXPECT_EQ(back->to_disk, Voter(2).disk_id);
    EXPECT_EQ(ToProto(*std::move(back)).SerializeAsString(), proto.SerializeAsString());
  }
}

TEST(RaftProto, ImpossibleValuesAreRefused) {
  raftpb::RaftMessage proto = ToProto(Wrap(raft::TimeoutNow{}));
  proto.mutable_from()->set_disk_id("short");
  EXPECT_EQ(FromProto(proto).status().code(), StatusCode::kInvalidArgument);
  proto = ToProto(Wrap(raft::TimeoutNow{}));
  proto.set_to_disk_id("short");
  EXPECT_EQ(FromProto(proto).status().code(), StatusCode::kInvalidArgument);
  proto = ToProto(Wrap(raft::TimeoutNow{}));
  proto.clear_body();
  EXPECT_EQ(FromProto(proto).status().code(), StatusCode::kInvalidArgument);
  proto = ToProto(Wrap(raft::AppendRequest{.entries = {{LogIndex(0), Term(1)}}}));
  proto.mutable_append_request()->mutable_entries(0)->set_type(99);
  EXPECT_EQ(FromProto(proto).status().code(), StatusCode::kInvalidArgument);
}

class RaftTransportTest : public ::testing::Test {
 protected:
  struct Lost {
    NodeId peer;
    bool refused;
  };

  static constexpr int64_t kLingerMs = 5;

  void StartServer(const std::string& address = "127.0.0.1:0") {
    auto server = rpc::Server::Start({.addresses = {address}, .services = {&service_}});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    address_ = "127.0.0.1:" + std::to_string(server_->port(0));
  }
  void StartTransport() { StartTransport({{NodeId(2), address_}}); }
  void StartTransport(std::map<NodeId, std::string> peers) {
    transport_ = std::make_unique<RaftTransport>(RaftTransportOptions{.self = NodeId(1),
                                                                      .self_address = "here:1",
                                                                      .peers = std::move(peers),
                                                                      .linger_ms = kLingerMs},
                                                 loop_, [this](NodeId peer, bool refused) {
                                                   lost_.Put({peer, refused});
                                                 });
    loop_.Post([this] { transport_->Start(); });
  }
  void Send(raft::MessageBody body) {
    loop_.Post([this, body = std::move(body)] { transport_->Send(NodeId(2), Wrap(body)); });
  }

  SystemClock clock_;
  Mailbox<raft::Message> received_;
  Mailbox<Lost> lost_;
  struct Call {
    NodeId from;
    std::string address;
  };
  Mailbox<Call> calls_;
  ThreadEventLoop loop_{"test", clock_};
  static constexpr size_t kWaitingBytesMax = 1 << 20;
  std::atomic<uint64_t> handed_{0};
  RaftService service_{loop_,
                       [this](raft::Message message) {
                         ++handed_;
                         loop_.Post([this, message = std::move(message)]() mutable {
                           received_.Put(std::move(message));
                         });
                       },
                       [this](NodeId from, std::string address) {
                         calls_.Put({from, std::move(address)});
                       },
                       {.waiting_bytes_max = kWaitingBytesMax}};
  std::unique_ptr<rpc::Server> server_;
  std::string address_;
  std::unique_ptr<RaftTransport> transport_;
};

TEST_F(RaftTransportTest, MessagesArriveInOrder) {
  StartServer();
  StartTransport();
  for (uint64_t i = 0; i < 200; ++i) Send(raft::HeartbeatResponse{i});
  for (uint64_t i = 0; i < 200; ++i) {
    const std::optional<raft::Message> message = received_.Take();
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(message->from, Voter(1));
    EXPECT_EQ(std::get<raft::HeartbeatResponse>(message->body).read_sequence, i);
  }
}

TEST_F(RaftTransportTest, AMemberThatJoinsIsReachedAtItsAddressAndDroppedWhenItLeaves) {
  StartServer();
  StartTransport({});
  Send(raft::HeartbeatResponse{1});  // nobody of that id is known
  loop_.Post([this] { transport_->SetPeers({{Voter(2), address_}, {Voter(3), ""}}); });
  Send(raft::HeartbeatResponse{2});
  const std::optional<raft::Message> message = received_.Take();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<raft::HeartbeatResponse>(message->body).read_sequence, 2U);
  const std::optional<Call> call = calls_.Take();
  ASSERT_TRUE(call.has_value());
  EXPECT_EQ(call->from, NodeId(1));
  EXPECT_EQ(call->address, "here:1");
  // After its last words a former member is not reached any more, until it joins again.
  loop_.Post([this] { transport_->SetPeers({}); });
  Mailbox<bool> lingered;
  loop_.Post([&] { loop_.RunAfter(kLingerMs + 1, [&] { lingered.Put(true); }); });
  ASSERT_TRUE(lingered.Take().has_value());
  Send(raft::HeartbeatResponse{4});
  loop_.Post([this] { transport_->SetPeers({{Voter(2), address_}}); });
  Send(raft::HeartbeatResponse{5});
  const std::optional<raft::Message> again = received_.Take();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(std::get<raft::HeartbeatResponse>(again->body).read_sequence, 5U);
  EXPECT_TRUE(calls_.Take().has_value()) << "over a stream of its own";
}

TEST_F(RaftTransportTest, TheAddressThatANodeJoinedWithWinsOverTheConfiguredOne) {
  StartServer();
  StartTransport({{NodeId(2), "127.0.0.1:1"}});
  loop_.Post([this] { transport_->SetPeers({{Voter(2), address_}}); });
  Send(raft::HeartbeatResponse{1});
  EXPECT_TRUE(received_.Take().has_value());
}

TEST_F(RaftTransportTest, WhatIsNeverWrittenIsCountedByWhomItWasFor) {
  StartServer();
  StartTransport({{NodeId(2), address_}});
  Mailbox<bool> dead;
  loop_.Post([this] {
    raft::Message stranger = Wrap(raft::HeartbeatResponse{1});
    stranger.to = NodeId(9);
    transport_->Send(NodeId(9), stranger);
  });
  Send(raft::HeartbeatResponse{1});
  ASSERT_TRUE(received_.Take().has_value());
  server_.reset();
  ASSERT_TRUE(lost_.Take().has_value());
  // Nobody listens there any more: between two attempts nothing can be sent.
  std::function<void()> again = [&] {
    transport_->Send(NodeId(2), Wrap(raft::HeartbeatResponse{2}));
    if (transport_->dropped()[NodeId(2)] >= 3) return dead.Put(true);
    loop_.RunAfter(1, again);
  };
  loop_.Post([&] { again(); });
  EXPECT_TRUE(dead.Take().has_value());
  EXPECT_EQ(transport_->dropped()[kNoNode], 1U);
}

// A voter that lags answers a candidate that it has never heard of.
TEST_F(RaftTransportTest, WhoeverCallsIsAnsweredWhereItSays) {
  StartServer();
  StartTransport({});
  loop_.Post([this] { transport_->PeerCalled(NodeId(2), address_); });
  Send(raft::HeartbeatResponse{1});
  ASSERT_TRUE(received_.Take().has_value());
  // Its configured address would be known better than by any caller.
  loop_.Post([this] {
    transport_->SetPeers({{Voter(2), address_}});
    transport_->PeerCalled(NodeId(2), "127.0.0.1:1");
  });
  Send(raft::HeartbeatResponse{2});
  ASSERT_TRUE(received_.Take().has_value());
}

// A peer that sends rubbish would open a closed stream again, and send it again.
TEST_F(RaftTransportTest, AMessageThatCannotBeReadIsPassedOver) {
  StartServer();
  const auto stub = raftpb::Raft::NewStub(rpc::MakeChannel(address_));
  grpc::ClientContext context;
  const auto stream = stub->Exchange(&context);
  raftpb::RaftMessage bad = ToProto(Wrap(raft::TimeoutNow{}));
  bad.mutable_from()->set_disk_id("short");
  ASSERT_TRUE(stream->Write(bad));
  ASSERT_TRUE(stream->Write(bad));
  ASSERT_TRUE(stream->Write(ToProto(Wrap(raft::HeartbeatResponse{7}))));
  const std::optional<raft::Message> message = received_.Take();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(std::get<raft::HeartbeatResponse>(message->body).read_sequence, 7U);
  EXPECT_EQ(service_.messages_refused(), 2U);
  ASSERT_TRUE(stream->WritesDone());
  EXPECT_TRUE(stream->Finish().ok());
}

// A loop that stands still, and a peer that sends all the same.
class SlowLoopTest : public RaftTransportTest {
 protected:
  static constexpr uint64_t kMessages = 100;
  static constexpr size_t kMessageBytes = 200'000;

  void HoldLoop() {
    loop_.Post([this] {
      held_.Put(true);
      go_on_.Take();
    });
    ASSERT_TRUE(held_.Take().has_value());
  }
  void SendAll() {
    stub_ = raftpb::Raft::NewStub(rpc::MakeChannel(address_));
    sender_ = std::thread([this] {
      const auto stream = stub_->Exchange(&context_);
      for (uint64_t i = 0; i < kMessages; ++i) {
        const raft::Entry entry{LogIndex(0), Term(1), raft::EntryType::kNormal,
                                std::string(kMessageBytes, 'x')};
        raft::AppendRequest append{.commit = LogIndex(static_cast<int64_t>(i)), .entries = {entry}};
        if (!stream->Write(ToProto(Wrap(std::move(append))))) break;
      }
      stream->WritesDone();
      static_cast<void>(stream->Finish());
    });
  }
  bool WaitForPause() {
    const int64_t deadline_ms = clock_.SteadyMs() + 30'000;
    while (service_.pauses() == 0 && clock_.SteadyMs() < deadline_ms) std::this_thread::yield();
    return service_.pauses() > 0;
  }
  ~SlowLoopTest() override {
    loop_.Stop();
    if (sender_.joinable()) sender_.join();
  }

  Mailbox<bool> held_;
  Mailbox<bool> go_on_;
  std::unique_ptr<raftpb::Raft::Stub> stub_;
  grpc::ClientContext context_;
  std::thread sender_;
};

TEST_F(SlowLoopTest, AStreamIsNotReadOnWhileItsMessagesWait) {
  StartServer();
  HoldLoop();
  SendAll();
  ASSERT_TRUE(WaitForPause());
  EXPECT_EQ(handed_, 1 + kWaitingBytesMax / kMessageBytes);
  // All of it comes, in order, when the loop goes on.
  go_on_.Put(true);
  for (uint64_t i = 0; i < kMessages; ++i) {
    const std::optional<raft::Message> message = received_.Take();
    ASSERT_TRUE(message.has_value());
    EXPECT_EQ(std::get<raft::AppendRequest>(message->body).commit,
              LogIndex(static_cast<int64_t>(i)));
  }
  sender_.join();
  EXPECT_EQ(handed_, kMessages);
}

TEST_F(SlowLoopTest, AServerStopsThoughTheLoopNeverGoesOn) {
  StartServer();
  HoldLoop();
  SendAll();
  ASSERT_TRUE(WaitForPause());
  server_.reset();
  sender_.join();
  EXPECT_LT(handed_, kMessages);
  go_on_.Put(true);
}

TEST_F(RaftTransportTest, ADeadPeerIsToldAsRefusedAndFoundAgain) {
  StartServer();
  StartTransport();
  Send(raft::TimeoutNow{});
  ASSERT_TRUE(received_.Take().has_value());
  server_.reset();
  const std::optional<Lost> lost = lost_.Take();
  ASSERT_TRUE(lost.has_value());
  EXPECT_EQ(lost->peer, NodeId(2));
  EXPECT_TRUE(lost->refused);
  // Back on the same address: the next attempt, or word from the peer itself, opens a stream.
  StartServer(address_);
  loop_.Post([this] { transport_->PeerHeard(NodeId(2)); });
  std::optional<raft::Message> message;
  std::function<void()> again = [&] {
    transport_->Send(NodeId(2), Wrap(raft::HeartbeatRequest{}));
    loop_.RunAfter(20, again);
  };
  loop_.Post([&] { again(); });
  message = received_.Take();
  loop_.Stop();
  EXPECT_TRUE(message.has_value());
}

}  // namespace
}  // namespace sluice::controller
