#include "controller/raft_service.h"

#include <glog/logging.h>

#include <charconv>
#include <utility>

#include "controller/raft_proto.h"
#include "controller/raft_stream.h"

namespace sluice::controller {
namespace {

// One stream of one peer. Deletes itself when gRPC is done with it.
class Receiver final : public grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent> {
 public:
  Receiver(const RaftService::OnMessage& on_message, std::atomic<uint64_t>& refused,
           std::string peer)
      : on_message_(on_message), refused_(refused), peer_(std::move(peer)) {
    // Tells the caller at once that the stream stands.
    StartSendInitialMetadata();
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status::OK);
      return;
    }
    Result<raft::Message> message = FromProto(std::move(incoming_));
    if (message.ok()) {
      on_message_(*std::move(message));
    } else {
      Drop(message.status());
    }
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnDone() override { delete this; }

 private:
  // The stream stays: a peer whose stream ends opens it again, with the same message.
  void Drop(const Status& why) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    if (std::exchange(drop_logged_, true)) return;
    LOG(WARNING) << "raft: a message from " << peer_ << " was dropped: " << why.message()
                 << ". More of this stream are only counted";
  }

  const RaftService::OnMessage& on_message_;
  std::atomic<uint64_t>& refused_;
  const std::string peer_;
  bool drop_logged_ = false;
  raftpb::RaftMessage incoming_;
};

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
  return new Receiver(on_message_, refused_, context->peer());
}

}  // namespace sluice::controller
