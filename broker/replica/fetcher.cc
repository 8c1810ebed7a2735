#include "broker/replica/fetcher.h"

#include <algorithm>

namespace sluice::broker {
namespace {

constexpr int64_t kPauseMsMin = 20;
constexpr int64_t kPauseMsMax = 500;
// Beyond the long poll: what a leader under load may take.
constexpr int64_t kAnswerMarginMs = 5000;

int64_t NextPause(int64_t pause_ms) { return std::clamp(pause_ms * 2, kPauseMsMin, kPauseMsMax); }

}  // namespace

void Fetcher::Add(const std::shared_ptr<Partition>& partition, LeaderEpoch epoch) {
  const PartitionKey key = partition->key();
  partitions_[key] = {partition, epoch};
  paused_.erase(key);
  touched_.insert(key);
  if (!fsync_) return;
  // It may come from replicated mode, with bytes that are not durable: its first fetch offset must
  // be.
  PartitionEffects effects;
  AwaitFlush(partitions_[key], effects);
  if (const auto context = environment_.context.lock()) effects.Run(*context);
}

void Fetcher::Remove(const PartitionKey& key) {
  partitions_.erase(key);
  touched_.erase(key);
  paused_.erase(key);
  session_.Remove(key);
}

void Fetcher::Hurry() {
  if (!in_flight_) return;
  // Kafka's protocol cannot take a request back; a new connection can.
  in_flight_ = false;
  client_.reset();
  session_.Reset();
}

bool Fetcher::Connect() {
  const metadata::ImagePtr image = environment_.options->metadata->Current();
  const metadata::BrokerImage* broker = image->FindBroker(leader_);
  if (broker == nullptr || broker->endpoints.empty()) return false;
  const std::string& listener = environment_.options->inter_broker_listener;
  const metadata::EndpointImage* endpoint = &broker->endpoints.front();
  for (const metadata::EndpointImage& candidate : broker->endpoints) {
    if (candidate.listener == listener) endpoint = &candidate;
  }
  if (client_ != nullptr && endpoint->host == host_ && endpoint->port == port_) return true;
  host_ = endpoint->host;
  port_ = endpoint->port;
  client_ = environment_.options->peers->Connect(host_, port_, loop());
  session_.Reset();
  return true;
}

Fetcher::Limits Fetcher::LimitsOf(const PartitionKey& key, const Followed& followed,
                                  const ReplicationThrottles& throttles,
                                  const metadata::Image& image) const {
  const NodeId self = environment_.options->state->node_id;
  const bool listed = throttles.follower.limited() &&
                      followed.partition->config()->follower_throttled.Has(key.partition, self);
  if (!listed && !throttles.follower_moves.limited()) return {};
  const metadata::PartitionImage* partition = image.FindPartition(key.topic_id, key.partition);
  if (partition == nullptr || metadata::InIsr(*partition, self)) return {};
  const metadata::NodeList& adding = partition->adding;
  return {.throttled = listed,
          .slowed = partition->move_kib_per_second != 0 &&
                    std::find(adding.begin(), adding.end(), self) != adding.end()};
}

void Fetcher::PauseThrottled() {
  const auto context = environment_.context.lock();
  if (context == nullptr) return;
  ReplicationThrottles& throttles = *context->throttles;
  const int64_t throttled_ms = throttles.follower.WaitMs();
  const int64_t slowed_ms = throttles.follower_moves.WaitMs();
  if (throttled_ms == 0 && slowed_ms == 0) return;
  const metadata::ImagePtr image = environment_.options->metadata->Current();
  for (auto& [key, followed] : partitions_) {
    if (paused_.contains(key)) continue;
    const Limits limits = LimitsOf(key, followed, throttles, *image);
    const int64_t wait_ms =
        std::max(limits.throttled ? throttled_ms : 0, limits.slowed ? slowed_ms : 0);
    if (wait_ms > 0) PauseFor(key, followed, wait_ms);
  }
}

void Fetcher::CountThrottled(const Followed& followed, size_t size_bytes) {
  const auto context = environment_.context.lock();
  if (context == nullptr) return;
  ReplicationThrottles& throttles = *context->throttles;
  // Else there is nothing to look up for each partition.
  if (!throttles.follower.limited() && !throttles.follower_moves.limited()) return;
  const metadata::ImagePtr image = environment_.options->metadata->Current();
  const Limits limits = LimitsOf(followed.partition->key(), followed, throttles, *image);
  if (limits.throttled) throttles.follower.Take(static_cast<int64_t>(size_bytes));
  if (limits.slowed) throttles.follower_moves.Take(static_cast<int64_t>(size_bytes));
}

int32_t Fetcher::WaitMs() const {
  int64_t wait_ms = environment_.options->replica_fetch_wait_ms;
  // Somebody's pause ends sooner than the long poll: come back for it.
  const int64_t now_ms = NowMs();
  for (const PartitionKey& key : paused_)
    wait_ms = std::min(wait_ms, partitions_.at(key).paused_until_ms - now_ms);
  return static_cast<int32_t>(std::max(
      wait_ms, std::min<int64_t>(kPauseMsMin, environment_.options->replica_fetch_wait_ms)));
}

void Fetcher::PrepareSession() {
  const int64_t now_ms = NowMs();
  std::erase_if(paused_, [&](const PartitionKey& key) {
    Followed& followed = partitions_.at(key);
    if (followed.paused_until_ms > now_ms) return false;
    // Asking again would only bring what cannot be kept.
    if (followed.partition->refuses_appends()) {
      followed.paused_until_ms = now_ms + kPauseMsMax;
      return false;
    }
    touched_.insert(key);
    return true;
  });
  PauseThrottled();
  for (const PartitionKey& key : std::exchange(touched_, {})) {
    if (paused_.contains(key)) continue;
    const Followed& followed = partitions_.at(key);
    const Result<Partition::FollowerPosition> position =
        followed.partition->PositionIn(followed.epoch);
    // Not following any more: the pool is about to remove it.
    if (!position.ok()) {
      session_.Remove(key);
      continue;
    }
    session_.Set(key, {followed.epoch, position->last_fetched_epoch, position->fetch_offset,
                       position->log_start_offset});
  }
}

void Fetcher::Step() {
  if (stopped_ || in_flight_ || flushing_ > 0 || step_scheduled_ || partitions_.empty()) return;
  if (!Connect()) return OnFailure();
  PrepareSession();
  if (session_.partition_count() == 0) {
    // All of them wait: after errors, or for their share of the bytes.
    if (!paused_.empty()) StepSoon(WaitMs());
    return;
  }
  const ReplicaManagerOptions& options = *environment_.options;
  kafka::FetchRequest request;
  request.replica_state.replica_id = options.state->node_id.value();
  request.replica_state.replica_epoch = options.state->broker_epoch.load();
  request.replica_state.flushed = fsync_;
  request.max_wait_ms = WaitMs();
  request.min_bytes = 1;
  request.max_bytes = options.replica_fetch_response_bytes;
  session_.Fill(request, options.replica_fetch_bytes);
  in_flight_ = true;
  const uint64_t number = ++request_number_;
  client_->Fetch(request, request.max_wait_ms + kAnswerMarginMs,
                 [weak = weak_from_this(), number](Result<kafka::FetchResponse> response) {
                   if (const auto self = weak.lock()) self->OnResponse(number, response);
                 });
}

void Fetcher::StepSoon(int64_t delay_ms) {
  if (step_scheduled_) return;
  step_scheduled_ = true;
  loop().RunAfter(delay_ms, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->step_scheduled_ = false;
    self->Step();
  });
}

