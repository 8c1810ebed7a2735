#pragma once
// FeedWire: the metadata feed between simulated processes: as FeedConnector at the broker's end,
// and with the real FeedCursor at the controller's. One message is under way at a time, as a reader
// that is slow makes it over gRPC.
//
// Thread rule: one thread, as all of the simulator.

#include <memory>
#include <vector>

#include "broker/feed_connector.h"
#include "controller/feed_cursor.h"
#include "tests/sim/cluster/world.h"

namespace sluice::sim {

class FeedWire final : public broker::FeedConnector {
 public:
  FeedWire(World& world, NodeId self) : world_(world), self_(self) {}

  std::shared_ptr<broker::FeedSubscription> Subscribe(const std::string& address,
                                                      controller::SubscribeRequest request,
                                                      EventLoop& loop,
                                                      broker::FeedHandlers handlers) override;
  // Nothing is posted any more once they were cancelled.
  void Drain() override {}

 private:
  World& world_;
  const NodeId self_;
};

class FeedStream;

// The controller's end of all streams of one process.
class FeedServer {
 public:
  FeedServer(World& world, NodeId self, controller::FeedLog& feed, EventLoop& loop,
             std::function<void(NodeId)> on_lost);
  ~FeedServer();
  void Accept(const std::shared_ptr<FeedStream>& stream,
              const controller::SubscribeRequest& request);
  // Some processes have ended.
  void OnSubscribersGone() { PumpAll(false); }

 private:
  static constexpr int64_t kProgressMs = 500;

  struct Session {
    std::shared_ptr<FeedStream> stream;
    controller::FeedCursor cursor;
    NodeId subscriber;
    bool under_way = false;
  };
  void PumpAll(bool progress);
  void Pump(const std::shared_ptr<Session>& session);
  void ArmProgress();

  World& world_;
  const NodeId self_;
  controller::FeedLog& feed_;
  EventLoop& loop_;
  const std::function<void(NodeId)> on_lost_;
  controller::FeedImageTexts texts_;
  std::vector<std::shared_ptr<Session>> sessions_;
  uint64_t listener_;
};

}  // namespace sluice::sim
