#pragma once
// Verdict: what must come true of a cluster once all faults are gone. It becomes whole, goes on to
// acknowledge, its clients come to an end, all replicas hold the same, and the judge of histories
// finds nothing.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <string>
#include <vector>

#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {

class Verdict {
 public:
  // `goes_on`: producers that need no asking are there, and have to be acknowledged.
  Verdict(Cluster& cluster, std::vector<std::string> topics, bool goes_on)
      : cluster_(cluster), topics_(std::move(topics)), goes_on_(goes_on) {}

  // All faults are gone. Empty, or what is wrong. `ready`: what else is waited for.
  std::string Reach(const std::function<bool()>& ready);

 private:
  static constexpr int64_t kHealedMsMax = 20'000;

  bool Whole() const;
  // By how much replicas outside their ISRs lack of what the leaders have.
  int64_t RecordsBehind() const;
  std::string BecomeWhole(const std::function<bool()>& ready);
  std::string ComeToAnEnd();
  std::string ReadEverything();
  std::string CheckContents();
  std::string Failed(const std::string& what);

  Cluster& cluster_;
  const std::vector<std::string> topics_;
  const bool goes_on_;
  std::vector<history::Place> places_;
};

}  // namespace sluice::sim
