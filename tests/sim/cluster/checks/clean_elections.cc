// UncleanExclusion: who comes to lead was in the ISR or the ELR before, or has come to the ISR just
// then, as the last one of a move or beside the leader before, or was elected as an operator asked
// (Cluster::ExpectUncleanElection). When ISR and ELR were empty, but for a leader that came back
// with losses, all replicas live; that the one with the most leads then, CommittedRecords sees.
// Nobody enters the ISR who is fenced. A move leaves as many who have everything as
// min.insync.replicas wants, or as there were.
#include <algorithm>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/metadata_trail.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

bool Contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

std::string Judge(Cluster& cluster, const metadata::TopicImage& topic, size_t index,
                  const metadata::PartitionImage& before, const metadata::Image& image) {
  const metadata::PartitionImage& after = topic.partitions[index];
  const std::string name = topic.name + "-" + std::to_string(index);
  for (const NodeId member : after.isr) {
    const metadata::BrokerImage* broker = image.FindBroker(member);
    if (!Contains(before.isr, member) && (broker == nullptr || broker->fenced))
      return name + ": broker " + std::to_string(member.value()) + " enters the ISR fenced";
  }
  if (after.leader == before.leader || after.leader == kNoNode) return "";
  // Who has joined the ISR by the same record leads at once where a move is done by that, or where
  // the leader that says so is drained.
  const bool moved = before.moving() && !after.moving() && Contains(after.isr, after.leader);
  const bool vouched_for = Contains(after.isr, before.leader) && Contains(after.isr, after.leader);
  const bool all_there = before.isr.empty() && before.elr.empty() &&
                         before.last_known_elr.size() == 1 &&
                         std::ranges::all_of(after.replicas, [&](NodeId replica) {
                           return metadata::ReplicaActive(image, after, replica);
                         });
  const bool clean = moved || vouched_for || Contains(before.isr, after.leader) ||
                     Contains(before.elr, after.leader) || all_there;
  const broker::PartitionKey key{topic.id, PartitionIndex(static_cast<int32_t>(index))};
  if (!clean && before.leader == kNoNode && cluster.TakeUncleanElection(key)) return "";
  return clean ? "" : name + ": an unclean election of " + std::to_string(after.leader.value());
}

std::string JudgeMove(const metadata::Image& before_image, const metadata::Image& after_image,
                      const metadata::TopicImage& topic, size_t index,
                      const metadata::PartitionImage& before) {
  const metadata::PartitionImage& after = topic.partitions[index];
  if (after.replicas == before.replicas) return "";
  const int32_t min_isr = std::min(metadata::EffectiveMinIsr(before_image, topic.name, before),
                                   metadata::EffectiveMinIsr(after_image, topic.name, after));
  const size_t complete = before.isr.size() + before.elr.size();
  const size_t wanted = std::min(complete, static_cast<size_t>(min_isr));
  const size_t left = after.isr.size() + after.elr.size();
  if (left >= wanted) return "";
  return topic.name + "-" + std::to_string(index) + ": a move leaves " + std::to_string(left) +
         " replicas that have everything, of " + std::to_string(complete);
}

class CleanElections final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    return trail_.Follow(
        cluster,
        [&cluster](const metadata::Image& before, const metadata::Image& after) -> std::string {
          for (const auto& [id, topic] : *after.topics_by_id) {
            const auto old = before.FindTopic(id);
            if (old == nullptr || old == topic) continue;
            for (size_t i = 0; i < old->partitions.size(); ++i) {
              std::string wrong = Judge(cluster, *topic, i, old->partitions[i], after);
              if (wrong.empty()) wrong = JudgeMove(before, after, *topic, i, old->partitions[i]);
              if (!wrong.empty()) return wrong;
            }
          }
          return "";
        });
  }

 private:
  MetadataTrail trail_;
};

}  // namespace

std::unique_ptr<Check> NewCleanElectionCheck() { return std::make_unique<CleanElections>(); }

}  // namespace sluice::sim
