// simulated_brokers: brokers without logs, as controllers see them: they register, listen where the
// controllers may dial them, send heartbeats every 100 ms, and read the feed to the last byte. All
// of them are in this process; what the feed brings is replayed once for all.
//
//   simulated_brokers BROKERS VOTER_ADDRESS...   (of the voters 1, 2, ... in this order)
//
// It does what it is told, a line of stdin each, and answers each with one JSON object on stdout:
//   create TOPICS PARTITIONS PREFIX   topics of so many partitions with three replicas each, one
//                        request a topic, until every broker has read of the last
//   kill BROKER          closes all that it has, as if its process ended
//   silence BROKER       no heartbeats any more, though connections stay: it hangs
//                        of both: until every other broker has read that it leads nothing
//   ask                  until a controller has committed what is asked of it now
//   gap                  the longest time without an answered heartbeat since it was last asked
//
// Thread rule: each broker has a thread that reads its feed; heartbeats are on the loop; commands
// on the main thread.

#include <arpa/inet.h>
#include <glog/logging.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/random.h"
#include "base/uuid.h"
#include "metadata/replay.h"
#include "proto/controller.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/leader_client.h"

namespace sluice {
namespace {

constexpr int64_t kHeartbeatMs = 100;
constexpr int64_t kSessionMs = 600;
constexpr int64_t kAttemptMs = 600;
constexpr int64_t kPatienceMs = 600'000;
constexpr std::chrono::milliseconds kPause(20);
constexpr int32_t kReplicas = 3;
const SystemClock kClock;

template <typename T>
T Must(Result<T> result) {
  CHECK(result.ok()) << result.status().ToString();
  return *std::move(result);
}

double SecondsSince(int64_t begin_us) {
  return static_cast<double>(kClock.SteadyMicros() - begin_us) / 1e6;
}

Uuid IdOf(char kind, int broker) {
  return Uuid::FromBytes(std::string(15, kind) + static_cast<char>(broker));
}

// The image that the feeds of all brokers make together; each of them tells how far it has read.
class FeedReplay {
 public:
  explicit FeedReplay(int brokers) : read_(static_cast<size_t>(brokers)) {}

  controller::SubscribeRequest ResumeOf(int broker) {
    std::lock_guard lock(mutex_);
    controller::SubscribeRequest request;
    request.mutable_sender()->set_node_id(broker);
    request.set_last_index(Read(broker).index.value());
    request.set_last_term(Read(broker).term.value());
    // Only who has all of it is asked for the hash.
    if (Read(broker).index == image_->last_index)
      *request.mutable_hash() = metadata::ToImageHash(*image_);
    return request;
  }

  void Take(int broker, const controller::FeedMessage& message, std::string& snapshot) {
    std::lock_guard lock(mutex_);
    if (message.has_snapshot()) {
      snapshot += message.snapshot().data();
      if (message.snapshot().last()) TakeSnapshot(broker, std::exchange(snapshot, ""));
    }
    for (const auto& entry : message.batch().entries()) {
      if (LogIndex(entry.index()) == image_->last_index + 1) {
        metadata::ImageBuilder builder(image_);
        const Status applied = builder.ApplyEntry(entry.data(), LogIndex(entry.index()));
        CHECK(applied.ok()) << applied.ToString();
        image_ = builder.Build(LogIndex(entry.index()), Term(entry.term()));
      }
      Read(broker) = {LogIndex(entry.index()), Term(entry.term())};
    }
    changed_.notify_all();
  }

  // Waits until `done` holds for the image, and then until all brokers that are asked of have read
  // as far.
  void Await(const std::function<bool(const metadata::Image&)>& done,
             const std::function<bool(int)>& counts) {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    LogIndex seen(-2);
    const auto image_is_there = [&] {
      if (image_->last_index == seen) return false;
      seen = image_->last_index;
      return done(*image_);
    };
    CHECK(changed_.wait_until(lock, deadline, image_is_there)) << "not in the feed";
    const LogIndex index = image_->last_index;
    const auto all_have_it = [&] {
      for (int broker = 1; broker <= static_cast<int>(read_.size()); ++broker)
        if (counts(broker) && Read(broker).index < index) return false;
      return true;
    };
    CHECK(changed_.wait_until(lock, deadline, all_have_it)) << "a feed does not come to " << index;
  }

