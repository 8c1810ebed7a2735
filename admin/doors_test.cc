// The two doors of the admin service, gRPC and HTTP, against a fake node, over real sockets.
#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "admin/http_routes.h"
#include "admin/http_server.h"
#include "admin/service.h"
#include "admin/testing/fake_backend.h"
#include "kafka/error_code.h"
#include "rpc/channel.h"
#include "rpc/server.h"

namespace sluice::admin {
namespace {

using testing::FakeBackend;

class GrpcDoorTest : public ::testing::Test {
 protected:
  GrpcDoorTest() {
    auto server = rpc::Server::Start({.addresses = {"127.0.0.1:0"}, .services = {&service_}});
    CHECK(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
    stub_ = Admin::NewStub(rpc::MakeChannel("127.0.0.1:" + std::to_string(server_->port(0))));
  }
  ~GrpcDoorTest() override {
    service_.Stop();
    server_->Stop(0);
  }

  FakeBackend backend_;
  Handlers handlers_{backend_};
  AdminService service_{handlers_};
  std::unique_ptr<rpc::Server> server_;
  std::unique_ptr<Admin::Stub> stub_;
};

TEST_F(GrpcDoorTest, DescribesATopic) {
  grpc::ClientContext context;
  DescribeTopicRequest request;
  request.set_name("orders");
  DescribeTopicResponse response;
  const grpc::Status status = stub_->DescribeTopic(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.topic().partitions_size(), 2);
  EXPECT_EQ(response.topic().configs().at("min.insync.replicas"), "2");
}

TEST_F(GrpcDoorTest, ErrorsAreGrpcCodesWithTheControllersWords) {
  backend_.error_code = static_cast<int>(kafka::ErrorCode::kInvalidReplicationFactor);
  backend_.error_message = "replication factor 9: 1 to 3 are possible with 3 brokers";
  grpc::ClientContext context;
  CreateTopicResponse response;
  const grpc::Status status = stub_->CreateTopic(&context, CreateTopicRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), backend_.error_message);
}

// Text that no record of Kafka's could hold gets to no handler, wherever it stands.
TEST_F(GrpcDoorTest, TextThatIsTooLongIsRefusedAtTheDoor) {
  backend_.describe_group = [](NodeId, const DescribeGroupRequest&) {
    ADD_FAILURE() << "it got through";
    return DescribeGroupResponse();
  };
  const std::string text(33000, 'x');
  const auto refused = [](const grpc::Status& status, const std::string& field) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_EQ(status.error_message(), field +
                                          " is too long: it has 33000 bytes, and Kafka's formats "
                                          "hold at most 32767; give a shorter one");
  };
  DescribeGroupRequest describe;
  describe.set_name(text);
  grpc::ClientContext first, second, third;
  DescribeGroupResponse described;
  refused(stub_->DescribeGroup(&first, describe, &described), "name");
  ResetGroupOffsetsRequest reset;
  reset.set_name("g");
  reset.mutable_offsets()->add_offsets()->set_metadata(text);
  ResetGroupOffsetsResponse changed;
  refused(stub_->ResetGroupOffsets(&second, reset, &changed), "metadata");
  CreateTopicRequest create;
  (*create.mutable_configs())["retention.ms"] = text;
  CreateTopicResponse created;
  refused(stub_->CreateTopic(&third, create, &created), "value");
}

TEST_F(GrpcDoorTest, AnErrorThatQuotesALongNameArrives) {
  DescribeTopicRequest request;
  request.set_name(std::string(30000, 'x'));
  grpc::ClientContext context;
  DescribeTopicResponse response;
  const grpc::Status status = stub_->DescribeTopic(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND) << status.error_message();
  EXPECT_LT(status.error_message().size(), 2100u);
}

TEST_F(GrpcDoorTest, StopEndsCallsThatWait) {
  backend_.silent = true;
  auto call = std::async(std::launch::async, [this] {
    grpc::ClientContext context;
    CreateTopicResponse response;
    return stub_->CreateTopic(&context, CreateTopicRequest(), &response);
  });
  service_.Stop();  // before or after the call has come: both end it
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  for (const auto& late : backend_.held) late();
}

class HttpDoorTest : public ::testing::Test {
 protected:
  HttpDoorTest() { Start({}); }
  void Start(HttpServerOptions options) {
    options.host = "127.0.0.1";
    options.handler = MakeHttpHandler(backend_, handlers_, metrics_);
    auto server = HttpServer::Start(std::move(options));
    CHECK(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
  }

  int Connect() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  // What the server answers until it closes the connection.
  std::string Exchange(const std::string& request) {
    const int fd = Connect();
    CHECK_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL),
             static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(n));
    close(fd);
    return answer;
  }
  std::string Get(const std::string& path) {
    return Exchange("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  std::string Post(const std::string& method, const std::string& body,
                   const std::string& type = "application/json") {
    return Exchange("POST /sluice.admin.Admin/" + method +
                    " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + type +
                    "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }

  FakeBackend backend_;
  Handlers handlers_{backend_};
  MetricsCollector metrics_{backend_};
  std::unique_ptr<HttpServer> server_;
};

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(HttpDoorTest, LiveReadyHealth) {
  EXPECT_TRUE(Has(Get("/live"), "HTTP/1.1 200"));
  EXPECT_TRUE(Has(Get("/ready?x=1"), "HTTP/1.1 200"));
  const std::string health = Get("/health");
  EXPECT_TRUE(Has(health, "HTTP/1.1 200")) << health;
  EXPECT_TRUE(Has(health, "\"healthy\":true")) << health;
  EXPECT_TRUE(Has(Get("/"), "HTTP/1.1 404"));
  EXPECT_TRUE(Has(
      Exchange("POST /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
      " 405"));
}

TEST_F(HttpDoorTest, NotReadySaysWhy) {
  backend_.readiness = {.ready = false, .reason = "the broker is fenced"};
  const std::string answer = Get("/ready");
  EXPECT_TRUE(Has(answer, "HTTP/1.1 503"));
  EXPECT_TRUE(Has(answer, "the broker is fenced"));
}

TEST_F(HttpDoorTest, JsonTwin) {
  const std::string described = Post("DescribeTopic", R"({"name":"orders"})");
  EXPECT_TRUE(Has(described, "HTTP/1.1 200")) << described;
  EXPECT_TRUE(Has(described, "Content-Type: application/json")) << described;
  EXPECT_TRUE(Has(described, "\"leaderEpoch\":0")) << described;
  EXPECT_TRUE(Has(Post("ListTopics", ""), "\"orders\""));
}

TEST_F(HttpDoorTest, GroupsAsJson) {
  backend_.describe_group = [](NodeId, const DescribeGroupRequest& request) {
    DescribeGroupResponse response;
    response.mutable_group()->set_name(request.name());
    response.mutable_group()->set_state("Empty");
    response.mutable_group()->set_state_since_ms(-1);
    return response;
  };
  EXPECT_TRUE(Has(Post("ListGroups", "{}"), R"({"groups":[],"nextPageToken":"","incomplete":[]})"));
  const std::string explained = Post("ExplainGroup", R"({"name":"g"})");
  EXPECT_TRUE(Has(explained, "HTTP/1.1 200")) << explained;
  EXPECT_TRUE(Has(explained, R"("summary":"no members; no lag")")) << explained;
  const std::string refused = Post("ResetGroupOffsets", R"({"name":"g"})");
  EXPECT_TRUE(Has(refused, "HTTP/1.1 400")) << refused;
  EXPECT_TRUE(Has(refused, "no place is given")) << refused;
}

TEST_F(HttpDoorTest, TextThatIsTooLongIsRefused) {
  const std::string refused =
      Post("DescribeGroup", "{\"name\":\"" + std::string(33000, 'x') + "\"}");
  EXPECT_TRUE(Has(refused, "HTTP/1.1 400")) << refused;
  EXPECT_TRUE(Has(refused, "name is too long")) << refused;
}

TEST_F(HttpDoorTest, JsonErrors) {
  EXPECT_TRUE(Has(Post("DescribeTopic", R"({"name":"no\"thing"})"),
                  R"({"code":"not_found","message":"topic 'no\"thing' does not exist"})"));
  EXPECT_TRUE(Has(Post("DescribeTopic", R"({"nmae":"orders"})"), "HTTP/1.1 400"));
  EXPECT_TRUE(Has(Post("DescribeTopic", "{"), "invalid_argument"));
  EXPECT_TRUE(Has(Post("DescribeTopic", "{\"name\":\"\xFF\"}"), "the body is not UTF-8 text"));
  EXPECT_TRUE(Has(Post("Nothing", "{}"), "HTTP/1.1 404"));
  EXPECT_TRUE(Has(Post("ListTopics", "{}", "text/plain"), "HTTP/1.1 415"));
  EXPECT_TRUE(Has(Get("/sluice.admin.Admin/ListTopics"), "HTTP/1.1 405"));
}

TEST_F(HttpDoorTest, AConnectionCarriesSeveralRequests) {
  const std::string answer = Exchange(
      "GET /live HTTP/1.1\r\nHost: x\r\n\r\nHEAD /live HTTP/1.1\r\nHost: x\r\nConnection: "
      "close\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 200"), 0U);
  EXPECT_NE(answer.rfind("HTTP/1.1 200"), 0U) << answer;
}

TEST_F(HttpDoorTest, BadInputClosesTheConnection) {
  EXPECT_EQ(Exchange("this is no HTTP\r\n\r\n"), "");
  EXPECT_EQ(Exchange("GET / HTTP/1.1\r\nX: " + std::string(20000, 'a')), "");
  EXPECT_TRUE(
      Has(Exchange("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"), " 413"));
}

TEST_F(HttpDoorTest, ConnectionsAreBounded) {
  Start({.connections_max = 1});
  const int first = Connect();
  ASSERT_EQ(send(first, "GET /live HTTP/1.1\r\n\r\n", 22, MSG_NOSIGNAL), 22);
  char buffer[1024];
  ASSERT_GT(recv(first, buffer, sizeof buffer, 0), 0);
  const int second = Connect();
  EXPECT_LE(recv(second, buffer, sizeof buffer, 0), 0);
  close(second);
  close(first);
}

TEST_F(HttpDoorTest, AReplyAfterTheStopIsDropped) {
  backend_.silent = true;
  auto call =
      std::async(std::launch::async, [this] { return Post("CreateTopic", R"({"name":"x"})"); });
  while (backend_.held_count == 0) std::this_thread::yield();
  server_->Stop();
  EXPECT_EQ(call.get(), "");
  for (const auto& late : backend_.held) late();
}

TEST_F(HttpDoorTest, ATakenPortIsOneClearStatus) {
  auto second = HttpServer::Start({.host = "127.0.0.1", .port = server_->port()});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(Has(second.status().message(), "Address already in use"));
}

}  // namespace
}  // namespace sluice::admin
