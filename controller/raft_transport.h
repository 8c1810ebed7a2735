#pragma once
// RaftTransport: raft::Transport over gRPC. One stream to each other member carries all messages to
// it; a stream that ends is opened again after 50 to 500 ms. When one that stood breaks, the
// address is dialled plainly: "refused" tells Raft that the process is gone.
//
// Where a node is reached: at the address that it joined with, else as configured, else, for nodes
// that are no members as far as this one knows, where they said when they called: a voter that lags
// has to answer a candidate that it has not heard of.
//
// Thread rule: all methods on `loop`, but for dropped() and the destructor, which waits for gRPC
// and runs after the loop has stopped (or elsewhere while nothing else uses the transport). gRPC's
// callbacks only post to the loop.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/ids.h"
#include "raft/transport.h"

namespace sluice::controller {

struct RaftTransportOptions {
  NodeId self = kNoNode;
  std::string self_address;             // where the others can answer
  std::map<NodeId, std::string> peers;  // the configured gRPC addresses of others, host:port
  int64_t backoff_ms_min = 50;
  int64_t backoff_ms_max = 500;
  int probe_timeout_ms = 200;
  size_t queue_bytes_max =
      32 << 20;              // to one peer; what comes on top is dropped, Raft sends it again
  int64_t linger_ms = 1000;  // that the last words to a former member may take
  size_t callers_max = 16;   // nodes that are reached only because they called
};

class RaftTransport final : public raft::Transport {
 public:
  using OnPeerLost = std::function<void(NodeId peer, bool refused)>;

  // `on_peer_lost` is called on the loop.
  RaftTransport(RaftTransportOptions options, EventLoop& loop, OnPeerLost on_peer_lost);
  ~RaftTransport() override;

  // Opens the streams, so that a peer's end is noticed though nothing is sent to it.
  void Start();
  void Send(NodeId to, raft::Message message) override;
  void SetPeers(const std::vector<raft::Member>& peers) override;
  // A stream came in from `peer`, which is to be answered at `address`.
  void PeerCalled(NodeId peer, const std::string& address);
  // A message came from `peer`, so it lives: a stream that waits out its back-off is opened now.
  void PeerHeard(NodeId peer);
  // Messages that were never written to a stream, by whom they were for; kNoNode: who is no member
  // and not configured. From any thread.
  std::map<NodeId, uint64_t> dropped() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::controller
