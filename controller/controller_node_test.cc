// Whole voters in one process, over real gRPC on this machine and disks in memory: a quorum forms,
// answers, feeds its subscribers, and survives a voter's clean stop. Every wait is a call with a
// deadline and ends with the event.

#include "controller/controller_node.h"

#include <arpa/inet.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "base/crc32c.h"
#include "base/testing/sim_file_system.h"
#include "controller/format.h"
#include "metadata/replay.h"
#include "proto/controller.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/leader_client.h"
#include "rpc/server.h"
#include "storage/log_manager.h"

namespace sluice::controller {
namespace {

constexpr int64_t kTimeoutMs = 10000;

// Ports that nobody uses at the moment.
std::vector<int> FreePorts(int count) {
  std::vector<int> ports;
  std::vector<int> sockets;
  for (int i = 0; i < count; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    CHECK_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    sockets.push_back(fd);
    ports.push_back(ntohs(address.sin_port));
  }
  for (const int fd : sockets) ::close(fd);
  return ports;
}

Uuid Disk(int id) { return Uuid::FromBytes(std::string(15, 'd') + static_cast<char>(id)); }

constexpr char kWhosePath[] = "/data/__cluster_metadata-0/meta.properties";

// One voter with its server and its disk.
struct Voter {
  metadata::ServerConfig config;
  sluice::testing::SimFileSystem fs;
  std::unique_ptr<ControllerNode> node;
  std::unique_ptr<rpc::Server> server;
  std::string cluster_id = "cluster";
  uint64_t starts = 0;
  bool failed = false;
  std::promise<std::string> refused;
  std::atomic<int> refusals = 0;

  ~Voter() { Stop(); }
  void Start(const Clock& clock) {
    auto opened = ControllerNode::Open(
        {.config = &config,
         .file_system = &fs,
         .clock = &clock,
         .cluster_id = cluster_id,
         .random = Random(static_cast<uint64_t>(config.node_id.value()) + 100 * starts++),
         .on_failure = [this](const Status&) { failed = true; },
         .on_refused =
             [this](const Status& why) {
               if (refusals++ == 0) refused.set_value(why.message());
             }});
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    node = *std::move(opened);
    auto started = rpc::Server::Start(
        {.addresses = {config.grpc_listener.ToString()}, .services = node->services()});
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server = *std::move(started);
    node->Start();
  }
  void Stop() {
    if (node == nullptr) return;
    node->Stop();
    server->Stop(50);
    node.reset();
    server.reset();
  }
};

class ControllerNodeTest : public ::testing::Test {
 protected:
  static metadata::ServerConfig ConfigOf(int id, const std::string& voters,
                                         const std::string& address) {
    auto config = metadata::LoadServerConfig(
        {.file_name = "test",
         .file_text = "process.roles=controller\nbroker.session.timeout.ms=60000\nlog.dirs=/"
                      "data\ncontroller.listener.names=CONTROLLER\nnode.id=" +
                      std::to_string(id) + "\ncontroller.quorum.voters=" + voters +
                      "\nlisteners=CONTROLLER://" + address + "\n"});
    CHECK(config.ok()) << config.status().ToString();
    return config->config;
  }
  void StartQuorum(int count) {
    const std::vector<int> ports = FreePorts(count);
    std::string voters;
    std::vector<raft::VoterId>& ids = ids_;
    for (int id = 1; id <= count; ++id) {
      const std::string address = "127.0.0.1:" + std::to_string(ports[static_cast<size_t>(id - 1)]);
      voters += (id == 1 ? "" : ",") + std::to_string(id) + "@" + address;
      addresses_.push_back(address);
      ids.push_back({NodeId(id), Disk(id)});
    }
    for (int id = 1; id <= count; ++id) {
      voters_.push_back(std::make_unique<Voter>());
      Voter& voter = *voters_.back();
      voter.config = ConfigOf(id, voters, addresses_[static_cast<size_t>(id - 1)]);
      ASSERT_TRUE(FormatController(voter.fs, {.directory = "/data",
                                              .cluster_id = "cluster",
                                              .self = ids[static_cast<size_t>(id - 1)],
                                              .voters = ids})
                      .ok());
      ASSERT_TRUE(
          storage::LogManager::Format(voter.fs, "/data", {"cluster", NodeId(id), Disk(id)}).ok());
      voter.Start(clock_);
    }
    leader_ = std::make_unique<rpc::LeaderClient>(addresses_, loop_);
    // Else none of them can be missed yet.
    for (const auto& voter : voters_)
      EXPECT_TRUE(Until([&voter] { return !voter->node->status().inquiring; }));
  }

