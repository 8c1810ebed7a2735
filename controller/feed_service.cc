#include "controller/feed_service.h"

#include <set>

#include "controller/feed_cursor.h"
#include "proto/controller.grpc.pb.h"

namespace sluice::controller {

class FeedStream;

class FeedService::Impl final : public Feed::CallbackService,
                                public std::enable_shared_from_this<Impl> {
 public:
  Impl(FeedServiceOptions options, FeedLog& feed, EventLoop& loop)
      : options_(std::move(options)), feed_(feed), loop_(loop) {}

  void Start();
  void Stop();
  grpc::ServerWriteReactor<FeedMessage>* Subscribe(grpc::CallbackServerContext* context,
                                                   const SubscribeRequest* request) override;
  void Remove(const std::shared_ptr<FeedStream>& stream);
  size_t streams() const {
    std::lock_guard lock(mutex_);
    return streams_.size();
  }

  const FeedServiceOptions& options() const { return options_; }
  FeedLog& feed() { return feed_; }
  FeedImageTexts& texts() { return texts_; }

 private:
  std::vector<std::shared_ptr<FeedStream>> Streams() const;
  void ArmProgress();

  const FeedServiceOptions options_;
  FeedLog& feed_;
  EventLoop& loop_;
  FeedImageTexts texts_;
  uint64_t listener_ = 0;
  mutable std::mutex mutex_;  // guards all below; not held while calling streams
  std::set<std::shared_ptr<FeedStream>> streams_;
  bool stopped_ = false;
};

// One subscriber. It holds itself until gRPC is done with it.
class FeedStream final : public grpc::ServerWriteReactor<FeedMessage>,
                         public std::enable_shared_from_this<FeedStream> {
 public:
  FeedStream(std::shared_ptr<FeedService::Impl> service, const SubscribeRequest& request)
      : service_(std::move(service)),
        subscriber_(request.sender().node_id()),
        cursor_(service_->feed(), service_->texts(), request) {}

  void Begin() {
    self_ = shared_from_this();
    Pump(false);
  }

  // Sends what there is to send, unless a message is under way; `progress`: also a word of
  // progress.
  void Pump(bool progress) {
    std::lock_guard lock(mutex_);
    if (progress) cursor_.WantProgress();
    if (!writing_ && !finished_) WriteNext();
  }

  void End(const grpc::Status& status) {
    std::lock_guard lock(mutex_);
    FinishLocked(status);
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (finished_) {
      Finish(status_);
    } else if (!ok) {
      FinishLocked(grpc::Status(grpc::StatusCode::CANCELLED, "the subscriber is gone"));
    } else {
      WriteNext();
    }
  }
  void OnCancel() override {
    End(grpc::Status(grpc::StatusCode::CANCELLED, "the subscriber is gone"));
    if (service_->options().on_lost) service_->options().on_lost(subscriber_);
  }
  void OnDone() override {
    const std::shared_ptr<FeedStream> self = std::move(self_);
    service_->Remove(self);
  }

 private:
  void FinishLocked(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    status_ = status;
    // gRPC wants the message under way to end first; OnWriteDone finishes then.
    if (!writing_) Finish(status_);
  }

  void WriteNext() {
    if (!cursor_.Next(message_)) return;
    writing_ = true;
    StartWrite(&message_);
  }

  const std::shared_ptr<FeedService::Impl> service_;
  const NodeId subscriber_;
  std::shared_ptr<FeedStream> self_;  // until OnDone
  std::mutex mutex_;                  // guards all below
  FeedCursor cursor_;
  bool writing_ = false;
  bool finished_ = false;
  grpc::Status status_;  // once finished_
  FeedMessage message_;  // under way
};

void FeedService::Impl::Start() {
  listener_ = feed_.AddListener([this] {
    for (const auto& stream : Streams()) stream->Pump(false);
  });
  ArmProgress();
}

void FeedService::Impl::ArmProgress() {
  loop_.RunAfter(options_.progress_interval_ms, [weak = weak_from_this()] {
    const std::shared_ptr<Impl> self = weak.lock();
    if (self == nullptr) return;
    for (const auto& stream : self->Streams()) stream->Pump(true);
    self->ArmProgress();
  });
}

void FeedService::Impl::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(stopped_, true)) return;
  }
  feed_.RemoveListener(listener_);
  for (const auto& stream : Streams()) {
    stream->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the controller is stopping"));
  }
}

std::vector<std::shared_ptr<FeedStream>> FeedService::Impl::Streams() const {
  std::lock_guard lock(mutex_);
  return {streams_.begin(), streams_.end()};
}

grpc::ServerWriteReactor<FeedMessage>* FeedService::Impl::Subscribe(
    grpc::CallbackServerContext*, const SubscribeRequest* request) {
  auto stream = std::make_shared<FeedStream>(shared_from_this(), *request);
  bool stopped = false;
  {
    std::lock_guard lock(mutex_);
    stopped = stopped_;
    streams_.insert(stream);
  }
  FeedStream* reactor = stream.get();
  const std::string& cluster = request->sender().cluster_id();
  stream->Begin();
  if (stopped)
    stream->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the controller is stopping"));
  if (!cluster.empty() && cluster != options_.cluster_id) {
    stream->End(grpc::Status(
        grpc::StatusCode::FAILED_PRECONDITION,
        "the subscriber is of cluster " + cluster + ", this is cluster " + options_.cluster_id));
  }
  return reactor;
}

void FeedService::Impl::Remove(const std::shared_ptr<FeedStream>& stream) {
  std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

FeedService::FeedService(FeedServiceOptions options, FeedLog& feed, EventLoop& loop)
    : impl_(std::make_shared<Impl>(std::move(options), feed, loop)) {
  impl_->Start();
}

FeedService::~FeedService() { Stop(); }

grpc::Service* FeedService::service() { return impl_.get(); }

void FeedService::Stop() { impl_->Stop(); }

size_t FeedService::streams() const { return impl_->streams(); }

}  // namespace sluice::controller
