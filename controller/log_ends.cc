#include "controller/log_ends.h"

#include <algorithm>

#include "controller/decision.h"

namespace sluice::controller {

using metadata::Image;
using metadata::PartitionImage;

namespace {

// Each heartbeat looks at so many of those kept: what is of no use any more goes within seconds.
constexpr int kLookedAtMax = 100;

const PartitionImage* WithoutLeader(const Image& image, const LogEnds::Place& place) {
  const PartitionImage* partition = image.FindPartition(place.first, place.second);
  return partition != nullptr && partition->leader == kNoNode ? partition : nullptr;
}

}  // namespace

void LogEnds::Note(const Image& image, const HeartbeatRequest& request) {
  ForgetSome(image);
  const NodeId sender(request.sender().node_id());
  for (const auto& told : request.log_ends()) {
    if (!IsUuid(told.topic_id())) continue;
    const Place place{TopicId::FromBytes(told.topic_id()), PartitionIndex(told.partition())};
    const PartitionImage* partition = WithoutLeader(image, place);
    if (partition == nullptr || told.leader_epoch() != partition->leader_epoch.value()) continue;
    const auto holds = [&replicas = partition->replicas](NodeId node) {
      return std::find(replicas.begin(), replicas.end(), node) != replicas.end();
    };
    if (!holds(sender)) continue;
    std::vector<Told>& all = told_[place];
    std::erase_if(all, [&](const Told& other) {
      return other.replica == sender || other.leader_epoch != partition->leader_epoch ||
             !holds(other.replica);
    });
    all.push_back({.replica = sender,
                   .broker_epoch = BrokerEpoch(request.sender().broker_epoch()),
                   .leader_epoch = partition->leader_epoch,
                   .end = {LeaderEpoch(told.last_epoch()), Offset(told.end_offset())}});
  }
}

std::optional<metadata::LogEnd> LogEnds::Find(const Image& image, const Place& place,
                                              NodeId replica) const {
  const auto found = told_.find(place);
  const PartitionImage* partition = WithoutLeader(image, place);
  const metadata::BrokerImage* broker = image.FindBroker(replica);
  if (found == told_.end() || partition == nullptr || broker == nullptr) return std::nullopt;
  for (const Told& told : found->second) {
    if (told.replica == replica && told.broker_epoch == broker->epoch &&
        told.leader_epoch == partition->leader_epoch)
      return told.end;
  }
  return std::nullopt;
}

void LogEnds::ForgetSome(const Image& image) {
  auto it = told_.upper_bound(looked_at_);
  for (int i = 0; i < kLookedAtMax && it != told_.end(); ++i) {
    looked_at_ = it->first;
    it = WithoutLeader(image, it->first) == nullptr ? told_.erase(it) : std::next(it);
  }
  if (it == told_.end()) looked_at_ = {};
}

}  // namespace sluice::controller
