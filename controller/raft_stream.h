#pragma once
// RaftStream: one outgoing gRPC stream of Raft messages. It lives until gRPC is done with it, which
// its owner can wait for.
//
// Thread rule: Write and Cancel on the owner's loop; the handlers are called on gRPC's threads.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/ids.h"
#include "proto/raft.grpc.pb.h"

namespace sluice::controller {

// What the caller tells of itself in a stream's metadata.
inline constexpr char kCallerIdKey[] = "sluice-raft-node";
inline constexpr char kCallerAddressKey[] = "sluice-raft-address";

// Counts the streams that gRPC still refers to.
class LiveStreams {
 public:
  void Add();
  void Remove();
  void WaitForNone();

 private:
  std::mutex mutex_;  // guards count_
  std::condition_variable none_;
  int count_ = 0;
};

class RaftStream final
    : public grpc::ClientBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent> {
 public:
  struct Handlers {
    std::function<void()> on_up;       // the other side has answered
    std::function<void()> on_written;  // the next message may be written
    std::function<void()> on_closed;   // the last call
  };

  // Who opens it, and where that one is to be answered.
  struct Caller {
    NodeId id = kNoNode;
    std::string address;
  };
  static std::shared_ptr<RaftStream> Open(raftpb::Raft::Stub& stub,
                                          std::shared_ptr<LiveStreams> live, const Caller& caller,
                                          Handlers handlers);

  // One at a time: the next after on_written. Ignored when the stream is ending.
  void Write(raftpb::RaftMessage message);
  void Cancel() { context_.TryCancel(); }

  void OnReadInitialMetadataDone(bool ok) override;
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  RaftStream(std::shared_ptr<LiveStreams> live, Handlers handlers)
      : live_(std::move(live)), handlers_(std::move(handlers)) {}

  const std::shared_ptr<LiveStreams> live_;
  Handlers handlers_;
  grpc::ClientContext context_;
  raftpb::RaftMessage outgoing_;
  raftpb::ExchangeEvent incoming_;
  std::mutex mutex_;  // guards ending_: no write may start once the hold is given back
  bool ending_ = false;
  std::shared_ptr<RaftStream> self_;  // until OnDone
};

}  // namespace sluice::controller
