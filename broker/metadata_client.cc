#include "broker/metadata_client.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "broker/feed_connector_grpc.h"
#include "broker/sender.h"
#include "metadata/replay.h"

namespace sluice::broker {
namespace {

constexpr int64_t kBackoffMinMs = 20;
constexpr int64_t kBackoffMaxMs = 200;
// Two controllers that name each other as leader must not make us run to and fro.
constexpr int64_t kSwitchIntervalMs = 200;
constexpr int64_t kUnreachableMs = 1000;

}  // namespace

MetadataClient::MetadataClient(MetadataClientOptions options)
    : options_(std::move(options)),
      applier_(metadata::EmptyImage()),
      controllers_(options_.controllers),
      finder_(metadata::WhomToAsk(controllers_, {})) {
  if (options_.connector == nullptr) options_.connector = NewGrpcFeedConnector();
}

std::unique_ptr<MetadataClient> MetadataClient::Start(MetadataClientOptions options) {
  std::unique_ptr<MetadataClient> client(new MetadataClient(std::move(options)));
  client->Load();
  MetadataClient* raw = client.get();
  client->options_.loop->Post(rpc::Guarded(client->gate_, [raw] {
    raw->Subscribe();
    raw->CheckSilence();
    raw->SaveSometimes();
  }));
  return client;
}

MetadataClient::~MetadataClient() { Stop(); }

void MetadataClient::Stop() {
  if (std::exchange(stopped_, true)) return;
  gate_->Close();
  // From here on the loop runs nothing of ours, so that its state may be used on this thread.
  DropStream();
  options_.connector->Drain();
  Save(*applier_.image());
}

void MetadataClient::Load() {
  if (options_.image_path.empty() || !options_.file_system->Exists(options_.image_path)) return;
  Result<std::string> bytes = ReadFile(*options_.file_system, options_.image_path);
  if (!bytes.ok()) {
    LOG(WARNING) << "cannot read the copy of the metadata: " << bytes.status().ToString();
    return;
  }
  Result<metadata::ImagePtr> image = metadata::FromSnapshot(*bytes);
  if (!image.ok()) {
    LOG(WARNING) << options_.image_path << ": " << image.status().message()
                 << "; the metadata will be fetched anew";
    return;
  }
  if ((*image)->cluster_id != options_.state->cluster_id) {
    LOG(WARNING) << options_.image_path << " is of cluster " << (*image)->cluster_id
                 << "; it is left aside";
    return;
  }
  // Not published: what it says of leaders may be long outdated. The feed's first message shows
  // what is true now.
  saved_index_ = (*image)->last_index;
  applier_ = FeedApplier(*image);
  LearnControllers();
}

void MetadataClient::Save(const metadata::Image& image) {
  if (options_.image_path.empty() || image.last_index <= saved_index_) return;
  const std::string bytes = metadata::ToSnapshot(image);
  if (Status status = WriteFileAtomically(*options_.file_system, options_.image_path, bytes);
      !status.ok()) {
    if (const auto often = not_saved_.Failed(options_.loop->clock().SteadyMs())) {
      LOG(WARNING) << "cannot save the metadata to " << options_.image_path << ": "
                   << status.ToString() << *often;
    }
    return;
  }
  LOG_IF(INFO, not_saved_.Over()) << "the metadata is saved again";
  saved_index_ = image.last_index;
}

void MetadataClient::SaveSometimes() {
  options_.loop->RunAfter(options_.save_interval_ms, rpc::Guarded(gate_, [this] {
                            SaveInBackground();
                            SaveSometimes();
                          }));
}

void MetadataClient::SaveInBackground() {
  // Behind one that waits for the disk no images gather.
  if (saving_.exchange(true)) return;
  options_.background_loop->Post(rpc::Guarded(gate_, [this, image = applier_.image()] {
    Save(*image);
    saving_ = false;
  }));
}

void MetadataClient::Subscribe() {
  const BrokerState& state = *options_.state;
  controller::SubscribeRequest request;
  *request.mutable_sender() = MakeSender(state);
  const metadata::ImagePtr& image = applier_.image();
  if (from_snapshot_ || image->last_index.value() < 0) {
    request.set_last_index(-1);
  } else {
    request.set_last_index(image->last_index.value());
    request.set_last_term(image->last_term.value());
    *request.mutable_hash() = metadata::ToImageHash(*image);
  }
  applier_.OnSubscribe();
  connected_address_ = finder_.current();
  followed_leader_ = kNoNode;
  last_heard_ms_ = options_.loop->clock().SteadyMs();
  heard_ = false;
  const uint64_t generation = ++generation_;
  FeedHandlers handlers;
  handlers.on_message = rpc::Guarded(
      gate_,
      [this, generation](const controller::FeedMessage& said) { OnMessage(generation, said); });
  handlers.on_end =
      rpc::Guarded(gate_, [this, generation](const std::string& why) { OnEnd(generation, why); });
  stream_ = options_.connector->Subscribe(connected_address_, std::move(request), *options_.loop,
                                          std::move(handlers));
}

void MetadataClient::DropStream() {
  if (stream_ != nullptr) stream_->Cancel();
  stream_.reset();
  ++generation_;
}

void MetadataClient::ResubscribeAfter(int64_t delay_ms) {
  DropStream();
  options_.loop->RunAfter(delay_ms, rpc::Guarded(gate_, [this, generation = generation_] {
                            if (generation == generation_) Subscribe();
                          }));
}

void MetadataClient::OnMessage(uint64_t generation, const controller::FeedMessage& message) {
  if (generation != generation_) return;
  last_heard_ms_ = options_.loop->clock().SteadyMs();
  heard_ = true;
  failures_ = 0;
  const metadata::ImagePtr before = applier_.image();
  if (Status status = applier_.Apply(message); !status.ok()) {
    ++resyncs_;
    from_snapshot_ = true;
    LOG(ERROR) << "metadata from " << connected_address_ << ": " << status.message()
               << "; fetching all of it anew";
    ResubscribeAfter(kBackoffMinMs);
    return;
  }
  const metadata::ImagePtr& image = applier_.image();
  if (image != before) from_snapshot_ = false;
  PublishIfNewer(image);
  LearnControllers();
  if (!message.has_progress()) return;
  SwitchTo(applier_.leader());
  const bool has_all = image->last_index.value() >= message.progress().commit_index();
  if (has_all && generation == generation_) LeaveFormerController();
}

// What has been shown once stays. A controller that lags hands out an older image to whoever asks
// for all of it; the topics made since would be missing, and their replicas be removed here with
// their records, to be made anew, empty, in the same leader epoch.
void MetadataClient::PublishIfNewer(const metadata::ImagePtr& image) {
  const metadata::ImagePtr shown = options_.cache->Current();
  if (image->last_index < shown->last_index) {
    if (std::exchange(behind_, true)) return;
    LOG(ERROR) << "metadata from " << connected_address_ << " went back from index "
               << shown->last_index << " to " << image->last_index
               << ": what is known stays in force until it has caught up";
    return;
  }
  behind_ = false;
  // Also when nothing changed since the copy on disk: only now is it known to be true.
  if (image != shown && image->last_index.value() >= 0) options_.cache->Publish(image);
}

// Who votes is part of the image, from the first change of the quorum's members on.
void MetadataClient::LearnControllers() {
  auto known = metadata::AddressesOfControllers(*applier_.image(), options_.controllers);
  if (known == controllers_) return;
  controllers_ = std::move(known);
  followed_leader_ = kNoNode;
  const auto addresses = metadata::WhomToAsk(controllers_, options_.controllers);
  finder_.OnVoters(addresses);
  if (options_.on_controllers) options_.on_controllers(addresses);
}

// A controller that has left the quorum hears of nothing more. (One that the image does not have
// among the voters yet is another matter: it has more to tell.)
void MetadataClient::LeaveFormerController() {
  const bool votes = std::ranges::any_of(
      controllers_, [this](const auto& known) { return known.second == connected_address_; });
  if (votes) return;
  finder_.OnUnreachable(connected_address_);
  ResubscribeAfter(kBackoffMinMs);
}

void MetadataClient::OnEnd(uint64_t generation, const std::string& why) {
  if (generation != generation_) return;
  VLOG(1) << "metadata feed of " << connected_address_ << " ended: " << why;
  if (!heard_) {
    unreachable_ = connected_address_;
    unreachable_until_ms_ = options_.loop->clock().SteadyMs() + kUnreachableMs;
  }
  finder_.OnUnreachable(connected_address_);
  const int64_t delay_ms = std::min(kBackoffMaxMs, kBackoffMinMs << std::min(failures_, 4));
  ++failures_;
  ResubscribeAfter(delay_ms);
}

void MetadataClient::OnLeader(NodeId leader) {
  // Each heartbeat says so: it need not wake the loop.
  if (leader == followed_leader_) return;
  options_.loop->Post(rpc::Guarded(gate_, [this, leader] { SwitchTo(leader); }));
}

void MetadataClient::SwitchTo(NodeId leader) {
  const auto found = controllers_.find(leader);
  if (found == controllers_.end()) return;
  if (leader != announced_leader_) {
    announced_leader_ = leader;
    if (options_.on_leader) options_.on_leader(found->second);
  }
  followed_leader_ = found->second == connected_address_ ? leader : kNoNode;
  const int64_t now_ms = options_.loop->clock().SteadyMs();
  if (found->second == connected_address_ || now_ms - last_switch_ms_ < kSwitchIntervalMs) return;
  // A leader that others see and we cannot reach is not worth giving up a stream that works.
  if (found->second == unreachable_ && now_ms < unreachable_until_ms_) return;
  last_switch_ms_ = now_ms;
  finder_.OnLeader(found->second);
  DropStream();
  Subscribe();
}

void MetadataClient::CheckSilence() {
  options_.loop->RunAfter(
      options_.silence_ms_max / 2, rpc::Guarded(gate_, [this] {
        const int64_t silent_ms = options_.loop->clock().SteadyMs() - last_heard_ms_;
        if (stream_ != nullptr && silent_ms > options_.silence_ms_max) {
          OnEnd(generation_, "nothing heard for " + std::to_string(silent_ms) + " ms");
        }
        CheckSilence();
      }));
}

}  // namespace sluice::broker
