#pragma once
// RaftService: the receiving end of the quorum's messages over gRPC. It only parses and hands on.
//
// While the loop has not come to what a stream has handed on, and that is more than so many bytes,
// the stream is not read: its sender is slowed down by gRPC, and drops and counts what its own
// queue cannot hold (raft_transport.h). Nothing is dropped here.
//
// Thread rule: `on_message` is called on gRPC's threads; it posts to `loop` (raft::Driver::Step
// does). So is `on_call`. The server is stopped before the service is destroyed, and the loop goes
// after it.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/event_loop.h"
#include "proto/raft.grpc.pb.h"
#include "raft/types.h"

namespace sluice::controller {

struct RaftServiceOptions {
  // Of messages of one stream that wait for the loop; one message more may come on top.
  size_t waiting_bytes_max = 16 << 20;
};

class RaftService final : public raftpb::Raft::CallbackService {
 public:
  using OnMessage = std::function<void(raft::Message)>;

  // A node has opened a stream, and says where it is to be answered.
  using OnCall = std::function<void(NodeId, std::string address)>;

  // What cannot be read at all is dropped and counted; what else is refused, raft::Core says.
  RaftService(EventLoop& loop, OnMessage on_message, OnCall on_call,
              RaftServiceOptions options = {})
      : loop_(loop),
        options_(options),
        on_message_(std::move(on_message)),
        on_call_(std::move(on_call)) {}

  grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent>* Exchange(
      grpc::CallbackServerContext* context) override;

  uint64_t messages_refused() const { return refused_.load(std::memory_order_relaxed); }
  // How often a stream was not read on because its messages waited.
  uint64_t pauses() const { return pauses_.load(std::memory_order_relaxed); }

 private:
  friend class RaftReceiver;
  EventLoop& loop_;
  const RaftServiceOptions options_;
  const OnMessage on_message_;
  const OnCall on_call_;
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> pauses_{0};
};

}  // namespace sluice::controller
