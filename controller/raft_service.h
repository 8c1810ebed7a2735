#pragma once
// RaftService: the receiving end of the quorum's messages over gRPC. It only parses and hands on.
//
// Thread rule: `on_message` is called on gRPC's threads; it posts to the owning loop
// (raft::Driver::Step does). The server is stopped before the service is destroyed.

#include <functional>
#include <utility>

#include "proto/raft.grpc.pb.h"
#include "raft/types.h"

namespace sluice::controller {

class RaftService final : public raftpb::Raft::CallbackService {
 public:
  using OnMessage = std::function<void(raft::Message)>;

  explicit RaftService(OnMessage on_message) : on_message_(std::move(on_message)) {}

  grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent>* Exchange(
      grpc::CallbackServerContext* context) override;

 private:
  const OnMessage on_message_;
};

}  // namespace sluice::controller
