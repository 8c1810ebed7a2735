#pragma once
// Check: a property of the whole cluster that must hold at every instant. One file each.
//
// Thread rule: one thread, as all of the simulator.

#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"

namespace sluice::sim {

class Cluster;

class Check {
 public:
  virtual ~Check() = default;
  // Empty, or what is wrong.
  virtual std::string AfterInstant(Cluster& cluster) = 0;
  // A process has begun on that node, or ended: what the one before held in memory is gone.
  virtual void OnProcessChange(NodeId) {}
};

// All there are.
std::vector<std::unique_ptr<Check>> AllChecks();

}  // namespace sluice::sim
