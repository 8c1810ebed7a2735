#pragma once
// Simulation: one seed, a cluster of its own with faults of its own: a safety phase, then all is
// healed and the cluster must work again, and hold everything that it has acknowledged.
//
// Thread rule: one thread.

#include <memory>
#include <string>

#include "tests/sim/cluster/cluster.h"
#include "tests/sim/cluster/swarm.h"

namespace sluice::sim {

class Simulation {
 public:
  explicit Simulation(uint64_t seed);

  // An empty string, or what went wrong.
  std::string Run();

  Cluster& cluster() { return *cluster_; }
  const Swarm& swarm() const { return swarm_; }

 private:
  static constexpr int64_t kFaultyMs = 40'000;
  static constexpr int64_t kStartMsMax = 10'000;
  static constexpr int64_t kHealedMsMax = 20'000;

  bool Begin();
  void RideOut();
  void OneFault();
  void Repair();
  bool Converged() const;
  std::string CheckLiveness();
  std::string CheckContents();
  std::string ReadEverything();
  NodeId Pick();

  Random random_;
  const Swarm swarm_;
  std::unique_ptr<Cluster> cluster_;
  std::vector<history::Place> places_;
};

}  // namespace sluice::sim