  bool Until(const std::function<bool()>& done) const {
    const int64_t deadline_ms = clock_.SteadyMs() + kTimeoutMs;
    while (clock_.SteadyMs() < deadline_ms) {
      if (done()) return true;
      std::this_thread::yield();
    }
    return false;
  }

  void TearDown() override {
    if (leader_ != nullptr) leader_->Stop();
    for (auto& voter : voters_) EXPECT_FALSE(voter->failed);
    voters_.clear();
  }

  template <typename Request, typename Response>
  Response Ask(rpc::LeaderClient::Method<Request, Response> method, Request request) {
    std::promise<Result<Response>> answer;
    leader_->Call<Request, Response>(
        method, std::move(request), {.timeout_ms = kTimeoutMs, .attempt_timeout_ms = 1000},
        [&](Result<Response> response) { answer.set_value(std::move(response)); });
    Result<Response> response = answer.get_future().get();
    EXPECT_TRUE(response.ok()) << response.status().ToString();
    return response.ok() ? *response : Response();
  }

  void RegisterBroker(int id) {
    RegisterBrokerRequest request;
    request.mutable_broker()->set_broker_id(id);
    request.mutable_broker()->set_incarnation_id(std::string(16, 'i'));
    request.mutable_broker()->set_directory_id(std::string(16, 'd'));
    metadata::Endpoint& endpoint = *request.mutable_broker()->add_endpoints();
    endpoint.set_listener("PLAINTEXT");
    endpoint.set_host("127.0.0.1");
    endpoint.set_port(9092);
    const auto registered = Ask<RegisterBrokerRequest, RegisterBrokerResponse>(
        &rpc::ControllerStub::RegisterBroker, request);
    EXPECT_EQ(registered.cluster_id(), "cluster");
    HeartbeatRequest beat;
    beat.mutable_sender()->set_node_id(id);
    beat.mutable_sender()->set_broker_epoch(registered.broker_epoch());
    beat.set_applied_index(registered.broker_epoch());
    beat.set_ready(true);
    beat.set_session_timeout_ms(60'000);
    EXPECT_EQ((Ask<HeartbeatRequest, HeartbeatResponse>(&rpc::ControllerStub::Heartbeat, beat)
                   .outcome()
                   .error_code()),
              0);
  }

  CreateTopicsResponse CreateTopic(const std::string& name) {
    CreateTopicsRequest request;
    auto& topic = *request.add_topics();
    topic.set_name(name);
    topic.set_partition_count(2);
    topic.set_replication_factor(1);
    return Ask<CreateTopicsRequest, CreateTopicsResponse>(&rpc::ControllerStub::CreateTopics,
                                                          request);
  }

  DescribeQuorumResponse DescribeQuorum() {
    return Ask<DescribeQuorumRequest, DescribeQuorumResponse>(&rpc::ControllerStub::DescribeQuorum,
                                                              {});
  }

  ChangeQuorumResponse ChangeQuorum(const ChangeQuorumRequest& request) {
    return Ask<ChangeQuorumRequest, ChangeQuorumResponse>(&rpc::ControllerStub::ChangeQuorum,
                                                          request);
  }

  SystemClock clock_;
  ThreadEventLoop loop_{"test", clock_};
  std::vector<std::string> addresses_;
  std::vector<raft::VoterId> ids_;
  std::vector<std::unique_ptr<Voter>> voters_;
  std::unique_ptr<rpc::LeaderClient> leader_;
};

// A subscriber that builds the image from what the feed sends.
class Subscriber {
 public:
  Subscriber(const std::string& address, const metadata::ImagePtr& have) : image_(have) {
    SubscribeRequest request;
    request.mutable_sender()->set_cluster_id("cluster");
    request.set_last_index(have->last_index.value());
    request.set_last_term(have->last_term.value());
    *request.mutable_hash() = metadata::ToImageHash(*have);
    stub_ = Feed::NewStub(rpc::MakeChannel(address));
    rpc::SetTimeout(context_, kTimeoutMs);
    reader_ = stub_->Subscribe(&context_, request);
  }
  ~Subscriber() { context_.TryCancel(); }