void Fetcher::OnFailure() {
  session_.Reset();
  back_off_ms_ = NextPause(back_off_ms_);
  StepSoon(back_off_ms_);
}

void Fetcher::OnResponse(uint64_t request_number, const Result<kafka::FetchResponse>& response) {
  if (stopped_ || request_number != request_number_ || !in_flight_) return;
  in_flight_ = false;
  if (!response.ok()) {
    VLOG(1) << "fetching from broker " << leader_ << ": " << response.status().ToString();
    environment_.options->state->suspects.Note(leader_, NowMs());
    return OnFailure();
  }
  environment_.options->state->suspects.Clear(leader_);
  if (!session_.OnResponse(*response)) {
    VLOG(1) << "fetch session with broker " << leader_ << " refused, error "
            << response->error_code;
    return OnFailure();
  }
  back_off_ms_ = 0;
  PartitionEffects effects;
  for (const auto& topic : response->responses) {
    for (const Data& data : topic.partitions) {
      HandlePartition({topic.topic_id, PartitionIndex(data.partition_index)}, data, effects);
    }
  }
  if (const auto context = environment_.context.lock()) effects.Run(*context);
  Step();
}

void Fetcher::HandlePartition(const PartitionKey& key, const Data& data,
                              PartitionEffects& effects) {
  const auto found = partitions_.find(key);
  if (found == partitions_.end()) return;  // removed while the request was under way
  Followed& followed = found->second;
  touched_.insert(key);
  const Status applied = Apply(followed, data, effects);
  if (applied.ok()) {
    followed.pause_ms = 0;
    return;
  }
  // Of a series of failures the first, and not what passes by itself: fenced, unavailable.
  const bool told = applied.code() == StatusCode::kInvalidArgument && followed.pause_ms == 0;
  LOG_IF(WARNING, told) << followed.partition->name().ToString() << ": what broker " << leader_
                        << " sent is not appended, and asked for again: " << applied.message();
  VLOG(1) << followed.partition->name().ToString() << " from broker " << leader_ << ": "
          << applied.ToString();
  Pause(key, followed);
}

