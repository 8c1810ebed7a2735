// Rule 10 of replication: a broker that the controllers have fenced holds no lease any more, so
// that nobody acknowledges, or says where a log ends, beside whoever leads now; and it takes no
// record as a leader, not with acks=1 either.
#include <map>
#include <utility>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class Leases final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    const metadata::ImagePtr& image = cluster.NewestImage();
    for (const auto& [id, broker] : image->brokers) {
      const auto process = cluster.process(id);
      if (process == nullptr) continue;
      const broker::BrokerState& state = process->broker_state();
      const bool out_of_service = broker->fenced && state.broker_epoch == broker->epoch.value();
      if (out_of_service && !cluster.stopping(id) && state.LeaseValid(cluster.world().clock())) {
        return "broker " + std::to_string(id.value()) +
               " is fenced, and its lease is valid, from " +
               std::to_string(state.lease_start_steady_ms.load()) + " ms on";
      }
      std::string wrong = Follow(cluster, id, out_of_service);
      if (!wrong.empty()) return wrong;
    }
    return "";
  }
  void OnProcessChange(NodeId id) override {
    std::erase_if(seen_, [id](const auto& entry) { return entry.first.first == id; });
  }

 private:
  struct Seen {
    bool out_of_service = false;
    bool led = false;
    Offset end;
  };

  std::string Follow(Cluster& cluster, NodeId id, bool out_of_service) {
    for (const broker::PartitionStatus& status : cluster.StatusesOf(id)) {
      Seen& seen = seen_[{id, status.key}];
      const Seen before =
          std::exchange(seen, {out_of_service, status.is_leader, status.log_end_offset});
      // At the first instant the records may have come before the fencing.
      if (!before.out_of_service || !out_of_service || !before.led || !status.is_leader) continue;
      if (status.log_end_offset <= before.end) continue;
      return "broker " + std::to_string(id.value()) + " is fenced, and takes records to " +
             status.name.ToString() + " as its leader";
    }
    return "";
  }

  std::map<std::pair<NodeId, broker::PartitionKey>, Seen> seen_;
};

}  // namespace

std::unique_ptr<Check> NewLeaseCheck() { return std::make_unique<Leases>(); }

}  // namespace sluice::sim
