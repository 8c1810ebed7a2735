#pragma once
// Faults: what happens to one seed's cluster, drawn by its swarm's weights, and how it gets better
// again.
//
// What no cluster can survive is not asked of it: of hosts that have lost records, or may have,
// there is one at a time, until it is in sync again everywhere (`hurt_`).
//
// Thread rule: one thread, as all of the simulator.

#include <set>
#include <string>
#include <vector>

#include "tests/sim/cluster/cluster.h"
#include "tests/sim/cluster/swarm.h"

namespace sluice::sim {

class Faults {
 public:
  Faults(Cluster& cluster, const Swarm& swarm, std::vector<std::string> topics, Random random)
      : cluster_(cluster), swarm_(swarm), topics_(std::move(topics)), random_(random) {}

  void One();
  // One thing gets better.
  void Repair();
  // Everything does; nodes run.
  void HealAll();

 private:
  NodeId Pick();
  void CutOneWay(NodeId id);
  void CutPair(NodeId id);
  void CutClients(NodeId id);
  void PowerCut(NodeId id);
  void PowerCutAll();
  void Bounce(NodeId id);
  void FailDisk(NodeId id);
  void FillDisk(NodeId id);
  void ReplaceDisk(NodeId id);
  void StepClock(NodeId id);
  void Start(NodeId id);
  // Whether this host may lose what it has not synced, or more.
  bool MayHurt(NodeId id);
  // Of some partition nobody else has all records.
  bool AloneWith(NodeId id) const;
  bool Whole(NodeId id) const;

  Cluster& cluster_;
  const Swarm& swarm_;
  const std::vector<std::string> topics_;
  Random random_;
  std::set<NodeId> hurt_;
  std::set<NodeId> failed_disks_;
  std::set<NodeId> full_disks_;
};

}  // namespace sluice::sim
