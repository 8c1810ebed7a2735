#pragma once
// RaftService: the receiving end of the quorum's messages over gRPC. It only parses and hands on.
//
// Thread rule: `on_message` is called on gRPC's threads; it posts to the owning loop
// (raft::Driver::Step does). So is `on_call`. The server is stopped before the service is
// destroyed.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "proto/raft.grpc.pb.h"
#include "raft/types.h"

namespace sluice::controller {

class RaftService final : public raftpb::Raft::CallbackService {
 public:
  using OnMessage = std::function<void(raft::Message)>;

  // A node has opened a stream, and says where it is to be answered.
  using OnCall = std::function<void(NodeId, std::string address)>;

  // What cannot be read at all is dropped and counted; what else is refused, raft::Core says.
  RaftService(OnMessage on_message, OnCall on_call)
      : on_message_(std::move(on_message)), on_call_(std::move(on_call)) {}

  grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent>* Exchange(
      grpc::CallbackServerContext* context) override;

  uint64_t messages_refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  const OnMessage on_message_;
  const OnCall on_call_;
  std::atomic<uint64_t> refused_{0};
};

}  // namespace sluice::controller
