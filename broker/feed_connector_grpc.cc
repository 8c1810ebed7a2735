#include "broker/feed_connector_grpc.h"

#include <glog/logging.h>
#include <grpcpp/grpcpp.h>

#include <utility>

#include "proto/controller.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/gate.h"

namespace sluice::broker {
namespace {

// gRPC calls it from its threads; each message goes to the loop, and the next is read when that one
// has been dealt with. It holds itself until gRPC is done with it.
class Stream final : public grpc::ClientReadReactor<controller::FeedMessage>,
                     public FeedSubscription,
                     public std::enable_shared_from_this<Stream> {
 public:
  Stream(const std::string& address, controller::SubscribeRequest request, EventLoop& loop,
         FeedHandlers handlers, std::shared_ptr<rpc::Gate> streams)
      : streams_(std::move(streams)),
        loop_(loop),
        handlers_(std::move(handlers)),
        request_(std::move(request)),
        channel_(rpc::MakeChannel(address)),
        stub_(controller::Feed::NewStub(channel_)) {}

  void Begin() {
    CHECK(streams_->Enter());
    self_ = shared_from_this();
    stub_->async()->Subscribe(&context_, &request_, this);
    AddHold();  // reads start outside of gRPC's callbacks: without it the call could end between
                // two of them
    StartRead(&message_);
    StartCall();
  }
  void Cancel() override { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      RemoveHold();  // OnDone follows
      return;
    }
    loop_.Post([self = shared_from_this()] {
      self->handlers_.on_message(self->message_);
      self->StartRead(&self->message_);
    });
  }
  void OnDone(const grpc::Status& status) override {
    const std::string why =
        status.ok() ? "the controller ended the stream" : status.error_message();
    loop_.Post([self = self_, why] { self->handlers_.on_end(why); });
    const std::shared_ptr<rpc::Gate> streams = streams_;
    const std::shared_ptr<Stream> self = std::move(self_);
    streams->Leave();
  }

 private:
  const std::shared_ptr<rpc::Gate> streams_;  // inside until gRPC is done with it
  EventLoop& loop_;
  const FeedHandlers handlers_;
  const controller::SubscribeRequest request_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<controller::Feed::Stub> stub_;
  grpc::ClientContext context_;
  controller::FeedMessage message_;
  std::shared_ptr<Stream> self_;  // until OnDone
};

class GrpcFeedConnector final : public FeedConnector {
 public:
  std::shared_ptr<FeedSubscription> Subscribe(const std::string& address,
                                              controller::SubscribeRequest request, EventLoop& loop,
                                              FeedHandlers handlers) override {
    auto stream =
        std::make_shared<Stream>(address, std::move(request), loop, std::move(handlers), streams_);
    stream->Begin();
    return stream;
  }
  void Drain() override { streams_->Close(); }

 private:
  const std::shared_ptr<rpc::Gate> streams_ = std::make_shared<rpc::Gate>();
};

}  // namespace

std::unique_ptr<FeedConnector> NewGrpcFeedConnector() {
  return std::make_unique<GrpcFeedConnector>();
}

}  // namespace sluice::broker