  LogIndex IndexOf(int broker) {
    std::lock_guard lock(mutex_);
    return Read(broker).index;
  }

 private:
  struct Position {
    LogIndex index{-1};
    Term term;
  };
  Position& Read(int broker) { return read_[static_cast<size_t>(broker - 1)]; }
  void TakeSnapshot(int broker, const std::string& bytes) {
    const metadata::ImagePtr image = Must(metadata::FromSnapshot(bytes));
    Read(broker) = {image->last_index, image->last_term};
    if (image->last_index > image_->last_index) image_ = image;
  }

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  metadata::ImagePtr image_ = metadata::EmptyImage();
  std::vector<Position> read_;
};

// One broker: what it listens on, its place in the cluster, and the thread that reads its feed.
class Broker {
 public:
  Broker(int id, std::vector<std::string> voters, rpc::LeaderClient& leader, EventLoop& loop,
         FeedReplay& feed)
      : id_(id), voters_(std::move(voters)), leader_(leader), loop_(loop), feed_(feed) {
    Listen();
  }

  ~Broker() {
    Kill();
    reader_.join();
  }

  void Register() {
    controller::RegisterBrokerRequest request;
    auto& broker = *request.mutable_broker();
    broker.set_broker_id(id_);
    broker.set_incarnation_id(std::string(IdOf('i', id_).view()));
    broker.set_directory_id(std::string(IdOf('d', id_).view()));
    broker.set_grpc_address("127.0.0.1:" + std::to_string(port_));
    metadata::Endpoint& endpoint = *broker.add_endpoints();
    endpoint.set_listener("PLAINTEXT");
    endpoint.set_host("127.0.0.1");
    endpoint.set_port(port_);
    request.set_session_timeout_ms(kSessionMs);
    std::promise<Result<controller::RegisterBrokerResponse>> answer;
    leader_.Call<controller::RegisterBrokerRequest, controller::RegisterBrokerResponse>(
        &rpc::ControllerStub::RegisterBroker, request,
        {.timeout_ms = kPatienceMs, .attempt_timeout_ms = 10 * kAttemptMs},
        [&answer](auto response) { answer.set_value(std::move(response)); });
    const auto registered = Must(answer.get_future().get());
    CHECK_EQ(registered.outcome().error_code(), 0) << registered.outcome().message();
    epoch_ = registered.broker_epoch();
    reader_ = std::thread([this] { ReadFeed(); });
    loop_.Post([this] { Beat(); });
  }

  // Before the process ends or as the death of its own.
  void Kill() {
    Silence();
    if (!living_.exchange(false)) return;
    ::close(listening_);
    std::lock_guard lock(stream_mutex_);
    if (stream_ != nullptr) stream_->TryCancel();
  }
  void Silence() { beating_ = false; }
  bool beating() const { return beating_; }
  bool in_service() const { return in_service_; }
  int64_t TakeGapUs() {
    const int64_t open_us = kClock.SteadyMicros() - answered_us_;
    return std::max(open_us, gap_us_.exchange(0));
  }
  controller::Sender AsSender() const {
    controller::Sender sender;
    sender.set_node_id(id_);
    sender.set_broker_epoch(epoch_);
    return sender;
  }

