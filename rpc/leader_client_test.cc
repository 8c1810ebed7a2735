// LeaderClient and Server against real gRPC servers in this process, on ports that the system
// picks.
#include "rpc/leader_client.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <utility>

#include "proto/health.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/server.h"

namespace sluice::rpc {
namespace {

using controller::HeartbeatRequest;
using controller::HeartbeatResponse;
using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

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

// It may be carried out later: whoever asks for that is told, and asks again itself.
TEST_F(LeaderClientTest, AnAttemptWithoutAnAnswerEndsTheCallOfWhoWantsToKnow) {
  auto gone = StartNode();
  auto follower = StartNode();
  auto leader = StartNode();
  gone->server->Stop(0);
  follower->controller.not_leader_times = 100;
  follower->controller.leader_address = leader->address;
  LeaderClient client({gone->address, follower->address, leader->address}, loop_);
  const auto heartbeat = [&] {
    std::promise<Result<HeartbeatResponse>> promise;
    client.Call<HeartbeatRequest, HeartbeatResponse>(
        &ControllerStub::Heartbeat, HeartbeatRequest(),
        {.timeout_ms = 5000, .unanswered_ends = true},
        [&](Result<HeartbeatResponse> response) { promise.set_value(std::move(response)); });
    return promise.get_future().get();
  };
  EXPECT_EQ(heartbeat().status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(heartbeat().ok()) << "NOT_CONTROLLER is an answer";
  EXPECT_EQ(leader->controller.calls, 1);
}

TEST_F(LeaderClientTest, AsksAgainUntilALeaderIsElected) {
  auto node = StartNode();
  node->controller.not_leader_times = 3;
  LeaderClient client({node->address}, loop_);
  EXPECT_TRUE(Heartbeat(client, 5000).ok());
  EXPECT_EQ(node->controller.calls, 4);
}

TEST_F(LeaderClientTest, ARequestThatNobodyCanReadFailsAtOnce) {
  auto node = StartNode();
  LeaderClient client({node->address}, loop_);
  controller::DeleteTopicsRequest request;
  request.add_topics()->set_name("\xFF");
  std::promise<Status> promise;
  client.Call<controller::DeleteTopicsRequest, controller::DeleteTopicsResponse>(
      &ControllerStub::DeleteTopics, request, {.timeout_ms = 60000},
      [&](const Result<controller::DeleteTopicsResponse>& response) {
        promise.set_value(response.status());
      });
  std::future<Status> failed = promise.get_future();
  ASSERT_EQ(failed.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(failed.get().ToString(),
            Status::InvalidArgument("topics.name is not UTF-8 text").ToString());
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

constexpr char kReflect[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

TEST(ServerTest, ListsItsServicesByReflection) {
  auto node = StartNode();
  // ServerReflectionRequest{list_services: ""}
  const std::string answer = Ask(node->address, kReflect, std::string("\x3a\x00", 2));
  EXPECT_NE(answer.find("sluice.controller.Controller"), std::string::npos);
  EXPECT_NE(answer.find("grpc.health.v1.Health"), std::string::npos);
}

TEST(ServerTest, DescribesEachServiceByReflection) {
  auto node = StartNode();
  for (const std::string name : {"sluice.controller.Controller", "grpc.health.v1.Health"}) {
    // ServerReflectionRequest{file_containing_symbol: name}
    const std::string request = "\x22" + std::string(1, static_cast<char>(name.size())) + name;
    google::protobuf::FileDescriptorProto file;
    google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name)->file()->CopyTo(
        &file);
    EXPECT_NE(Ask(node->address, kReflect, request).find(file.SerializeAsString()),
              std::string::npos)
        << name;
  }
}

class HealthTest : public testing::Test {
 protected:
  // The health that the node tells of `service`, and the call's status code.
  std::pair<HealthCheckResponse::ServingStatus, grpc::StatusCode> Check(
      const std::string& service) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    const grpc::Status status = stub_->Check(&context, request, &response);
    return {response.status(), status.error_code()};
  }

  std::unique_ptr<Node> node_ = StartNode();
  std::unique_ptr<Health::Stub> stub_ = Health::NewStub(MakeChannel(node_->address));
};

TEST_F(HealthTest, SpeaksForTheServerAndEachService) {
  for (const bool serving : {true, false, true}) {
    node_->server->SetServing(serving);
    const auto expected = serving ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
    for (const char* service : {"", "sluice.controller.Controller"}) {
      EXPECT_EQ(Check(service), std::pair(expected, grpc::StatusCode::OK)) << service;
    }
  }
}

TEST_F(HealthTest, IsServingFromTheStart) {
  EXPECT_EQ(Check("sluice.controller.Controller").first, HealthCheckResponse::SERVING);
}

TEST_F(HealthTest, AServiceThatIsNotThereIsNotFound) {
  EXPECT_EQ(Check("sluice.controller.Other").second, grpc::StatusCode::NOT_FOUND);
}

TEST_F(HealthTest, TellsAWatcherOfEachChange) {
  grpc::ClientContext context;
  auto changes = stub_->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  ASSERT_TRUE(changes->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  node_->server->SetServing(false);
  ASSERT_TRUE(changes->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  node_->server->SetServing(true);
  ASSERT_TRUE(changes->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  context.TryCancel();
}

}  // namespace
}  // namespace sluice::rpc
