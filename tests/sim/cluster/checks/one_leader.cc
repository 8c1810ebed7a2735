// A leader epoch has one leader: no two processes ever take the lead of a partition in the same
// one. (A process that starts again may find itself leader of the epoch that it led before: then
// only if it kept everything.)
#include <map>
#include <utility>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class OneLeader final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    for (const NodeId id : cluster.ids()) {
      for (const broker::PartitionStatus& status : cluster.StatusesOf(id)) {
        if (!status.is_leader) continue;
        const auto [known, added] = leaders_.try_emplace({status.key, status.leader_epoch}, id);
        if (known->second == id) continue;
        return status.name.ToString() + " has two leaders in epoch " +
               std::to_string(status.leader_epoch.value()) + ": nodes " +
               std::to_string(known->second.value()) + " and " + std::to_string(id.value());
      }
    }
    return "";
  }

 private:
  std::map<std::pair<broker::PartitionKey, LeaderEpoch>, NodeId> leaders_;
};

}  // namespace

std::unique_ptr<Check> NewOneLeaderCheck() { return std::make_unique<OneLeader>(); }

}  // namespace sluice::sim
