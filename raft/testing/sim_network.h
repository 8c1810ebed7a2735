#pragma once
// SimNetwork: carries messages between simulated voters, late, twice, out of order or not at all,
// and cuts links in one or both directions.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <map>
#include <set>
#include <utility>

#include "base/random.h"
#include "base/testing/sim_event_loop.h"
#include "raft/transport.h"

namespace sluice::raft::testing {

struct SimNetworkOptions {
  int64_t delay_ms_min = 0;
  int64_t delay_ms_max = 2;
  uint64_t loss_percent = 0;
  uint64_t duplicate_percent = 0;
  // Some messages take their time: they speak of a world that is gone.
  uint64_t straggler_percent = 0;
  int64_t straggler_ms_max = 0;
};

class SimNetwork {
 public:
  using Deliver = std::function<void(Message)>;

  SimNetwork(sluice::testing::SimScheduler& scheduler, Random random)
      : loop_(scheduler), random_(random) {}

  void set_options(SimNetworkOptions options) { options_ = options; }
  void set_deliver(Deliver deliver) { deliver_ = std::move(deliver); }
  void Send(Message message);
  // One direction only.
  void Cut(NodeId from, NodeId to) { cut_.emplace(from, to); }
  void HealAll() { cut_.clear(); }
  bool IsCut(NodeId from, NodeId to) const { return cut_.contains({from, to}); }

 private:
  void Schedule(Message message);

  sluice::testing::SimEventLoop loop_;
  Random random_;
  SimNetworkOptions options_;
  Deliver deliver_;
  std::set<std::pair<NodeId, NodeId>> cut_;
};

}  // namespace sluice::raft::testing
