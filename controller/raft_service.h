#pragma once
// RaftService: the receiving end of the quorum's messages over gRPC. It only parses and hands on.
//
// Thread rule: `on_message` is called on gRPC's threads; it posts to the owning loop
// (raft::Driver::Step does). The server is stopped before the service is destroyed.

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "proto/raft.grpc.pb.h"
#include "raft/types.h"

namespace sluice::controller {

class RaftService final : public raftpb::Raft::CallbackService {
 public:
  using OnMessage = std::function<void(raft::Message)>;

  // What cannot be read at all is dropped and counted; what else is refused, raft::Core says.
  explicit RaftService(OnMessage on_message) : on_message_(std::move(on_message)) {}

  grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent>* Exchange(
      grpc::CallbackServerContext* context) override;

  uint64_t messages_refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  const OnMessage on_message_;
  std::atomic<uint64_t> refused_{0};
};

}  // namespace sluice::controller
