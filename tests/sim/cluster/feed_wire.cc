#include "tests/sim/cluster/feed_wire.h"

#include <utility>

#include "tests/sim/cluster/process.h"

namespace sluice::sim {
// What both ends know of one subscription.
class FeedStream final : public broker::FeedSubscription,
                         public Pending,
                         public std::enable_shared_from_this<FeedStream> {
 public:
  FeedStream(std::weak_ptr<Process> process, NodeId from, NodeId to, EventLoop& loop,
             broker::FeedHandlers handlers)
      : from_(from),
        to_(to),
        process_(std::move(process)),
        loop_(loop),
        handlers_(std::move(handlers)) {}

  void Cancel() override { over_ = true; }
  void Break(const std::string& why) override {
    if (std::exchange(over_, true) || process_.expired()) return;
    loop_.Post([self = shared_from_this(), why] { self->handlers_.on_end(why); });
  }
  bool over() const override { return over_; }

  // `read` runs once the subscriber has dealt with it.
  void Deliver(const controller::FeedMessage& message, std::function<void()> read) {
    if (over_ || process_.expired()) return;
    loop_.Post([self = shared_from_this(), message, read = std::move(read)] {
      if (self->over_) return;
      self->handlers_.on_message(message);
      read();
    });
  }
  // The controller sees that the subscriber's process or its connection is gone.
  bool gone() const { return over_ || process_.expired(); }
  bool process_gone() const { return process_.expired(); }

  NodeId from() const { return from_; }
  NodeId to() const { return to_; }

 private:
  const NodeId from_;
  const NodeId to_;
  const std::weak_ptr<Process> process_;  // the subscriber's
  EventLoop& loop_;
  const broker::FeedHandlers handlers_;
  bool over_ = false;
};

std::shared_ptr<broker::FeedSubscription> FeedWire::Subscribe(const std::string& address,
                                                              controller::SubscribeRequest request,
                                                              EventLoop& loop,
                                                              broker::FeedHandlers handlers) {
  const NodeId to = NodeAt(address);
  const auto stream =
      std::make_shared<FeedStream>(world_.process(self_), self_, to, loop, std::move(handlers));
  world_.Request(
      self_, to, kFeedLane, stream, [stream, request = std::move(request)](Process& target) {
        target.controller_loop().Post(
            [&target, stream, request] { target.feed_server().Accept(stream, request); });
      });
  return stream;
}

FeedServer::FeedServer(World& world, NodeId self, controller::FeedLog& feed, EventLoop& loop,
                       std::function<void(NodeId)> on_lost)
    : world_(world), self_(self), feed_(feed), loop_(loop), on_lost_(std::move(on_lost)) {
  listener_ = feed_.AddListener([this] { PumpAll(false); });
  ArmProgress();
}

FeedServer::~FeedServer() { feed_.RemoveListener(listener_); }

void FeedServer::ArmProgress() {
  loop_.RunAfter(kProgressMs, [this] {
    PumpAll(true);
    ArmProgress();
  });
}

void FeedServer::Accept(const std::shared_ptr<FeedStream>& stream,
                        const controller::SubscribeRequest& request) {
  if (stream->gone()) return;
  const auto session = std::make_shared<Session>(Session{
      stream, controller::FeedCursor(feed_, texts_, request), NodeId(request.sender().node_id())});
  sessions_.push_back(session);
  Pump(session);
}

void FeedServer::PumpAll(bool progress) {
  // What ended shows where the connection can still tell.
  std::vector<NodeId> lost;
  std::erase_if(sessions_, [this, &lost](const std::shared_ptr<Session>& session) {
    if (!session->stream->gone()) return false;
    const bool told = world_.network().OpenBothWays(self_, session->subscriber) &&
                      world_.power(session->subscriber) == Power::kOn;
    if (session->stream->process_gone() && told) lost.push_back(session->subscriber);
    return true;
  });
  for (const NodeId subscriber : lost) on_lost_(subscriber);
  for (const auto& session : sessions_) {
    if (progress) session->cursor.WantProgress();
    Pump(session);
  }
}

void FeedServer::Pump(const std::shared_ptr<Session>& session) {
  controller::FeedMessage message;
  if (session->under_way || session->stream->gone() || !session->cursor.Next(message)) return;
  session->under_way = true;
  const std::weak_ptr<Process> here = world_.process(self_);
  const auto next = [this, session, here] {
    if (here.expired()) return;
    loop_.Post([this, session] {
      session->under_way = false;
      Pump(session);
    });
  };
  world_.network().Carry(self_, session->stream->from(), kFeedLane,
                         [stream = session->stream, message = std::move(message), next] {
                           stream->Deliver(message, next);
                         });
}

}  // namespace sluice::sim
