// UncleanExclusion: who comes to lead was in the ISR or the ELR before, or, when both were empty,
// led last, or has come to the ISR as the last one of a move; and nobody enters the ISR who is
// fenced.
#include <algorithm>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/metadata_trail.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

bool Contains(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

std::string Judge(const std::string& name, const metadata::PartitionImage& before,
                  const metadata::PartitionImage& after, const metadata::Image& image) {
  for (const NodeId member : after.isr) {
    const metadata::BrokerImage* broker = image.FindBroker(member);
    if (!Contains(before.isr, member) && (broker == nullptr || broker->fenced))
      return name + ": broker " + std::to_string(member.value()) + " enters the ISR fenced";
  }
  if (after.leader == before.leader || after.leader == kNoNode) return "";
  // A move that is done: the last one to come has joined the ISR by the same record.
  const bool moved = before.moving() && !after.moving() && Contains(after.isr, after.leader);
  const bool clean =
      moved || Contains(before.isr, after.leader) || Contains(before.elr, after.leader) ||
      (before.isr.empty() && before.elr.empty() && Contains(before.last_known_elr, after.leader));
  return clean ? "" : name + ": an unclean election of " + std::to_string(after.leader.value());
}

class CleanElections final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    return trail_.Follow(
        cluster, [](const metadata::Image& before, const metadata::Image& after) -> std::string {
          for (const auto& [id, topic] : *after.topics_by_id) {
            const auto old = before.FindTopic(id);
            if (old == nullptr || old == topic) continue;
            for (size_t i = 0; i < old->partitions.size(); ++i) {
              std::string wrong = Judge(topic->name + "-" + std::to_string(i), old->partitions[i],
                                        topic->partitions[i], after);
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
