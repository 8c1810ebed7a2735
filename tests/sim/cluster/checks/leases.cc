// Rule 10 of replication: a broker that the controllers have fenced holds no lease any more, so
// that nobody acknowledges, or says where a log ends, beside whoever leads now.
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
      if (!broker->fenced || process == nullptr || cluster.stopping(id)) continue;
      const broker::BrokerState& state = process->broker_state();
      if (state.broker_epoch != broker->epoch.value()) continue;
      if (!state.LeaseValid(cluster.world().clock())) continue;
      return "broker " + std::to_string(id.value()) + " is fenced, and its lease is valid, from " +
             std::to_string(state.lease_start_steady_ms.load()) + " ms on";
    }
    return "";
  }
};

}  // namespace

std::unique_ptr<Check> NewLeaseCheck() { return std::make_unique<Leases>(); }

}  // namespace sluice::sim