  // Reads until the image has `index` and a word of progress has confirmed its hash.
  bool ReadUpTo(LogIndex index) {
    std::string snapshot;
    FeedMessage message;
    while (reader_->Read(&message)) {
      if (message.has_snapshot()) {
        ++snapshots;
        EXPECT_EQ(Crc32c(message.snapshot().data()), message.snapshot().crc32c());
        snapshot += message.snapshot().data();
        if (message.snapshot().last()) image_ = *metadata::FromSnapshot(snapshot);
      }
      for (const auto& entry : message.batch().entries()) {
        EXPECT_EQ(entry.index(), image_->last_index.value() + 1);
        metadata::ImageBuilder builder(image_);
        EXPECT_TRUE(builder.ApplyEntry(entry.data(), LogIndex(entry.index())).ok());
        image_ = builder.Build(LogIndex(entry.index()), Term(entry.term()));
      }
      if (!message.has_progress() || !message.progress().has_hash()) continue;
      EXPECT_FALSE(metadata::Contradicts(message.progress().hash(), *image_));
      if (image_->last_index >= index) return true;
    }
    return false;
  }

  const metadata::ImagePtr& image() const { return image_; }
  int snapshots = 0;

 private:
  metadata::ImagePtr image_;
  std::unique_ptr<Feed::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<FeedMessage>> reader_;
};

TEST_F(ControllerNodeTest, OneVoterServesAndRemembers) {
  StartQuorum(1);
  RegisterBroker(7);
  const CreateTopicsResponse created = CreateTopic("t");
  ASSERT_EQ(created.topics(0).error_code(), 0) << created.topics(0).message();
  Subscriber subscriber(addresses_[0], metadata::EmptyImage());
  ASSERT_TRUE(subscriber.ReadUpTo(LogIndex(created.applied_index())));
  EXPECT_NE(subscriber.image()->FindTopic("t"), nullptr);
  // From where it was: no snapshot.
  Subscriber again(addresses_[0], subscriber.image());
  const CreateTopicsResponse more = CreateTopic("u");
  ASSERT_TRUE(again.ReadUpTo(LogIndex(more.applied_index())));
  EXPECT_EQ(again.snapshots, 0);

  const uint64_t hash = metadata::StateHash(*voters_[0]->node->image());
  voters_[0]->node->TakeSnapshot();
  voters_[0]->Stop();
  voters_[0]->Start(clock_);
  EXPECT_EQ(DescribeQuorum().leader_id(), 1);
  EXPECT_EQ(metadata::StateHash(*voters_[0]->node->image()), hash);
}

TEST_F(ControllerNodeTest, ACleanStopHandsLeadershipOver) {
  StartQuorum(3);
  RegisterBroker(7);
  ASSERT_EQ(CreateTopic("t").topics(0).error_code(), 0);
  const int32_t first = DescribeQuorum().leader_id();
  voters_[static_cast<size_t>(first - 1)]->Stop();
  const CreateTopicsResponse created = CreateTopic("u");
  EXPECT_EQ(created.topics(0).error_code(), 0) << created.topics(0).message();
  const DescribeQuorumResponse quorum = DescribeQuorum();
  EXPECT_NE(quorum.leader_id(), first);
  EXPECT_EQ(quorum.voters_size(), 3);
  // A follower feeds its subscribers as well, and agrees with the leader on every bit.
  const int32_t follower = 6 - first - quorum.leader_id();
  Subscriber subscriber(addresses_[static_cast<size_t>(follower - 1)], metadata::EmptyImage());
  ASSERT_TRUE(subscriber.ReadUpTo(LogIndex(created.applied_index())));
  EXPECT_NE(subscriber.image()->FindTopic("u"), nullptr);
  // The stopped one returns and catches up.
  voters_[static_cast<size_t>(first - 1)]->Start(clock_);
  std::promise<void> applied;
  voters_[static_cast<size_t>(first - 1)]->node->WhenApplied(LogIndex(created.applied_index()),
                                                             [&] { applied.set_value(); });
  EXPECT_EQ(applied.get_future().wait_for(std::chrono::milliseconds(kTimeoutMs)),
            std::future_status::ready);
}

// Formatted without a bootstrap entry it knows nobody. Added, it gets the log, and where the others
// are; promoted, it votes; and it knows its own log again after a restart.
TEST_F(ControllerNodeTest, AControllerJoinsAndAnotherLeaves) {
  StartQuorum(2);
  const std::string address = "127.0.0.1:" + std::to_string(FreePorts(1)[0]);
  Voter joiner;
  joiner.config = ConfigOf(3, "1@" + addresses_[0] + ",3@" + address, address);
  const storage::DirectoryIdentity identity = {"cluster", NodeId(3), Disk(3)};
  const FormatOptions to_join = {
      .directory = "/data", .cluster_id = "cluster", .self = {NodeId(3), Disk(3)}};
  ASSERT_TRUE(FormatController(joiner.fs, to_join).ok());
  ASSERT_TRUE(storage::LogManager::Format(joiner.fs, "/data", identity).ok());
  joiner.Start(clock_);

  ChangeQuorumRequest change;
  change.set_operation(ChangeQuorumRequest::ADD_LEARNER);
  change.set_node_id(3);
  change.set_directory_id(std::string(Disk(3).view()));
  change.set_address(address);
  EXPECT_EQ(ChangeQuorum(change).outcome().error_code(), 0);
  change.set_operation(ChangeQuorumRequest::PROMOTE);
  // Refused until it has caught up.
  const int64_t deadline_ms = clock_.SteadyMs() + kTimeoutMs;
  ChangeQuorumResponse promoted = ChangeQuorum(change);
  while (promoted.outcome().error_code() != 0 && clock_.SteadyMs() < deadline_ms)
    promoted = ChangeQuorum(change);
  ASSERT_EQ(promoted.outcome().error_code(), 0) << promoted.outcome().message();

  // Whoever leads, 1 goes: the two that stay are a majority, and elect one of themselves.
  ChangeQuorumRequest removal;
  removal.set_operation(ChangeQuorumRequest::REMOVE);
  removal.set_node_id(1);
  removal.set_directory_id(std::string(Disk(1).view()));
  const ChangeQuorumResponse removed = ChangeQuorum(removal);
  ASSERT_EQ(removed.outcome().error_code(), 0) << removed.outcome().message();
  leader_->OnVoters({addresses_[1], address});
  EXPECT_EQ(DescribeQuorum().voters_size(), 2);
  Subscriber subscriber(address, metadata::EmptyImage());
  ASSERT_TRUE(subscriber.ReadUpTo(LogIndex(removed.applied_index())));
  const metadata::ControllerAddresses configured = {{NodeId(1), addresses_[0]},
                                                    {NodeId(2), addresses_[1]}};
  EXPECT_EQ(metadata::AddressesOfControllers(*subscriber.image(), configured),
            (metadata::ControllerAddresses{{NodeId(2), addresses_[1]}, {NodeId(3), address}}));
  joiner.Stop();
  joiner.Start(clock_);
  EXPECT_EQ(DescribeQuorum().voters_size(), 2);
  voters_[0]->Stop();
  voters_[0]->Start(clock_);
  EXPECT_FALSE(voters_[0]->node->active()) << "it has left, and starts all the same";
  joiner.Stop();
}

TEST_F(ControllerNodeTest, TheMetadataLogOfAnotherNodeIsRefused) {
  Voter voter;
  voter.config = ConfigOf(1, "1@127.0.0.1:1", "127.0.0.1:1");
  voter.config.log_directory = "/logs";
  voter.config.log_directories = {"/logs"};
  const FormatOptions to_join = {
      .directory = "/data", .cluster_id = "cluster", .self = {NodeId(1), Disk(1)}};
  ASSERT_TRUE(FormatController(voter.fs, to_join).ok());
  const auto open = [&] {
    const auto opened = ControllerNode::Open({.config = &voter.config,
                                              .file_system = &voter.fs,
                                              .clock = &clock_,
                                              .cluster_id = "cluster"});
    return opened.ok() ? std::string() : opened.status().message();
  };
  EXPECT_EQ(open(), "");
  voter.config.node_id = NodeId(4);
  EXPECT_NE(open().find("names node 1 of cluster cluster, and this is node 4"), std::string::npos);
  voter.config.node_id = NodeId(1);
  ASSERT_TRUE(voter.fs.Remove(kWhosePath).ok());
  const std::string why = open();
  EXPECT_NE(why.find("its meta.properties is missing"), std::string::npos) << why;
  EXPECT_NE(why.find("disk_id"), std::string::npos) << why;
}

TEST_F(ControllerNodeTest, ADirectoryOfAnotherClusterIsTold) {
  StartQuorum(3);
  const metadata::ServerConfig config = voters_[2]->config;
  voters_[2] = std::make_unique<Voter>();
  Voter& foreign = *voters_[2];
  foreign.config = config;
  foreign.cluster_id = "other";
  ASSERT_TRUE(FormatController(foreign.fs, {.directory = "/data",
                                            .cluster_id = "other",
                                            .self = {config.node_id, Disk(3)},
                                            .voters = ids_})
                  .ok());
  foreign.Start(clock_);
  auto refused = foreign.refused.get_future();
  ASSERT_EQ(refused.wait_for(std::chrono::milliseconds(kTimeoutMs)), std::future_status::ready);
  const std::string why = refused.get();
  EXPECT_NE(why.find("of cluster cluster, this node of cluster other"), std::string::npos) << why;
  // The others go on without it.
  RegisterBroker(7);
  EXPECT_EQ(CreateTopic("t").topics(0).error_code(), 0);
  foreign.Stop();
  EXPECT_EQ(foreign.refusals, 1);
  EXPECT_EQ(voters_[0]->refusals + voters_[1]->refusals, 0);
}

TEST_F(ControllerNodeTest, AMetadataLogOfAnotherClusterIsRefusedInThreeLines) {
  Voter voter;
  voter.config.node_id = NodeId(1);
  voter.config.metadata_directory = "/data";
  const raft::VoterId self{NodeId(1), Disk(1)};
  ASSERT_TRUE(
      FormatController(
          voter.fs, {.directory = "/data", .cluster_id = "cluster", .self = self, .voters = {self}})
          .ok());
  const auto open = [&] {
    const auto opened = ControllerNode::Open({.config = &voter.config,
                                              .file_system = &voter.fs,
                                              .clock = &clock_,
                                              .cluster_id = "other"});
    CHECK(!opened.ok());
    return opened.status().message();
  };
  const std::string named = open();
  EXPECT_NE(named.find("of cluster cluster, and this is node 1 of cluster other"),
            std::string::npos)
      << named;
  // The file alone is the right one.
  ASSERT_TRUE(voter.fs.Remove(kWhosePath).ok());
  ASSERT_TRUE(storage::LogManager::Format(voter.fs, "/data/__cluster_metadata-0",
                                          {"other", self.id, self.disk_id})
                  .ok());
  const std::string text = open();
  EXPECT_NE(text.find("the log is of cluster cluster, not of other"), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
}

// The plan of the cluster gives it its former disk id. It has forgotten its votes and all that it
// acknowledged, and one of the others is away when it comes back.
TEST_F(ControllerNodeTest, ADiskFormattedAgainVotesOnlyWhenItHasGotEverythingBack) {
  StartQuorum(3);
  RegisterBroker(7);
  ASSERT_EQ(CreateTopic("t").topics(0).error_code(), 0);
  const int32_t leader = DescribeQuorum().leader_id();
  Voter& away = *voters_[static_cast<size_t>(leader % 3)];
  Voter& wiped = *voters_[static_cast<size_t>((leader + 1) % 3)];
  away.Stop();
  ASSERT_EQ(CreateTopic("u").topics(0).error_code(), 0);
  wiped.Stop();
  ASSERT_TRUE(wiped.fs.RemoveAll("/data/__cluster_metadata-0").ok());
  ASSERT_TRUE(FormatController(wiped.fs, {.directory = "/data",
                                          .cluster_id = "cluster",
                                          .self = ids_[static_cast<size_t>((leader + 1) % 3)],
                                          .voters = ids_})
                  .ok());
  voters_[static_cast<size_t>(leader - 1)]->Stop();
  // These two would be a majority, and neither knows of u.
  wiped.Start(clock_);
  away.Start(clock_);
  // As long as several elections take.
  EXPECT_EQ(std::promise<void>().get_future().wait_for(std::chrono::seconds(1)),
            std::future_status::timeout);
  const auto status = [](const Voter& voter) { return voter.node->status(); };
  EXPECT_EQ(status(away).counts.elections_won + status(wiped).counts.elections_won, 0U);
  voters_[static_cast<size_t>(leader - 1)]->Start(clock_);
  ASSERT_EQ(CreateTopic("v").topics(0).error_code(), 0);
  for (const Voter* voter : {&away, &wiped}) {
    std::promise<void> applied;
    voter->node->WhenApplied(LogIndex(DescribeQuorum().commit_index()),
                             [&] { applied.set_value(); });
    ASSERT_EQ(applied.get_future().wait_for(std::chrono::milliseconds(kTimeoutMs)),
              std::future_status::ready);
    EXPECT_NE(voter->node->image()->FindTopic("u"), nullptr);
  }
  EXPECT_TRUE(Until([&] { return !status(wiped).recovering; }));
}

// All of it, for it begins with the bootstrap entry: the voter knows nobody, and the leader finds
// it.
TEST_F(ControllerNodeTest, WhatADamagedMetadataLogHasLostIsGivenBack) {
  StartQuorum(3);
  RegisterBroker(7);
  ASSERT_EQ(CreateTopic("t").topics(0).error_code(), 0);
  const int32_t follower = DescribeQuorum().leader_id() == 2 ? 3 : 2;
  Voter& voter = *voters_[static_cast<size_t>(follower - 1)];
  voter.Stop();
  const std::string log = "/data/__cluster_metadata-0/00000000000000000000.log";
  voter.fs.FlipBit(log, 100, 3);
  voter.Start(clock_);
  EXPECT_TRUE(voter.fs.Exists(log + ".damaged"));
  const CreateTopicsResponse created = CreateTopic("u");
  ASSERT_EQ(created.topics(0).error_code(), 0) << created.topics(0).message();
  std::promise<void> applied;
  voter.node->WhenApplied(LogIndex(created.applied_index()), [&] { applied.set_value(); });
  ASSERT_EQ(applied.get_future().wait_for(std::chrono::milliseconds(kTimeoutMs)),
            std::future_status::ready);
  EXPECT_NE(voter.node->image()->FindTopic("t"), nullptr);
}

TEST_F(ControllerNodeTest, LostVotesAreRefusedWithWhatHelpsAVoter) {
  StartQuorum(3);
  Voter& voter = *voters_[1];
  voter.Stop();
  const std::string directory = "/data/__cluster_metadata-0";
  const std::string votes = directory + "/quorum-state";
  const auto open = [&] {
    const auto opened = ControllerNode::Open({.config = &voter.config,
                                              .file_system = &voter.fs,
                                              .clock = &clock_,
                                              .cluster_id = "cluster"});
    CHECK(!opened.ok());
    return opened.status().message();
  };
  const auto check = [](const std::string& text, const std::string& what, bool broker) {
    EXPECT_TRUE(text.starts_with("the metadata log of controller 2 is " + what)) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
    EXPECT_NE(text.find("The cluster goes on while a majority"), std::string::npos) << text;
    EXPECT_EQ(text.find("process.roles=broker and controller.quorum.voters=1@127.0.0.1:") !=
                  std::string::npos,
              broker)
        << text;
    // A partition's remedy, and a formatting that would be refused.
    EXPECT_EQ(text.find("another replica"), std::string::npos) << text;
    EXPECT_EQ(text.find("cluster init"), std::string::npos) << text;
  };
  for (const uint64_t slot : {0, 512}) voter.fs.FlipBit(votes, slot + 20, 3);
  check(open(), "damaged", false);
  voter.config.is_broker = true;
  check(open(), "damaged", true);
  for (const uint64_t slot : {0, 512}) voter.fs.FlipBit(votes, slot + 20, 3);
  const auto file = voter.fs.Open(votes, OpenMode::kReadWrite);
  ASSERT_TRUE(file.ok() && (*file)->Truncate(150).ok());
  check(open(), "damaged", true);
  const std::string text = open();
  EXPECT_EQ(text.find(directory), text.rfind(directory)) << "named once: " << text;
  ASSERT_TRUE(voter.fs.RemoveAll(directory).ok());
  check(open(), "missing", true);
}

TEST_F(ControllerNodeTest, AnUnformattedDirectoryIsRefusedInThreeLines) {
  StartQuorum(1);
  Voter other;
  other.config = voters_[0]->config;
  const auto opened = ControllerNode::Open({.config = &other.config,
                                            .file_system = &other.fs,
                                            .clock = &clock_,
                                            .cluster_id = "cluster"});
  ASSERT_FALSE(opened.ok());
  const std::string& text = opened.status().message();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
}

}  // namespace
}  // namespace sluice::controller
