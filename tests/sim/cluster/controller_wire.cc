#include "tests/sim/cluster/controller_wire.h"

#include <utility>

#include "tests/sim/cluster/process.h"

namespace sluice::sim {
namespace {

using controller::MetadataController;

// Generated for each method twice; only the one with the callback is used.
#define SLUICE_SIM_CALL(METHOD)                                                               \
  void METHOD(grpc::ClientContext*, const controller::METHOD##Request* request,               \
              controller::METHOD##Response* response, std::function<void(grpc::Status)> done) \
      override {                                                                              \
    Send(&MetadataController::METHOD, *request, response, std::move(done));                   \
  }                                                                                           \
  void METHOD(grpc::ClientContext*, const controller::METHOD##Request*,                       \
              controller::METHOD##Response*, grpc::ClientUnaryReactor*) override {            \
    LOG(FATAL) << "the simulated stub has no reactors";                                       \
  }

class Connection final : public rpc::ControllerConnection, public rpc::ControllerStub {
 public:
  Connection(ControllerWire& wire, NodeId to, Lane lane) : wire_(wire), to_(to), lane_(lane) {}

  rpc::ControllerStub& ForAttempt(grpc::ClientContext&, int64_t timeout_ms, bool) override {
    timeout_ms_ = timeout_ms;
    return *this;
  }

  SLUICE_SIM_CALL(RegisterBroker)
  SLUICE_SIM_CALL(Heartbeat)
  SLUICE_SIM_CALL(AlterPartition)
  SLUICE_SIM_CALL(AllocateProducerIds)
  SLUICE_SIM_CALL(CreateTopics)
  SLUICE_SIM_CALL(DeleteTopics)
  SLUICE_SIM_CALL(CreatePartitions)
  SLUICE_SIM_CALL(AlterConfigs)
  SLUICE_SIM_CALL(DescribeQuorum)
  SLUICE_SIM_CALL(AssignReplicasToDirs)
  SLUICE_SIM_CALL(ChangeQuorum)
  SLUICE_SIM_CALL(TransferController)
  SLUICE_SIM_CALL(ElectLeaders)
  SLUICE_SIM_CALL(UnregisterBroker)
  SLUICE_SIM_CALL(ChangeBroker)
  SLUICE_SIM_CALL(AlterPartitionReassignments)

 private:
  // As a connection of HTTP/2 does: in order there, answers as they come.
  template <typename Request, typename Response>
  void Send(void (MetadataController::*method)(const Request&, std::function<void(Response)>),
            Request request, Response* response, std::function<void(grpc::Status)> done) {
    const auto attempt = wire_.Begin(timeout_ms_, std::move(done));
    World& world = wire_.world();
    const NodeId from = wire_.self();
    const auto answered = [&world, response, attempt, from, to = to_, lane = lane_](
                              const Process& target, Response answer) {
      if (!target.alive()) return;
      world.network().Carry(to, from, lane,
                            [response, attempt, answer = std::move(answer)]() mutable {
                              if (attempt->over()) return;
                              *response = std::move(answer);
                              attempt->Finish(grpc::Status::OK);
                            });
    };
    world.Request(from, to_, lane_, attempt,
                  [method, request = std::move(request), answered](Process& target) {
                    target.controller_loop().Post([&target, method, request, answered] {
                      (target.controller().*method)(request, [&target, answered](Response answer) {
                        answered(target, std::move(answer));
                      });
                    });
                  });
  }

  ControllerWire& wire_;
  const NodeId to_;
  const Lane lane_;
  int64_t timeout_ms_ = 0;
};

#undef SLUICE_SIM_CALL

}  // namespace

rpc::ConnectToController ControllerWire::connect(Lane lane) {
  return [this, lane](const std::string& address) {
    return std::make_unique<Connection>(*this, NodeAt(address), lane);
  };
}

std::shared_ptr<ControllerWire::Attempt> ControllerWire::Begin(
    int64_t timeout_ms, std::function<void(grpc::Status)> done) {
  std::erase_if(attempts_, [](const auto& weak) { return weak.expired(); });
  auto attempt = std::make_shared<Attempt>(std::move(done));
  attempts_.push_back(attempt);
  world_.network().After(timeout_ms, [attempt] {
    attempt->Finish(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "no answer in time"));
  });
  return attempt;
}

void ControllerWire::EndAll() {
  for (const auto& weak : attempts_) {
    if (const auto attempt = weak.lock())
      attempt->Finish(grpc::Status(grpc::StatusCode::CANCELLED, "the process ends"));
  }
}

}  // namespace sluice::sim
