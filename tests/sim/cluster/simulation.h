#pragma once
// Simulation: one seed, a cluster of its own with faults of its own: a safety phase, then all is
// healed and the cluster must work again, and hold everything that it has acknowledged.
//
// Thread rule: one thread.

#include <memory>
#include <string>

#include "tests/sim/cluster/cluster.h"
#include "tests/sim/cluster/faults.h"
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
  static constexpr int64_t kFaultyMs = 53'000;
  static constexpr int64_t kStartMsMax = 10'000;

  bool Begin();
  void RideOut();
  void BeginUses();
  // Nothing is asked for any more, and what was asked for is so.
  bool Settled();
  // Each partition is led by its first replica.
  bool Balanced(const metadata::Image& image) const;

  Random random_;
  const Swarm swarm_;
  std::unique_ptr<Cluster> cluster_;
  std::vector<std::string> topics_;
  std::vector<history::Place> places_;
  std::unique_ptr<Faults> faults_;
};

}  // namespace sluice::sim
