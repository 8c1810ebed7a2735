#include "broker/group/group_coordinator.h"

#include <glog/logging.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "broker/group/group_loop.h"
#include "metadata/topic_config.h"

namespace sluice::broker {

using kafka::ErrorCode;

namespace {

// Puts the lists of all shards of this broker together; the last one answers.
class ListGather final : public std::enable_shared_from_this<ListGather> {
 public:
  explicit ListGather(GroupCallPtr call) : call_(std::move(call)) {}

  GroupCallPtr NewCall() {
    waiting_.fetch_add(1);
    return std::make_shared<GroupCall>(call_->caller(),
                                       [self = shared_from_this()](GroupResponse response) {
                                         self->Add(std::get<kafka::ListGroupsResponse>(response));
                                         self->Release();
                                       });
  }
  void Release() {
    if (waiting_.fetch_sub(1) == 1) call_->Answer(std::move(gathered_));
  }
  void AddLoops(int count) { waiting_.fetch_add(count); }

 private:
  void Add(kafka::ListGroupsResponse& listed) {
    auto error = static_cast<ErrorCode>(listed.error_code);
    // It has lost touch with the controller: nobody knows who leads the partition, or another does.
    // Clients ask again after this error, and after NOT_COORDINATOR they do not.
    if (error == ErrorCode::kNotCoordinator) error = ErrorCode::kCoordinatorNotAvailable;
    std::lock_guard lock(mutex_);
    if (error != ErrorCode::kNone) gathered_.error_code = kafka::WireError(error);
    gathered_.groups.insert(gathered_.groups.end(), std::make_move_iterator(listed.groups.begin()),
                            std::make_move_iterator(listed.groups.end()));
  }

  const GroupCallPtr call_;
  std::atomic<int> waiting_{1};
  std::mutex mutex_;  // guards gathered_ until the last one is in
  kafka::ListGroupsResponse gathered_;
};

class GroupCoordinatorImpl final : public std::enable_shared_from_this<GroupCoordinatorImpl> {
 public:
  explicit GroupCoordinatorImpl(GroupCoordinatorOptions options)
      : options_(std::make_shared<GroupEnvironment>(std::move(options))) {
    for (EventLoop* loop : options_->loops)
      loops_.push_back(std::make_shared<GroupLoop>(options_, *loop, options_->random.Fork()));
  }

  void Start() {
    options_->metadata->AddListener([weak = weak_from_this()](const metadata::ImagePtr& before,
                                                              const metadata::ImagePtr& after) {
      if (const auto self = weak.lock()) self->OnImage(before, after);
    });
    FlushLater();
  }

  void Handle(GroupCaller caller, GroupRequest request, ParkedRequests* client,
              GroupCoordinator::Done done) {
    const auto call = std::make_shared<GroupCall>(std::move(caller), std::move(done));
    if (std::holds_alternative<ListGroups>(request)) {
      List(call, std::move(request));
    } else if (const auto place = PlaceOf(request); place.has_value() && !stopped_) {
      LoopOf(place->key.partition).Enqueue(place->key, place->epoch, call, std::move(request));
    } else {
      call->Answer(ErrorResponse(request, ErrorCode::kNotCoordinator));
    }
    if (client != nullptr && !call->finished()) client->Add(call);
  }

  void OnReplicaChanged(const PartitionKey& key) {
    if (!stopped_) LoopOf(key.partition).PostReplicaChanged(key);
  }

  void Stop() {
    if (stopped_.exchange(true)) return;
    for (const auto& loop : loops_) loop->PostStop();
  }

 private:
  GroupLoop& LoopOf(PartitionIndex partition) const {
    return *loops_[static_cast<size_t>(partition.value()) % loops_.size()];
  }

  // The partition of a request's group, and the epoch that it is led in.
  struct Place {
    PartitionKey key;
    LeaderEpoch epoch;
  };
  std::optional<Place> PlaceOf(const GroupRequest& request) const {
    const auto topic = options_->metadata->Current()->FindTopic(kOffsetsTopic);
    if (topic == nullptr || topic->partitions.empty()) return std::nullopt;
    const auto count = static_cast<int32_t>(topic->partitions.size());
    const int32_t partition = PartitionForGroup(GroupIdOf(request), count);
    return Place{{topic->id, PartitionIndex(partition)},
                 topic->partitions[static_cast<size_t>(partition)].leader_epoch};
  }

  void List(const GroupCallPtr& call, GroupRequest request) {
    const auto gather = std::make_shared<ListGather>(call);
    gather->AddLoops(static_cast<int>(loops_.size()));
    for (const auto& loop : loops_)
      loop->EnqueueForAll(
          request, [gather] { return gather->NewCall(); }, [gather] { gather->Release(); });
    gather->Release();
  }

  // On the metadata loop, when the replicas have their roles.
  void OnImage(const metadata::ImagePtr& before, const metadata::ImagePtr& after) {
    if (stopped_) return;
    if (!forgot_others_ && HoldsOurRegistration(*after)) {
      forgot_others_ = true;
      ForgetOthers(*after);
    }
    if (before->topic_configs != after->topic_configs ||
        before->broker_configs != after->broker_configs) {
      const metadata::TopicConfig config = metadata::EffectiveTopicConfig(
          {*after, *options_->server_config, options_->state->node_id}, kOffsetsTopic);
      options_->batch_bytes_max =
          static_cast<size_t>(std::min<int64_t>(config.message_bytes_max, config.segment_bytes));
    }
    if (!LacksTopicsOf(*after, *before)) return;
    for (const auto& loop : loops_) loop->PostTopicsDeleted();
  }

