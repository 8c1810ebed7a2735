#pragma once
// ControllerWire: a process's way to the controllers of other nodes, and of its own: what
// rpc::LeaderClient makes its attempts with, in the place of gRPC.
//
// Thread rule: one thread, as all of the simulator.

#include <memory>
#include <vector>

#include "rpc/leader_client.h"
#include "tests/sim/cluster/world.h"

namespace sluice::sim {

class ControllerWire {
 public:
  ControllerWire(World& world, NodeId self) : world_(world), self_(self) {}

  // All calls over it go by `lane`.
  rpc::ConnectToController connect(Lane lane);
  // The process ends: whoever waits is told so that it can go.
  void EndAll();

  // An attempt under way.
  class Attempt : public Pending {
   public:
    explicit Attempt(std::function<void(grpc::Status)> done) : done_(std::move(done)) {}
    void Finish(const grpc::Status& status) {
      if (auto done = std::exchange(done_, nullptr); done) done(status);
    }
    void Break(const std::string& why) override {
      Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, why));
    }
    bool over() const override { return done_ == nullptr; }

   private:
    std::function<void(grpc::Status)> done_;
  };

  World& world() { return world_; }
  NodeId self() const { return self_; }
  std::shared_ptr<Attempt> Begin(int64_t timeout_ms, std::function<void(grpc::Status)> done);

 private:
  World& world_;
  const NodeId self_;
  std::vector<std::weak_ptr<Attempt>> attempts_;
};

}  // namespace sluice::sim
