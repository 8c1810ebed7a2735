#include "controller/decommission.h"

#include <algorithm>

#include "controller/partition_manager.h"

namespace sluice::controller {

using metadata::BrokerGoal;
using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

Records Decommission::Next(const Image& image, const FullDirectories& full) {
  leaving_.clear();
  brokers_.clear();
  for (const auto& [id, broker] : image.brokers) {
    if (broker->goal == BrokerGoal::kDecommission) leaving_.insert(id);
    const bool takes = broker->active() && !broker->yields() && !full.HasAllOf(*broker);
    brokers_.push_back({id, broker->rack, !takes});
  }
  if (leaving_.empty()) {
    stage_ = Stage::kPause;
    return {};
  }
  if (stage_ == Stage::kPause) {
    stage_ = Stage::kCounting;
    count_walk_.Begin();
    replicas_.clear();
    moving_ = 0;
    to_come_round_ = 0;
  }
  Records records;
  size_t left = PartitionWalk::kLookedAtMax;
  if (stage_ == Stage::kCounting && Count(image, left)) {
    UnregisterEmpty(image, records);
    stage_ = Stage::kMoving;
  }
  if (stage_ == Stage::kMoving && MoveSome(image, left, records)) stage_ = Stage::kPause;
  return records;
}

bool Decommission::Count(const Image& image, size_t& left) {
  count_walk_.Go(image, [&](const TopicImage& topic, size_t index) {
    if (left == 0) return false;
    --left;
    ++to_come_round_;
    const PartitionImage& p = topic.partitions[index];
    moving_ += p.moving() ? 1 : 0;
    for (const NodeId node : p.replicas) ++replicas_[node];
    return true;
  });
  return !count_walk_.under_way();
}

void Decommission::UnregisterEmpty(const Image& image, Records& records) const {
  for (const NodeId id : leaving_) {
    if (replicas_.contains(id) || !image.FindBroker(id)->fenced) continue;
    LOG(INFO) << "broker " << id << " has no replicas left and does not run: it is unregistered";
    records.emplace_back().mutable_unregister_broker()->set_broker_id(id.value());
  }
}

bool Decommission::MoveSome(const Image& image, size_t& left, Records& records) {
  const auto done = [this] { return to_come_round_ == 0 || moving_ >= moves_max_; };
  const auto visit = [&](const TopicImage& topic, size_t index) {
    if (left == 0 || done()) return false;
    --left;
    --to_come_round_;
    Move(image, topic, index, records);
    return true;
  };
  // To the end, and on from the first one: where topics were deleted meanwhile that is all.
  for (int lap = 0; lap < 2; ++lap) {
    if (!move_walk_.under_way()) move_walk_.Begin();
    move_walk_.Go(image, visit);
    if (move_walk_.under_way()) return done();
  }
  return true;
}

void Decommission::Move(const Image& image, const TopicImage& topic, size_t index,
                        Records& records) {
  const PartitionImage& p = topic.partitions[index];
  if (p.moving() || p.leader == kNoNode) return;
  const auto leaves = [this](NodeId node) { return leaving_.contains(node); };
  if (std::ranges::none_of(p.replicas, leaves)) return;
  std::vector<NodeId> target = p.replicas;
  for (NodeId& node : target) {
    if (!leaves(node)) continue;
    const NodeId other = metadata::ChooseReplacement(brokers_, replicas_, target, node);
    if (other == kNoNode) continue;
    ++replicas_[other];
    node = other;
  }
  if (target == p.replicas) return;
  LOG(INFO) << topic.name << "-" << index << ": leaves brokers that are decommissioned";
  const metadata::ElectionInput input = metadata::ElectionInputOf(image, topic.name, p);
  AppendDecision(topic, index, metadata::Decide(input, metadata::MoveTo(p, target)), records);
  ++moving_;
}

}  // namespace sluice::controller
