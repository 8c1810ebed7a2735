#include "tests/sim/cluster/kafka_wire.h"

#include "tests/sim/cluster/process.h"

namespace sluice::sim {

class KafkaConnection::CallOf final : public Pending {
 public:
  explicit CallOf(std::function<void(Result<std::string>)> done) : done_(std::move(done)) {}
  void Break(const std::string& why) override { Finish(Status::Unavailable(why)); }
  bool over() const override { return done_ == nullptr; }
  void Finish(Result<std::string> frame) {
    if (auto done = std::exchange(done_, nullptr); done) done(std::move(frame));
  }
  void Drop() { done_ = nullptr; }

 private:
  std::function<void(Result<std::string>)> done_;
};

KafkaConnection::KafkaConnection(World& world, NodeId from, NodeId to)
    : world_(world),
      from_(from),
      to_(to),
      lane_(world.NewLane()),
      info_(std::make_shared<broker::ConnectionInfo>()) {
  info_->listener = "PLAINTEXT";
  info_->peer_address = "sim:" + std::to_string(lane_);
}

KafkaConnection::~KafkaConnection() {
  *alive_ = false;
  for (const auto& call : calls_) call->Drop();
  Close();
}

// The node hears of it when the bytes before have arrived.
void KafkaConnection::Close() {
  if (std::exchange(closed_, true)) return;
  world_.network().Carry(from_, to_, lane_, [info = info_] { info->parked.AbandonAll(); });
  // Not from inside of one of them.
  world_.network().After(0, [calls = std::exchange(calls_, {})] {
    for (const auto& call : calls) call->Break("the connection was closed");
  });
}

void KafkaConnection::Exchange(std::string frame, int64_t timeout_ms,
                               std::function<void(Result<std::string>)> done, FrameSent sent) {
  const auto call = std::make_shared<CallOf>(
      [this, alive = alive_, done = std::move(done)](Result<std::string> answer) {
        if (*alive && !answer.ok()) Close();
        done(std::move(answer));
      });
  std::erase_if(calls_, [](const auto& earlier) { return earlier->over(); });
  calls_.push_back(call);
  world_.network().After(timeout_ms, [call] { call->Finish(Status::Timeout("no answer")); });
  world_.Request(
      from_, to_, lane_, call,
      [&world = world_, from = from_, to = to_, lane = lane_, info = info_, call,
       frame = std::move(frame), sent = std::move(sent)](Process& target) {
        target.Serve(
            frame, info, [&world, &target, from, to, lane, call, sent](Result<std::string> answer) {
              const uint64_t size = answer.ok() ? answer->size() : 0;
              world.Trace("reply", size);
              if (answer.ok() && sent != nullptr) sent(target, *answer);
              world.network().Carry(to, from, lane,
                                    [call, answer = std::move(answer)] { call->Finish(answer); });
            });
      });
}

namespace {

class PeerConnection final : public broker::PeerClient {
 public:
  PeerConnection(World& world, NodeId from, NodeId to, EventLoop& loop)
      : world_(world), from_(from), to_(to), loop_(loop) {}
  ~PeerConnection() override { *alive_ = false; }

  void Fetch(const kafka::FetchRequest& request, int64_t timeout_ms,
             std::function<void(Result<kafka::FetchResponse>)> done) override {
    if (connection_ == nullptr || connection_->closed())
      connection_ = std::make_unique<KafkaConnection>(world_, from_, to_);
    connection_->Call<kafka::FetchRequest, kafka::FetchResponse>(
        request, kafka::FetchRequest::kVersionMax, timeout_ms,
        [&loop = loop_, alive = alive_,
         done = std::move(done)](Result<kafka::FetchResponse> response) {
          if (!*alive) return;
          loop.Post([done, response = std::move(response)] { done(response); });
        });
  }

 private:
  World& world_;
  const NodeId from_;
  const NodeId to_;
  EventLoop& loop_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::unique_ptr<KafkaConnection> connection_;
};

}  // namespace

std::shared_ptr<broker::PeerClient> PeerWire::Connect(const std::string&, int port,
                                                      EventLoop& loop) {
  return std::make_shared<PeerConnection>(world_, self_, NodeId(port - kKafkaPortBase), loop);
}

}  // namespace sluice::sim
