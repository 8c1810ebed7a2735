#include "controller/raft_transport.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <utility>

#include "controller/raft_proto.h"
#include "controller/raft_stream.h"
#include "rpc/channel.h"
#include "rpc/gate.h"
#include "rpc/tcp_prober.h"

namespace sluice::controller {

// All of it on the loop, but for the constructor and Stop.
class RaftTransport::Impl {
 public:
  Impl(RaftTransportOptions options, EventLoop& loop, OnPeerLost on_peer_lost)
      : options_(std::move(options)), loop_(loop), on_peer_lost_(std::move(on_peer_lost)) {
    for (const auto& [id, address] : options_.peers) MakeLink(id, address);
  }

  void Stop() {
    gate_->Close();
    for (auto& [id, link] : links_) {
      if (link.stream != nullptr) link.stream->Cancel();
    }
    live_->WaitForNone();
  }

  void Start() {
    started_ = true;
    for (auto& [id, link] : links_) {
      if (link.stream == nullptr && !link.waiting) Open(link);
    }
  }

  void Send(NodeId to, raft::Message message) {
    const auto link = links_.find(to);
    // Whoever asked need not be known here, or waits out its back-off.
    if (link == links_.end() || link->second.stream == nullptr) return CountDropped(to, 1);
    raftpb::RaftMessage proto = ToProto(std::move(message));
    const size_t bytes = proto.ByteSizeLong();
    if (link->second.queue_bytes + bytes > options_.queue_bytes_max) return CountDropped(to, 1);
    link->second.queue_bytes += bytes;
    link->second.queue.push_back(std::move(proto));
    Pump(link->second);
  }

  void SetPeers(const std::vector<raft::Member>& peers) {
    std::map<NodeId, std::string> addresses = options_.peers;
    for (const raft::Member& peer : peers) {
      if (!peer.address.empty()) addresses[peer.id.id] = peer.address;
    }
    for (const auto& [id, address] : addresses) Reach(id, address);
    for (auto& [id, link] : links_) {
      if (!addresses.contains(id) && !link.called && link.leave_timer == 0)
        link.leave_timer = loop_.RunAfter(options_.linger_ms, OnLeave(id));
    }
  }

  void PeerCalled(NodeId peer, const std::string& address) {
    if (peer == options_.self) return;
    const auto known = links_.find(peer);
    if (known != links_.end() && (!known->second.called || known->second.address == address))
      return;
    const auto callers =
        std::ranges::count_if(links_, [](const auto& link) { return link.second.called; });
    if (known == links_.end() && static_cast<size_t>(callers) >= options_.callers_max) return;
    if (known != links_.end()) Drop(peer);
    MakeLink(peer, address).called = true;
    if (started_) Open(links_.at(peer));
  }

  void PeerHeard(NodeId peer) {
    const auto link = links_.find(peer);
    if (link != links_.end() && link->second.waiting) Open(link->second);
  }

  std::map<NodeId, uint64_t> dropped() const {
    std::lock_guard lock(dropped_mutex_);
    return dropped_;
  }

 private:
  struct Link {
    NodeId id;
    std::string address;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<raftpb::Raft::Stub> stub;
    std::shared_ptr<RaftStream> stream;
    uint64_t generation = 0;  // of the stream: what an earlier one still reports is ignored
    bool up = false;
    bool writing = false;
    bool waiting = false;  // for the back-off to pass
    bool called = false;   // reached only because it called
    EventLoop::TimerId timer = 0;
    EventLoop::TimerId leave_timer = 0;
    int64_t backoff_ms = 0;
    std::deque<raftpb::RaftMessage> queue;
    size_t queue_bytes = 0;
  };

  Link& MakeLink(NodeId id, const std::string& address) {
    Link& link = links_[id];
    link.id = id;
    link.address = address;
    link.backoff_ms = options_.backoff_ms_min;
    link.channel = rpc::MakeChannel(address);
    link.stub = raftpb::Raft::NewStub(link.channel);
    return link;
  }

  void Reach(NodeId id, const std::string& address) {
    const auto known = links_.find(id);
    if (known != links_.end() && known->second.address == address) {
      Link& link = known->second;
      link.called = false;
      if (link.leave_timer != 0) loop_.Cancel(link.leave_timer);
      link.leave_timer = 0;
      return;
    }
    if (known != links_.end()) Drop(id);
    Link& link = MakeLink(id, address);
    if (started_) Open(link);
  }

  void Drop(NodeId id) {
    Link& link = links_.at(id);
    if (link.timer != 0) loop_.Cancel(link.timer);
    if (link.leave_timer != 0) loop_.Cancel(link.leave_timer);
    if (link.stream != nullptr) link.stream->Cancel();
    CountDropped(id, link.queue.size());
    links_.erase(id);
  }

