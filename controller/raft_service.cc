#include "controller/raft_service.h"

#include <glog/logging.h>

#include "controller/raft_proto.h"

namespace sluice::controller {
namespace {

// One stream of one peer. Deletes itself when gRPC is done with it.
class Receiver final : public grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent> {
 public:
  Receiver(const RaftService::OnMessage& on_message, std::string peer)
      : on_message_(on_message), peer_(std::move(peer)) {
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
    if (!message.ok()) {
      LOG(WARNING) << "raft: closing the stream of " << peer_ << ": " << message.status().message();
      Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, message.status().message()));
      return;
    }
    on_message_(*std::move(message));
    incoming_.Clear();
    StartRead(&incoming_);
  }

  void OnDone() override { delete this; }

 private:
  const RaftService::OnMessage& on_message_;
  const std::string peer_;
  raftpb::RaftMessage incoming_;
};

}  // namespace

grpc::ServerBidiReactor<raftpb::RaftMessage, raftpb::ExchangeEvent>* RaftService::Exchange(
    grpc::CallbackServerContext* context) {
  return new Receiver(on_message_, context->peer());
}

}  // namespace sluice::controller
