// LeaderClient and Server against real gRPC servers in this process, on ports that the system
// picks.
#include "rpc/leader_client.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "rpc/channel.h"
#include "rpc/server.h"

namespace sluice::rpc {
namespace {

using controller::HeartbeatRequest;
using controller::HeartbeatResponse;

// A controller that answers heartbeats as told.
class FakeController final : public controller::Controller::CallbackService {
 public:
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context, const HeartbeatRequest*,
                                      HeartbeatResponse* response) override {
    ++calls;
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (not_leader_times-- > 0) {
      response->mutable_outcome()->set_error_code(41);
      response->mutable_outcome()->set_leader_address(leader_address);
    } else {
      response->set_commit_index(commit_index);
    }
    if (silent) {
      held.push_back(reactor);
    } else {
      reactor->Finish(status);
    }
    return reactor;
  }

  std::atomic<int> calls = 0;
  std::atomic<int> not_leader_times = 0;
  std::string leader_address;
  int64_t commit_index = 0;
  grpc::Status status;
  bool silent = false;
  std::vector<grpc::ServerUnaryReactor*> held;
};

struct Node {
  FakeController controller;
  std::unique_ptr<Server> server;
  std::string address;
};

std::unique_ptr<Node> StartNode() {
  auto node = std::make_unique<Node>();
  auto server = Server::Start({.addresses = {"127.0.0.1:0"}, .services = {&node->controller}});
  CHECK(server.ok()) << server.status().ToString();
  node->server = std::move(*server);
  node->address = "127.0.0.1:" + std::to_string(node->server->port(0));
  return node;
}

class LeaderClientTest : public testing::Test {
 protected:
  Result<HeartbeatResponse> Heartbeat(LeaderClient& client, int64_t timeout_ms) {
    std::promise<Result<HeartbeatResponse>> promise;
    client.Call<HeartbeatRequest, HeartbeatResponse>(
        &ControllerStub::Heartbeat, HeartbeatRequest(), {.timeout_ms = timeout_ms},
        [&](Result<HeartbeatResponse> response) { promise.set_value(std::move(response)); });
    return promise.get_future().get();
  }

  SystemClock clock_;
  ThreadEventLoop loop_{"rpc-test", clock_};
};

TEST_F(LeaderClientTest, FollowsTheHintAndRemembersTheLeader) {
  auto follower = StartNode();
  auto leader = StartNode();
  follower->controller.not_leader_times = 100;
  follower->controller.leader_address = leader->address;
  leader->controller.commit_index = 7;
  LeaderClient client({follower->address, leader->address}, loop_);

  auto first = Heartbeat(client, 5000);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->commit_index(), 7);
  ASSERT_TRUE(Heartbeat(client, 5000).ok());
  EXPECT_EQ(follower->controller.calls, 1);
  EXPECT_EQ(leader->controller.calls, 2);
}

TEST_F(LeaderClientTest, GoesToTheNextVoterWhenOneIsGone) {
  auto gone = StartNode();
  auto leader = StartNode();
  gone->server->Stop(0);
  LeaderClient client({gone->address, leader->address}, loop_);
  EXPECT_TRUE(Heartbeat(client, 5000).ok());
  EXPECT_EQ(leader->controller.calls, 1);
}

TEST_F(LeaderClientTest, AsksAgainUntilALeaderIsElected) {
  auto node = StartNode();
  node->controller.not_leader_times = 3;
  LeaderClient client({node->address}, loop_);
  EXPECT_TRUE(Heartbeat(client, 5000).ok());
  EXPECT_EQ(node->controller.calls, 4);
}

TEST_F(LeaderClientTest, GivesUpAtTheDeadlineAndSaysWhy) {
  auto node = StartNode();
  node->controller.not_leader_times = 1000;
  LeaderClient client({node->address}, loop_);
  auto result = Heartbeat(client, 30);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kTimeout);
  EXPECT_NE(result.status().message().find(node->address), std::string::npos);
}

TEST_F(LeaderClientTest, AnErrorThatARetryCannotCureEndsTheCall) {
  auto node = StartNode();
  node->controller.status = grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "who are you");
  LeaderClient client({node->address}, loop_);
  auto result = Heartbeat(client, 5000);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.status().message().find("who are you"), std::string::npos);
  EXPECT_EQ(node->controller.calls, 1);
}

TEST_F(LeaderClientTest, StopEndsCallsWithoutRunningTheirCallbacks) {
  auto node = StartNode();
  node->controller.silent = true;
  std::atomic<bool> ran = false;
  LeaderClient client({node->address}, loop_);
  client.Call<HeartbeatRequest, HeartbeatResponse>(&ControllerStub::Heartbeat, HeartbeatRequest(),
                                                   {},
                                                   [&](Result<HeartbeatResponse>) { ran = true; });
  client.Stop();
  std::promise<void> drained;
  loop_.Post([&] { drained.set_value(); });
  drained.get_future().wait();
  EXPECT_FALSE(ran);
  for (grpc::ServerUnaryReactor* reactor : node->controller.held) reactor->Finish(grpc::Status::OK);
}

TEST(ServerTest, ATakenPortIsOneClearStatus) {
  auto node = StartNode();
  FakeController other;
  auto second = Server::Start({.addresses = {node->address}, .services = {&other}});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find(node->address), std::string::npos);
  EXPECT_NE(second.status().message().find("Address already in use"), std::string::npos);
}

TEST(ServerTest, ListensOnSeveralAddresses) {
  FakeController controller;
  auto server =
      Server::Start({.addresses = {"127.0.0.1:0", "127.0.0.1:0"}, .services = {&controller}});
  ASSERT_TRUE(server.ok()) << server.status().ToString();
  EXPECT_NE((*server)->port(0), 0);
  EXPECT_NE((*server)->port(1), (*server)->port(0));
}

// One message to a method given by name and the first one back, as bytes: what grpcurl does before
// it knows any type.
std::string Ask(const std::string& address, const std::string& method, const std::string& request) {
  grpc::GenericStub stub(MakeChannel(address));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(&context, method, &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(nullptr);
  CHECK(queue.Next(&tag, &ok) && ok);
  const grpc::Slice slice(request);
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  CHECK(queue.Next(&tag, &ok) && ok);
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  CHECK(queue.Next(&tag, &ok) && ok);
  grpc::Slice whole;
  CHECK(answer.DumpToSingleSlice(&whole).ok());
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return std::string(reinterpret_cast<const char*>(whole.begin()), whole.size());
}

TEST(ServerTest, ListsItsServicesByReflection) {
  auto node = StartNode();
  // ServerReflectionRequest{list_services: ""}
  const std::string answer =
      Ask(node->address, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          std::string("\x3a\x00", 2));
  EXPECT_NE(answer.find("sluice.controller.Controller"), std::string::npos);
  EXPECT_NE(answer.find("grpc.health.v1.Health"), std::string::npos);
}

TEST(ServerTest, TellsItsHealth) {
  auto node = StartNode();
  node->server->SetServing(false);
  EXPECT_EQ(Ask(node->address, "/grpc.health.v1.Health/Watch", ""), "\x08\x02");  // NOT_SERVING
  node->server->SetServing(true);
  EXPECT_EQ(Ask(node->address, "/grpc.health.v1.Health/Watch", ""), "\x08\x01");
}

}  // namespace
}  // namespace sluice::rpc
