// Sessions of brokers: who is silent, who is gone, and how it is fenced (declared in
// controller/controller.h).

#include <algorithm>

#include "base/planted_fault.h"
#include "controller/controller.h"

namespace sluice::controller {

namespace {

// A tick that comes so late says that nobody could be heard meanwhile.
constexpr int64_t kStallMs = 100;

// Who was asked to stop has handed on its leads and left all ISRs before: that it is gone then is
// how it should be, and no failure, whichever way it shows.
void TellFenced(NodeId broker, bool expired, bool stopping) {
  if (stopping) {
    LOG(INFO) << "broker " << broker << " has stopped: it was shutting down, and "
              << (expired ? "is not heard any more" : "its process is gone");
    return;
  }
  LOG(WARNING) << "broker " << broker << " is fenced: "
               << (expired ? "its session expired"
                           : "its host refuses connections, so its process is gone");
}

}  // namespace

void MetadataController::OnBrokerConnectionLost(NodeId broker, bool refused) {
  if (!active_) return;
  if (!refused) return Dial(broker);
  OnRefused(broker);
}

void MetadataController::OnVoterLost(NodeId voter, bool refused) {
  const metadata::BrokerImage* broker = speculative_->FindBroker(voter);
  if (broker != nullptr && broker->is_controller) OnBrokerConnectionLost(voter, refused);
}

void MetadataController::Tick() {
  const int64_t now_ms = NowMs();
  const int64_t late_ms = now_ms - next_tick_ms_;
  if (late_ms > kStallMs) {
    LOG(WARNING) << "the controller stood still for " << late_ms
                 << " ms; sessions are extended by as much";
    brokers_.Forgive(late_ms, now_ms);
  }
  for (const NodeId broker : brokers_.ToDial(*speculative_, now_ms)) Dial(broker);
  // Behind all that waits here, however long that takes: timers take turns with it, and a heartbeat
  // that has come and waits is a sign of life.
  loop_.Post([this, alive = alive_, activation = activation_] {
    if (!*alive || activation != activation_) return;
    FenceStale();
    RelieveFull();
  });
  TickLater();
}

// While all is well a tick finds nothing, so it comes with timers that are there anyhow, in time
// for the first broker that could be silent for too long.
void MetadataController::TickLater() {
  const int64_t now_ms = NowMs();
  int64_t period_ms = kQuietTickMs;
  const int64_t due_ms = brokers_.full().empty() ? brokers_.DueMs(*speculative_, now_ms) : now_ms;
  while (period_ms > kTickMs && NextMultiple(now_ms, period_ms) > due_ms) period_ms /= 2;
  TickAt(NextMultiple(now_ms, period_ms));
}

void MetadataController::TickAt(int64_t at_ms) {
  loop_.Cancel(tick_timer_);
  next_tick_ms_ = at_ms;
  tick_timer_ = loop_.RunAfter(at_ms - NowMs(), Guarded(&MetadataController::Tick));
}

void MetadataController::OnRefused(NodeId broker) {
  brokers_.OnRefused(broker, NowMs());
  TickBefore(NowMs() + options_.brokers.refused_grace_ms);
}

// Something has happened that the tick was not planned for.
void MetadataController::TickBefore(int64_t at_ms) {
  if (at_ms < next_tick_ms_) TickAt(at_ms);
}

void MetadataController::Dial(NodeId broker) {
  const metadata::BrokerImage* image = speculative_->FindBroker(broker);
  if (image == nullptr || image->fenced || image->grpc_address.empty()) return;
  // One at a time: hosts that do not answer must not fill the dialer's queue.
  if (!dialing_.insert(broker).second) return;
  const auto done = [this, broker, epoch = image->epoch, alive = alive_,
                     &loop = loop_](DialOutcome outcome) {
    loop.Post([this, broker, epoch, alive, outcome] {
      if (*alive) OnDialed(broker, epoch, outcome);
    });
  };
  dialer_.Dial(image->grpc_address, options_.brokers.dial_timeout_ms, done);
}

void MetadataController::OnDialed(NodeId broker, BrokerEpoch epoch, DialOutcome outcome) {
  dialing_.erase(broker);
  if (!active_ || outcome != DialOutcome::kRefused) return;
  const metadata::BrokerImage* image = speculative_->FindBroker(broker);
  if (image != nullptr && image->epoch == epoch) OnRefused(broker);
}

void MetadataController::FenceStale() {
  // One broker after the other, each judged on the image that the one before left.
  while (active_) {
    const int64_t now_ms = NowMs();
    const std::optional<NodeId> broker = brokers_.NextToFence(*speculative_, now_ms);
    if (!broker) {
      brake_round_ = -1;
      return;
    }
    if (!BrakeAllows(now_ms)) return;
    const bool expired = !brokers_.Refused(*broker);
    const bool stopping = speculative_->FindBroker(*broker)->in_controlled_shutdown;
    const LogIndex index = quorum_->NextIndex();
    const BrokerManager::FenceStep step = brokers_.Fence(*speculative_, *broker);
    if (failover_.broker != *broker) failover_ = {.broker = *broker, .begin_ms = now_ms};
    const Failover before = failover_;
    failover_.Count(step.records);
    if (!step.records.empty()) {
      const Status proposed = Propose(
          step.records, step.last && !stopping ? TellWhenCommitted() : [](bool) {});
      if (!proposed.ok()) {
        failover_ = before;
        LOG_EVERY_N(ERROR, 100) << "broker " << *broker
                                << " is not fenced yet: " << proposed.ToString();
        return;
      }
      brokers_.OnFenced(*broker, index);
    }
    if (!step.last) return;  // the next tick goes on
    failover_ = {};
    ++(expired ? metrics_.fenced_by_session : metrics_.fenced_by_refusal);
    fenced_ms_.push_back(now_ms);
    TellFenced(*broker, expired, stopping);
  }
}

// What is not taken now, the next walk comes to again.
void MetadataController::RelieveFull() {
  if (!active_ || FaultPlanted(ReplicationFault::kFullStays)) return;
  const Records records = full_pass_.Next(*speculative_, brokers_.full(), NowMs());
  if (records.empty()) return;
  const Status proposed = Propose(records, [](bool) {});
  LOG_IF(INFO, proposed.ok()) << records.size()
                              << " partitions give up a lead or an ISR member on a full disk";
  VLOG(1) << "full disks: " << proposed.ToString();
}

void MetadataController::Failover::Count(const Records& records) {
  for (const metadata::MetadataRecord& record : records) {
    if (!record.has_partition_change() || !record.partition_change().has_leader()) continue;
    ++(record.partition_change().leader() == kNoNode.value() ? leaderless : leads_moved);
  }
}

std::function<void(bool)> MetadataController::TellWhenCommitted() {
  return [failover = failover_, clock = &loop_.clock()](bool committed) {
    if (!committed) return;  // another controller goes on with it, and tells
    LOG(INFO) << "broker " << failover.broker << " is gone: " << failover.leads_moved
              << (failover.leads_moved == 1 ? " leader" : " leaders") << " moved, "
              << failover.leaderless << (failover.leaderless == 1 ? " partition" : " partitions")
              << " without leader, " << clock->SteadyMs() - failover.begin_ms << " ms";
  };
}

// More than a share of the brokers falling silent within a session looks more like trouble of this
// node: then two rounds that a majority confirms, sent since, have to show that it is still the
// leader and on the network.
bool MetadataController::BrakeAllows(int64_t now_ms) {
  std::erase_if(fenced_ms_,
                [&](int64_t at) { return now_ms - at > options_.brokers.session_timeout_ms; });
  const auto unfenced = std::count_if(speculative_->brokers.begin(), speculative_->brokers.end(),
                                      [](const auto& broker) { return !broker.second->fenced; });
  const auto recent = static_cast<int64_t>(fenced_ms_.size());
  if ((recent + 1) * 100 <= (recent + unfenced) * options_.brokers.fence_brake_percent) return true;
  if (brake_round_ < 0) {
    brake_round_ = static_cast<int64_t>(confirmed_rounds_);
    ++metrics_.fence_brakes;
  }
  // The first round after may have been sent before.
  return static_cast<int64_t>(confirmed_rounds_) >= brake_round_ + 3;
}

// Which brokers the entry at `index` takes leads from.
void MetadataController::NoteLostLeads(const metadata::Image& before, const metadata::Delta& delta,
                                       LogIndex index) {
  for (const auto& [id, partitions] : delta.partitions) {
    const auto was = before.FindTopic(id);
    if (was == nullptr) continue;
    const auto is = speculative_->FindTopic(id);
    for (const PartitionIndex partition : partitions) {
      const auto i = static_cast<size_t>(partition.value());
      if (i >= was->partitions.size()) continue;
      const NodeId leader = was->partitions[i].leader;
      if (leader != is->partitions[i].leader) brokers_.OnLeadLost(leader, index, NowMs());
    }
  }
}

}  // namespace sluice::controller
