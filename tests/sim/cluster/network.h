#pragma once
// Network: the twin of the network between simulated hosts, be they nodes or clients. Streams keep
// their order and lose nothing on the way: what is sent into a cut waits, as TCP would retransmit
// it, and arrives late, perhaps long after whoever sent it has given up. Datagrams get lost.
//
// Thread rule: one thread, as all of the simulator.

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/random.h"
#include "base/testing/sim_event_loop.h"

namespace sluice::sim {

// Connections of one kind between the same two hosts do not wait for each other.
using Lane = uint64_t;
inline constexpr Lane kHeartbeatLane = 1;   // a broker's heartbeats and registrations
inline constexpr Lane kFeedLane = 2;        // of metadata
inline constexpr Lane kControllerLane = 3;  // all other calls to controllers

// Messages of one lane that take their time, whatever those of the others do.
struct SlowLane {
  uint64_t percent = 0;
  int64_t ms_max = 0;
};

struct NetworkWeather {
  int64_t delay_ms_max = 2;
  uint64_t straggler_percent = 0;  // messages that take their time
  int64_t straggler_ms_max = 0;
  uint64_t loss_percent = 0;  // of datagrams
  std::map<Lane, SlowLane> slow_lanes;
};

class Network {
 public:
  Network(testing::SimScheduler& scheduler, Random random) : loop_(scheduler), random_(random) {}

  void set_weather(const NetworkWeather& weather) { weather_ = weather; }
  // Runs `arrive` when the bytes are there, in the lane's order.
  void Carry(NodeId from, NodeId to, Lane lane, std::function<void()> arrive);
  // In any order, or not at all.
  void CarryDatagram(NodeId from, NodeId to, std::function<void()> arrive);
  // Runs `task` at the one's end, without a way to go.
  void After(int64_t delay_ms, std::function<void()> task) {
    loop_.RunAfter(delay_ms, std::move(task));
  }

  // One direction only.
  void Cut(NodeId from, NodeId to) { cut_.emplace(from, to); }
  // Of one kind of connection.
  void CutLane(NodeId from, NodeId to, Lane lane) { cut_lanes_.emplace(from, to, lane); }
  bool Open(NodeId from, NodeId to) const { return !cut_.contains({from, to}); }
  bool OpenBothWays(NodeId a, NodeId b) const { return Open(a, b) && Open(b, a); }
  void HealAll();
  void HealLane(NodeId from, NodeId to, Lane lane);
  // A host without power keeps nothing that was to be sent.
  void ForgetFrom(NodeId host);

 private:
  using Way = std::tuple<NodeId, NodeId, Lane>;
  struct Held {
    Way way;
    std::function<void()> arrive;
  };
  int64_t Delay();
  int64_t DelayOn(Lane lane);
  void Arrive(const Way& way, std::function<void()> arrive);

  testing::SimEventLoop loop_;
  Random random_;
  NetworkWeather weather_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  std::set<Way> cut_lanes_;
  std::map<Way, int64_t> last_due_ms_;
  std::vector<Held> held_;
};

}  // namespace sluice::sim
