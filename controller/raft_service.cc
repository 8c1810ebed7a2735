#include "controller/raft_service.h"

#include <glog/logging.h>

#include <charconv>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "controller/raft_proto.h"
#include "controller/raft_stream.h"

namespace sluice::controller {

// What one stream has handed on and the loop has not come to yet. A mark goes after the messages
// through the loop, one at a time: when the loop comes to it, it has come to all before it.
class WaitingBytes : public std::enable_shared_from_this<WaitingBytes> {
 public:
  WaitingBytes(EventLoop& loop, size_t bytes_max) : loop_(loop), bytes_max_(bytes_max) {}

  // False: too much waits; `resume` is called on the loop when that is over, unless GiveUp was
  // first.
  bool Add(size_t bytes, std::function<void()> resume) {
    std::lock_guard lock(mutex_);
    handed_ += bytes;
    if (!mark_under_way_) SendMark();
    if (handed_ - taken_ < bytes_max_) return true;
    resume_ = std::move(resume);
    return false;
  }
  // Whether a `resume` was due, which is not called any more.
  bool GiveUp() {
    std::lock_guard lock(mutex_);
    return std::exchange(resume_, nullptr) != nullptr;
  }

 private:
  void SendMark() {
    mark_under_way_ = true;
    loop_.Post([self = shared_from_this(), handed = handed_] { self->OnMark(handed); });
  }
  void OnMark(uint64_t handed) {
    std::function<void()> resume;
    {
      std::lock_guard lock(mutex_);
      taken_ = handed;
      mark_under_way_ = false;
      if (handed_ > taken_) SendMark();
      if (handed_ - taken_ < bytes_max_) resume = std::exchange(resume_, nullptr);
    }
    if (resume) resume();
  }

  EventLoop& loop_;
  const size_t bytes_max_;
  std::mutex mutex_;  // guards all below
  uint64_t handed_ = 0;
  uint64_t taken_ = 0;
  bool mark_under_way_ = false;
  std::function<void()> resume_;
};

// One stream of one peer. Deletes itself when gRPC is done with it, which is after Finish: after a
// read that failed, or instead of one that was put off.
class RaftReceiver final
    : public grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent> {
 public:
  RaftReceiver(RaftService& service, std::string peer)
      : service_(service),
        peer_(std::move(peer)),
        waiting_(
            std::make_shared<WaitingBytes>(service.loop_, service.options_.waiting_bytes_max)) {
    // Tells the caller at once that the stream stands.
    StartSendInitialMetadata();
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    const size_t bytes = incoming_.ByteSizeLong();
    Result<raft::Message> message = FromProto(std::move(incoming_));
    incoming_.Clear();
    if (!message.ok()) {
      Drop(message.status());
      StartRead(&incoming_);
      return;
    }
    service_.on_message_(*std::move(message));
    if (waiting_->Add(bytes, [this] { StartRead(&incoming_); })) {
      StartRead(&incoming_);
    } else {
      service_.pauses_.fetch_add(1, std::memory_order_relaxed);
      if (cancelled_ && waiting_->GiveUp()) Finish(grpc::Status::CANCELLED);
    }
  }

  // The loop may have stopped, and never come to what would let this stream read on.
  void OnCancel() override {
    cancelled_ = true;
    if (waiting_->GiveUp()) Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override { delete this; }

 private:
  // The stream stays: a peer whose stream ends opens it again, with the same message.
  void Drop(const Status& why) {
    service_.refused_.fetch_add(1, std::memory_order_relaxed);
    if (std::exchange(drop_logged_, true)) return;
    LOG(WARNING) << "raft: a message from " << peer_ << " was dropped: " << why.message()
                 << ". More of this stream are only counted";
  }

  RaftService& service_;
  const std::string peer_;
  const std::shared_ptr<WaitingBytes> waiting_;
  std::atomic<bool> cancelled_{false};
  bool drop_logged_ = false;
  raftpb::RaftMessage incoming_;
};

namespace {

std::string ValueOf(const grpc::CallbackServerContext& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  return found == context.client_metadata().end()
             ? ""
             : std::string(found->second.data(), found->second.size());
}

}  // namespace

grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent>* RaftService::Exchange(
    grpc::CallbackServerContext* context) {
  const std::string id = ValueOf(*context, kCallerIdKey);
  int32_t node = -1;
  const auto parsed = std::from_chars(id.data(), id.data() + id.size(), node);
  std::string address = ValueOf(*context, kCallerAddressKey);
  const bool tells = parsed.ec == std::errc() && parsed.ptr == id.data() + id.size() && node >= 0;
  if (tells && !address.empty()) on_call_(NodeId(node), std::move(address));
  return new RaftReceiver(*this, context->peer());
}

}  // namespace sluice::controller