 private:
  void Listen() {
    listening_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK_EQ(::bind(listening_, reinterpret_cast<sockaddr*>(&address), size), 0);
    CHECK_EQ(::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    CHECK_EQ(::listen(listening_, 100), 0);
    port_ = ntohs(address.sin_port);
  }

  void Beat() {
    if (!beating_) return;
    controller::HeartbeatRequest request;
    *request.mutable_sender() = AsSender();
    request.set_applied_index(feed_.IndexOf(id_).value());
    request.set_ready(true);
    request.set_session_timeout_ms(kSessionMs);
    leader_.Call<controller::HeartbeatRequest, controller::HeartbeatResponse>(
        &rpc::ControllerStub::Heartbeat, request,
        {.timeout_ms = kAttemptMs, .attempt_timeout_ms = kAttemptMs / 2},
        [this](const Result<controller::HeartbeatResponse>& response) { OnBeat(response); });
  }

  void OnBeat(const Result<controller::HeartbeatResponse>& response) {
    if (response.ok() && response->outcome().error_code() == 0) {
      const int64_t now_us = kClock.SteadyMicros();
      if (answered_us_ != 0) gap_us_ = std::max<int64_t>(gap_us_, now_us - answered_us_);
      answered_us_ = now_us;
      in_service_ = !response->fenced();
    }
    loop_.RunAfter(kHeartbeatMs, [this] { Beat(); });
  }

  void ReadFeed() {
    for (size_t attempt = static_cast<size_t>(id_); living_; ++attempt) {
      attempt %= voters_.size();
      const auto stub = controller::Feed::NewStub(rpc::MakeChannel(voters_[attempt]));
      grpc::ClientContext context;
      {
        std::lock_guard lock(stream_mutex_);
        stream_ = &context;
      }
      const auto reader = stub->Subscribe(&context, feed_.ResumeOf(id_));
      controller::FeedMessage message;
      std::string snapshot;
      bool at_leader = true;
      while (living_ && at_leader && reader->Read(&message)) {
        feed_.Take(id_, message, snapshot);
        // As real ones: the active controller learns from its streams who is gone.
        const int32_t leader = message.has_progress() ? message.progress().leader_id() : -1;
        at_leader = leader < 1 || static_cast<size_t>(leader) == attempt + 1;
        if (!at_leader) attempt = static_cast<size_t>(leader) - 2;
      }
      std::unique_lock lock(stream_mutex_);
      stream_ = nullptr;
      context.TryCancel();
      lock.unlock();
      if (at_leader) std::this_thread::sleep_for(kPause);
    }
  }

  const int id_;
  const std::vector<std::string> voters_;
  rpc::LeaderClient& leader_;
  EventLoop& loop_;
  FeedReplay& feed_;
  int listening_ = -1;
  int port_ = 0;
  int64_t epoch_ = -1;
  std::atomic<bool> living_ = true;
  std::atomic<bool> beating_ = true;
  std::atomic<bool> in_service_ = false;
  std::atomic<int64_t> answered_us_ = 0;
  std::atomic<int64_t> gap_us_ = 0;
  std::thread reader_;
  std::mutex stream_mutex_;
  grpc::ClientContext* stream_ = nullptr;  // guarded by stream_mutex_
};

class Brokers {
 public:
  Brokers(int count, const std::vector<std::string>& voters)
      : feed_(count), leader_(voters, loop_) {
    for (int id = 1; id <= count; ++id) {
      brokers_.push_back(std::make_unique<Broker>(id, voters, leader_, loop_, feed_));
      brokers_.back()->Register();
    }
    const auto all_serve = [this] {
      return std::all_of(brokers_.begin(), brokers_.end(),
                         [](const auto& broker) { return broker->in_service(); });
    };
    while (!all_serve()) std::this_thread::sleep_for(kPause);
  }

  void Create(int topics, int partitions, const std::string& prefix) {
    std::string last;
    for (int t = 0; t < topics; ++t) {
      controller::CreateTopicsRequest request;
      // The active controller may change meanwhile.
      request.set_request_id(std::string(Uuid::Generate(random_).view()));
      auto& topic = *request.add_topics();
      topic.set_name(last = prefix + std::to_string(t));
      topic.set_partition_count(partitions);
      topic.set_replication_factor(kReplicas);
      std::promise<Result<controller::CreateTopicsResponse>> answer;
      leader_.Call<controller::CreateTopicsRequest, controller::CreateTopicsResponse>(
          &rpc::ControllerStub::CreateTopics, request,
          {.timeout_ms = kPatienceMs, .attempt_timeout_ms = kPatienceMs},
          [&answer](auto response) { answer.set_value(std::move(response)); });
      const auto created = Must(answer.get_future().get());
      CHECK_EQ(created.topics(0).error_code(), 0) << created.topics(0).message();
    }
    feed_.Await([&](const metadata::Image& image) { return image.FindTopic(last) != nullptr; },
                Alive());
  }

