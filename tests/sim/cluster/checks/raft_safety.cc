// The metadata quorum's own invariants (raft/testing/invariants.h), as far as they show from its
// cores between two events.
#include "raft/testing/invariants.h"
#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class RaftSafety final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    for (const NodeId id : cluster.ids()) {
      if (const auto process = cluster.process(id)) invariants_.Observe(id, process->raft_core());
    }
    return invariants_.breach();
  }
  void OnProcessChange(NodeId id) override { invariants_.Restarted(id); }

 private:
  raft::testing::Invariants invariants_;
};

}  // namespace

std::unique_ptr<Check> NewRaftSafetyCheck() { return std::make_unique<RaftSafety>(); }

}  // namespace sluice::sim
