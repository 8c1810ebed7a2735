#include "controller/decommission.h"

#include <algorithm>
#include <map>
#include <set>

#include "controller/partition_manager.h"
#include "metadata/placement.h"

namespace sluice::controller {

using metadata::BrokerGoal;
using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

class Decommission {
 public:
  Decommission(const Image& image, int64_t moves_max) : image_(image), moves_max_(moves_max) {
    for (const auto& [id, broker] : image.brokers) {
      if (broker->goal == BrokerGoal::kDecommission) leaving_.insert(id);
      brokers_.push_back({id, broker->rack, !broker->active() || broker->yields()});
    }
  }

  Records Run() {
    if (leaving_.empty()) return {};
    Count();
    for (const auto& [name, topic] : *image_.topics_by_name) {
      for (size_t i = 0; i < topic->partitions.size() && moving_ < moves_max_; ++i) Move(*topic, i);
    }
    for (const NodeId id : leaving_) {
      if (replicas_[id] > 0 || !image_.FindBroker(id)->fenced) continue;
      LOG(INFO) << "broker " << id << " has no replicas left and does not run: it is unregistered";
      records_.emplace_back().mutable_unregister_broker()->set_broker_id(id.value());
    }
    return std::move(records_);
  }

 private:
  void Count() {
    for (const auto& [name, topic] : *image_.topics_by_name) {
      for (const PartitionImage& p : topic->partitions) {
        moving_ += p.moving() ? 1 : 0;
        for (const NodeId node : p.replicas) ++replicas_[node];
      }
    }
  }

  void Move(const TopicImage& topic, size_t index) {
    const PartitionImage& p = topic.partitions[index];
    if (p.moving() || p.leader == kNoNode) return;
    std::vector<NodeId> target = p.replicas;
    for (NodeId& node : target) {
      if (!leaving_.contains(node)) continue;
      const NodeId other = metadata::ChooseReplacement(brokers_, replicas_, target, node);
      if (other == kNoNode) continue;
      ++replicas_[other];
      node = other;
    }
    if (target == p.replicas) return;
    LOG(INFO) << topic.name << "-" << index << ": leaves brokers that are decommissioned";
    const metadata::ElectionInput input{
        .partition = p,
        .min_isr = metadata::EffectiveMinIsr(image_, topic.name, p),
        .is_active = [&](NodeId node) { return metadata::ReplicaActive(image_, p, node); },
        .yields = YieldsIn(image_),
        .wished_isr = {}};
    AppendDecision(topic, index, metadata::Decide(input, metadata::MoveTo(p, target)), records_);
    ++moving_;
  }

  const Image& image_;
  const int64_t moves_max_;
  std::set<NodeId> leaving_;
  std::vector<metadata::PlacementBroker> brokers_;
  std::map<NodeId, int64_t> replicas_;
  int64_t moving_ = 0;
  Records records_;
};

}  // namespace

Records NextOfDecommission(const Image& image, int64_t moves_max) {
  return Decommission(image, moves_max).Run();
}

}  // namespace sluice::controller