  void End(int broker, bool killed) {
    Broker& ended = *brokers_[static_cast<size_t>(broker - 1)];
    if (killed) ended.Kill();
    ended.Silence();
    feed_.Await(
        [broker](const metadata::Image& image) {
          if (!image.FindBroker(NodeId(broker))->fenced) return false;
          for (const auto& [id, topic] : *image.topics_by_id)
            for (const auto& partition : topic->partitions)
              if (partition.leader == NodeId(broker)) return false;
          return true;
        },
        Alive());
  }

  void Ask() {
    for (const int64_t deadline_ms = kClock.SteadyMs() + kPatienceMs;;) {
      controller::AllocateProducerIdsRequest request;
      *request.mutable_sender() = brokers_.back()->AsSender();
      std::promise<Result<controller::AllocateProducerIdsResponse>> answer;
      leader_.Call<controller::AllocateProducerIdsRequest, controller::AllocateProducerIdsResponse>(
          &rpc::ControllerStub::AllocateProducerIds, request,
          {.timeout_ms = kAttemptMs, .attempt_timeout_ms = kAttemptMs},
          [&answer](auto response) { answer.set_value(std::move(response)); });
      const auto allocated = answer.get_future().get();
      if (allocated.ok() && allocated->outcome().error_code() == 0) return;
      CHECK_LT(kClock.SteadyMs(), deadline_ms) << allocated.status().ToString();
    }
  }

  double TakeGap() {
    int64_t longest_us = 0;
    for (const auto& broker : brokers_)
      if (broker->beating()) longest_us = std::max(longest_us, broker->TakeGapUs());
    return static_cast<double>(longest_us) / 1e6;
  }

  void Stop() {
    for (const auto& broker : brokers_) broker->Kill();
    leader_.Stop();
  }

 private:
  std::function<bool(int)> Alive() const {
    return [this](int broker) { return brokers_[static_cast<size_t>(broker - 1)]->beating(); };
  }

  Random random_ = Random::FromSystem();
  ThreadEventLoop loop_{"brokers", kClock};
  FeedReplay feed_;
  rpc::LeaderClient leader_;
  std::vector<std::unique_ptr<Broker>> brokers_;
};

void Run(Brokers& brokers) {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    const int64_t begin_us = kClock.SteadyMicros();
    double seconds = -1;
    if (command == "create") {
      int topics = 0;
      int partitions = 0;
      std::string prefix;
      words >> topics >> partitions >> prefix;
      brokers.Create(topics, partitions, prefix);
    } else if (command == "kill" || command == "silence") {
      int broker = 0;
      words >> broker;
      brokers.End(broker, command == "kill");
    } else if (command == "ask") {
      brokers.Ask();
    } else if (command == "gap") {
      seconds = brokers.TakeGap();
    } else {
      LOG(FATAL) << "what is '" << line << "'?";
    }
    std::printf("{\"seconds\": %.4f}\n", seconds < 0 ? SecondsSince(begin_us) : seconds);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "%s BROKERS VOTER_ADDRESS...\n", argv[0]);
    return 2;
  }
  const int64_t begin_us = sluice::kClock.SteadyMicros();
  sluice::Brokers brokers(std::atoi(argv[1]), {argv + 2, argv + argc});
  std::printf("{\"seconds\": %.4f}\n", sluice::SecondsSince(begin_us));
  std::fflush(stdout);
  sluice::Run(brokers);
  brokers.Stop();
  return 0;
}