Status Fetcher::Apply(Followed& followed, const Data& data, PartitionEffects& effects) {
  if (data.error_code != 0) return HandleError(followed, data, effects);
  if (data.diverging_epoch.end_offset >= 0) {
    return followed.partition->TruncateDiverging(
        followed.epoch,
        {LeaderEpoch(data.diverging_epoch.epoch), Offset(data.diverging_epoch.end_offset)},
        effects);
  }
  const std::string_view batches = data.records.bytes();
  const Status appended = followed.partition->AppendFetched(
      {followed.epoch, batches, Offset(data.high_watermark), Offset(data.log_start_offset)},
      effects);
  if (!batches.empty()) CountThrottled(followed, batches.size());
  // Whatever became of it: what was appended up to a roll for which there was no room is in the
  // log, and the next fetch offset, its end, tells the leader that it is durable.
  if (fsync_ && !batches.empty()) AwaitFlush(followed, effects);
  return appended;
}

Status Fetcher::HandleError(Followed& followed, const Data& data, PartitionEffects& effects) {
  const auto error = static_cast<kafka::ErrorCode>(data.error_code);
  if (error == kafka::ErrorCode::kOffsetOutOfRange && data.log_start_offset >= 0) {
    return followed.partition->RestartAt(followed.epoch, Offset(data.log_start_offset), effects);
  }
  return Status::Unavailable(std::string(kafka::ErrorName(error)));
}

void Fetcher::AwaitFlush(Followed& followed, PartitionEffects& effects) {
  ++flushing_;
  followed.partition->WhenFlushed(
      [weak = weak_from_this()] {
        const auto fetcher = weak.lock();
        if (fetcher == nullptr) return;
        fetcher->loop().Post([weak] {
          const auto self = weak.lock();
          if (self == nullptr) return;
          if (--self->flushing_ == 0) self->Step();
        });
      },
      effects);
}

void Fetcher::Pause(const PartitionKey& key, Followed& followed) {
  followed.pause_ms = NextPause(followed.pause_ms);
  PauseFor(key, followed, followed.pause_ms);
}

void Fetcher::PauseFor(const PartitionKey& key, Followed& followed, int64_t pause_ms) {
  followed.paused_until_ms = NowMs() + pause_ms;
  paused_.insert(key);
  touched_.erase(key);
  session_.Remove(key);
}

}  // namespace sluice::broker