  // Whoever calls may say any id: those count together.
  void CountDropped(NodeId to, size_t messages) {
    if (messages == 0) return;
    const auto link = links_.find(to);
    const bool stranger = link == links_.end() || link->second.called;
    std::lock_guard lock(dropped_mutex_);
    dropped_[stranger ? kNoNode : to] += messages;
  }

  // Runs `task(link)` on the loop if the transport and this stream of the link are still there.
  template <typename Task>
  std::function<void()> OnLoop(NodeId id, uint64_t generation, Task task) {
    return [this, &loop = loop_, gate = gate_, id, generation, task] {
      loop.Post(rpc::Guarded(gate, [this, id, generation, task] {
        const auto link = links_.find(id);
        if (link != links_.end() && link->second.generation == generation) task(link->second);
      }));
    };
  }

  void Open(Link& link) {
    if (link.timer != 0) loop_.Cancel(link.timer);
    link.timer = 0;
    link.waiting = false;
    link.up = false;
    link.writing = false;
    link.generation = ++generations_;
    rpc::HurryUp(*link.channel);
    link.stream = RaftStream::Open(
        *link.stub, live_, {options_.self, options_.self_address},
        {.on_up = OnLoop(link.id, link.generation, [this](Link& l) { OnUp(l); }),
         .on_written = OnLoop(link.id, link.generation, [this](Link& l) { OnWritten(l); }),
         .on_closed = OnLoop(link.id, link.generation, [this](Link& l) { OnClosed(l); })});
  }

  void OnUp(Link& link) {
    link.up = true;
    link.backoff_ms = options_.backoff_ms_min;
  }

  void Pump(Link& link) {
    if (link.writing || link.queue.empty() || link.stream == nullptr) return;
    link.writing = true;
    link.queue_bytes -= std::min(link.queue_bytes, link.queue.front().ByteSizeLong());
    link.stream->Write(std::move(link.queue.front()));
    link.queue.pop_front();
  }

  void OnWritten(Link& link) {
    link.writing = false;
    Pump(link);
  }

  void OnClosed(Link& link) {
    if (link.called) return Drop(link.id);  // it will call again
    const bool stood = link.up;
    link.stream.reset();
    link.up = false;
    CountDropped(link.id, link.queue.size());
    link.queue.clear();
    link.queue_bytes = 0;
    link.waiting = true;
    const int64_t wait_ms = link.backoff_ms;
    link.backoff_ms = std::min(link.backoff_ms * 2, options_.backoff_ms_max);
    link.timer = loop_.RunAfter(wait_ms, OnTimer(link.id));
    if (stood) Probe(link);
  }

  std::function<void()> OnTimer(NodeId id) {
    return rpc::Guarded(gate_, [this, id] {
      Link& link = links_.at(id);
      link.timer = 0;
      if (link.waiting) Open(link);
    });
  }

  std::function<void()> OnLeave(NodeId id) {
    return rpc::Guarded(gate_, [this, id] { Drop(id); });
  }

  // A stream that never stood says nothing new; one that did and broke is a hint.
  void Probe(Link& link) {
    prober_.Probe(link.address, {.answer_ms = options_.probe_timeout_ms},
                  [this, &loop = loop_, gate = gate_, id = link.id](rpc::ProbeOutcome outcome) {
                    loop.Post(rpc::Guarded(gate, [this, id, outcome] {
                      on_peer_lost_(id, outcome == rpc::ProbeOutcome::kRefused);
                      if (outcome == rpc::ProbeOutcome::kAccepted) PeerHeard(id);
                    }));
                  });
  }

  const RaftTransportOptions options_;
  EventLoop& loop_;
  const OnPeerLost on_peer_lost_;
  const std::shared_ptr<rpc::Gate> gate_ = std::make_shared<rpc::Gate>();
  const std::shared_ptr<LiveStreams> live_ = std::make_shared<LiveStreams>();
  std::map<NodeId, Link> links_;
  uint64_t generations_ = 0;
  bool started_ = false;
  mutable std::mutex dropped_mutex_;  // guards dropped_, and nothing is called under it
  std::map<NodeId, uint64_t> dropped_;
  rpc::TcpProber prober_;
};

RaftTransport::RaftTransport(RaftTransportOptions options, EventLoop& loop, OnPeerLost on_peer_lost)
    : impl_(std::make_unique<Impl>(std::move(options), loop, std::move(on_peer_lost))) {}

RaftTransport::~RaftTransport() { impl_->Stop(); }

void RaftTransport::Start() { impl_->Start(); }

void RaftTransport::Send(NodeId to, raft::Message message) { impl_->Send(to, std::move(message)); }

void RaftTransport::SetPeers(const std::vector<raft::Member>& peers) { impl_->SetPeers(peers); }

void RaftTransport::PeerCalled(NodeId peer, const std::string& address) {
  impl_->PeerCalled(peer, address);
}

void RaftTransport::PeerHeard(NodeId peer) { impl_->PeerHeard(peer); }

std::map<NodeId, uint64_t> RaftTransport::dropped() const { return impl_->dropped(); }

}  // namespace sluice::controller
