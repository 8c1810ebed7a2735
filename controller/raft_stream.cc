#include "controller/raft_stream.h"

#include <utility>

namespace sluice::controller {

void LiveStreams::Add() {
  std::lock_guard lock(mutex_);
  ++count_;
}

void LiveStreams::Remove() {
  std::lock_guard lock(mutex_);
  if (--count_ == 0) none_.notify_all();
}

void LiveStreams::WaitForNone() {
  std::unique_lock lock(mutex_);
  none_.wait(lock, [this] { return count_ == 0; });
}

std::shared_ptr<RaftStream> RaftStream::Open(raftpb::Raft::Stub& stub,
                                             std::shared_ptr<LiveStreams> live,
                                             const Caller& caller, Handlers handlers) {
  std::shared_ptr<RaftStream> stream(new RaftStream(std::move(live), std::move(handlers)));
  stream->self_ = stream;
  stream->live_->Add();
  stream->context_.AddMetadata(kCallerIdKey, std::to_string(caller.id.value()));
  stream->context_.AddMetadata(kCallerAddressKey, caller.address);
  stub.async()->Exchange(&stream->context_, stream.get());
  // Writes start outside gRPC's callbacks: the hold keeps the stream from being done meanwhile. It
  // is given back when the read, pending for as long as the stream stands, fails.
  stream->AddHold();
  stream->StartRead(&stream->incoming_);
  stream->StartCall();
  return stream;
}

void RaftStream::Write(raftpb::RaftMessage message) {
  std::lock_guard lock(mutex_);
  if (ending_) return;
  outgoing_ = std::move(message);
  StartWrite(&outgoing_);
}

void RaftStream::OnReadInitialMetadataDone(bool ok) {
  if (ok) handlers_.on_up();
}

void RaftStream::OnReadDone(bool ok) {
  if (ok) {
    StartRead(&incoming_);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  RemoveHold();
}

void RaftStream::OnWriteDone(bool ok) {
  if (ok) {
    handlers_.on_written();
  } else {
    // The read fails too, in its own time; this makes sure of it.
    context_.TryCancel();
  }
}

void RaftStream::OnDone(const grpc::Status&) {
  handlers_.on_closed();
  const std::shared_ptr<RaftStream> last = std::move(self_);
  live_->Remove();
}

}  // namespace sluice::controller
