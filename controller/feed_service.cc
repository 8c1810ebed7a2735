#include "controller/feed_service.h"

#include <set>

#include "base/crc32c.h"
#include "metadata/replay.h"
#include "proto/controller.grpc.pb.h"

namespace sluice::controller {

namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kBatchBytes = 1 << 18;

// What several streams want of one image, made once.
class ImageTexts {
 public:
  uint64_t Hash(const metadata::ImagePtr& image) {
    std::lock_guard lock(mutex_);
    if (image != hashed_) hash_ = metadata::StateHash(*image);
    hashed_ = image;
    return hash_;
  }
  std::shared_ptr<const std::string> Snapshot(const metadata::ImagePtr& image) {
    std::lock_guard lock(mutex_);
    std::shared_ptr<const std::string> bytes = image == serialised_ ? bytes_.lock() : nullptr;
    if (bytes == nullptr) {
      bytes = std::make_shared<const std::string>(metadata::ToSnapshot(*image).SerializeAsString());
    }
    serialised_ = image;
    bytes_ = bytes;
    return bytes;
  }

 private:
  std::mutex mutex_;  // guards all below
  metadata::ImagePtr hashed_;
  uint64_t hash_ = 0;
  metadata::ImagePtr serialised_;
  std::weak_ptr<const std::string> bytes_;  // as long as a stream sends it
};

}  // namespace

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
  ImageTexts& texts() { return texts_; }

 private:
  std::vector<std::shared_ptr<FeedStream>> Streams() const;
  void ArmProgress();

  const FeedServiceOptions options_;
  FeedLog& feed_;
  EventLoop& loop_;
  ImageTexts texts_;
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
        have_(service_->feed().Resume(LogIndex(request.last_index()), Term(request.last_term()),
                                      request.state_hash())) {}

  void Begin() {
    self_ = shared_from_this();
    Pump(true);
  }

  // Sends what there is to send, unless a message is under way; `progress`: also a word of
  // progress.
  void Pump(bool progress) {
    std::lock_guard lock(mutex_);
    progress_due_ = progress_due_ || progress;
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
    message_.Clear();
    const FeedProgress now = service_->feed().progress();
    if (now.leader != told_leader_ || now.term != told_term_) progress_due_ = true;
    // A leader's name comes before the data: a subscriber of the wrong controller should not wait
    // for it.
    if (snapshot_ != nullptr) {
      FillChunk();
    } else if (progress_due_) {
      FillProgress(now);
    } else if (!FillData()) {
      return;
    }
    writing_ = true;
    StartWrite(&message_);
  }

  bool FillData() {
    FeedStep step = service_->feed().Next(have_, kBatchBytes);
    if (step.kind == FeedStep::Kind::kWait) return false;
    if (step.kind == FeedStep::Kind::kSnapshot) {
      snapshot_ = service_->texts().Snapshot(step.image);
      sent_ = 0;
      snapshot_index_ = step.image->last_index;
      FillChunk();
      return true;
    }
    for (const FeedEntryPtr& entry : step.entries) {
      auto& out = *message_.mutable_batch()->add_entries();
      out.set_index(entry->index.value());
      out.set_term(entry->term.value());
      out.set_data(entry->data);
    }
    have_ = step.entries.back()->index;
    return true;
  }

  void FillChunk() {
    const std::string_view data = std::string_view(*snapshot_).substr(sent_, kChunkBytes);
    auto& chunk = *message_.mutable_snapshot();
    chunk.set_data(std::string(data));
    chunk.set_crc32c(Crc32c(data));
    sent_ += data.size();
    chunk.set_last(sent_ == snapshot_->size());
    if (!chunk.last()) return;
    have_ = snapshot_index_;
    snapshot_ = nullptr;
  }

  void FillProgress(const FeedProgress& now) {
    auto& progress = *message_.mutable_progress();
    progress.set_commit_index(now.commit.value());
    progress.set_leader_id(now.leader.value());
    progress.set_term(now.term.value());
    // The hash says something only to who has just this image.
    if (have_ == now.commit) progress.set_state_hash(service_->texts().Hash(now.image));
    progress_due_ = false;
    told_leader_ = now.leader;
    told_term_ = now.term;
  }

  const std::shared_ptr<FeedService::Impl> service_;
  const NodeId subscriber_;
  std::shared_ptr<FeedStream> self_;  // until OnDone
  std::mutex mutex_;                  // guards all below
  LogIndex have_;                     // the subscriber has, or is being sent, everything up to here
  bool writing_ = false;
  bool finished_ = false;
  grpc::Status status_;  // once finished_
  bool progress_due_ = false;
  NodeId told_leader_ = kNoNode;
  Term told_term_;
  std::shared_ptr<const std::string> snapshot_;  // being sent
  size_t sent_ = 0;
  LogIndex snapshot_index_;
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