  static bool LacksTopicsOf(const metadata::Image& after, const metadata::Image& before) {
    bool lacks = false;
    metadata::TopicsById::VisitChanges(
        *before.topics_by_id, *after.topics_by_id,
        [&](const TopicId&, const auto*, const auto* now) { lacks |= now == nullptr; });
    return lacks;
  }

  bool HoldsOurRegistration(const metadata::Image& image) const {
    const metadata::BrokerImage* self = image.FindBroker(options_->state->node_id);
    const int64_t epoch = options_->state->broker_epoch.load();
    return self != nullptr && epoch >= 0 && self->epoch == BrokerEpoch(epoch);
  }

  void ForgetOthers(const metadata::Image& image) const {
    const Result<std::vector<PartitionIndex>> views = options_->store.Views();
    if (!views.ok()) {
      LOG(ERROR) << "looking for the views of " << kOffsetsTopic << ": "
                 << views.status().ToString();
      return;
    }
    std::vector<PartitionIndex> held;
    if (const auto topic = image.FindTopic(kOffsetsTopic); topic != nullptr) {
      for (size_t i = 0; i < topic->partitions.size(); ++i) {
        const std::vector<NodeId>& replicas = topic->partitions[i].replicas;
        if (std::find(replicas.begin(), replicas.end(), options_->state->node_id) != replicas.end())
          held.push_back(PartitionIndex(static_cast<int32_t>(i)));
      }
    }
    std::vector<std::vector<PartitionIndex>> by_loop(loops_.size());
    for (const PartitionIndex partition : *views)
      by_loop[static_cast<size_t>(partition.value()) % loops_.size()].push_back(partition);
    for (size_t i = 0; i < loops_.size(); ++i) {
      if (!by_loop[i].empty()) loops_[i]->PostForgetOthers(std::move(by_loop[i]), held);
    }
  }

  // So that a start reads little of the log again.
  void FlushLater() {
    options_->background_loop->RunAfter(
        options_->store_flush_interval_ms, [weak = weak_from_this()] {
          const auto self = weak.lock();
          if (self == nullptr || self->stopped_) return;
          const Status flushed = self->options_->store.kv->Flush();
          LOG_IF(ERROR, !flushed.ok()) << "the views could not be flushed: " << flushed.ToString();
          self->FlushLater();
        });
  }

  const std::shared_ptr<GroupEnvironment> options_;
  std::vector<std::shared_ptr<GroupLoop>> loops_;
  std::atomic<bool> stopped_{false};
  bool forgot_others_ = false;  // metadata loop only
};

class GroupCoordinatorHandle final : public GroupCoordinator {
 public:
  explicit GroupCoordinatorHandle(GroupCoordinatorOptions options)
      : impl_(std::make_shared<GroupCoordinatorImpl>(std::move(options))) {
    impl_->Start();
  }
  ~GroupCoordinatorHandle() override { impl_->Stop(); }

  void Handle(GroupCaller caller, GroupRequest request, ParkedRequests* client,
              Done done) override {
    impl_->Handle(std::move(caller), std::move(request), client, std::move(done));
  }
  void OnReplicaChanged(const PartitionKey& key) override { impl_->OnReplicaChanged(key); }
  void Stop() override { impl_->Stop(); }

 private:
  const std::shared_ptr<GroupCoordinatorImpl> impl_;
};

}  // namespace

GroupConfig ReadGroupConfig(const ConfigValues& values) {
  const auto ms = [&](std::string_view key) { return static_cast<int32_t>(values.GetInt(key)); };
  GroupConfig config;
  config.session_ms_min = ms("group.min.session.timeout.ms");
  config.session_ms_max = ms("group.max.session.timeout.ms");
  config.initial_rebalance_ms = ms("group.initial.rebalance.delay.ms");
  config.members_max = static_cast<size_t>(values.GetInt("group.max.size"));
  config.metadata_bytes_max = static_cast<size_t>(values.GetInt("offset.metadata.max.bytes"));
  config.offsets_retention_ms = values.GetInt("offsets.retention.minutes") * 60000;
  config.offsets_check_interval_ms = values.GetInt("offsets.retention.check.interval.ms");
  ConsumerGroupConfig& consumer = config.consumer;
  consumer.session_ms = ms("group.consumer.session.timeout.ms");
  consumer.heartbeat_ms = ms("group.consumer.heartbeat.interval.ms");
  consumer.members_max = static_cast<size_t>(values.GetInt("group.consumer.max.size"));
  consumer.assignors = values.GetList("group.consumer.assignors");
  if (consumer.assignors.empty()) consumer.assignors = ConsumerGroupConfig().assignors;
  consumer.regex_refresh_ms = values.GetInt("group.consumer.regex.refresh.interval.ms");
  const std::string policy = values.GetString("group.consumer.migration.policy");
  consumer.may_upgrade = policy == "bidirectional" || policy == "upgrade";
  consumer.may_downgrade = policy == "bidirectional" || policy == "downgrade";
  return config;
}

std::unique_ptr<GroupCoordinator> GroupCoordinator::Create(GroupCoordinatorOptions options) {
  return std::make_unique<GroupCoordinatorHandle>(std::move(options));
}

}  // namespace sluice::broker
