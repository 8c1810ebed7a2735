#pragma once
// World: what all hosts of one simulated cluster share: time, network, the table of who runs where,
// and the trace by which two runs of one seed are compared.
//
// Thread rule: one thread, as all of the simulator.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/testing/sim_event_loop.h"
#include "tests/sim/cluster/network.h"

namespace sluice::sim {

class Process;

// What a node is beside its processes.
enum class Power { kOff, kOn };

inline constexpr int kKafkaPortBase = 9000;
inline constexpr int kControllerPortBase = 9500;

// "node3:9503", where node 3's gRPC server listens.
std::string ControllerAddress(NodeId node);
// Of either kind of address.
NodeId NodeAt(std::string_view address);

// Something sent to a process that waits for an answer.
class Pending {
 public:
  virtual ~Pending() = default;
  // The connection broke, as the one who waits can tell. Once answered or broken it does nothing.
  virtual void Break(const std::string& why) = 0;
  virtual bool over() const = 0;
};

class World {
 public:
  explicit World(uint64_t seed)
      : random_(seed), network_(scheduler_, random_.Fork()), loop_(scheduler_) {}

  testing::SimScheduler& scheduler() { return scheduler_; }
  const Clock& clock() { return scheduler_.clock(); }
  Random& random() { return random_; }
  Network& network() { return network_; }
  testing::SimEventLoop& loop() { return loop_; }

  Lane NewLane() { return next_lane_++; }

  // Null while it is down.
  std::shared_ptr<Process> process(NodeId id) const;
  void SetProcess(NodeId id, std::shared_ptr<Process> process);
  Power power(NodeId id) const { return power_.contains(id) ? power_.at(id) : Power::kOff; }
  void SetPower(NodeId id, Power power) { power_[id] = power; }

  // Runs `arrive` at `to`'s process, which must be there then. Where the host has power and no
  // process, `pending` breaks as soon as the refusal is back; where it has none, nothing happens.
  void Request(NodeId from, NodeId to, Lane lane, const std::shared_ptr<Pending>& pending,
               std::function<void(Process&)> arrive);
  // The process on `id` has ended: connections to it break, unless the host went with it.
  void BreakConnections(NodeId id, bool host_lost);

  // Into the hash of this run.
  void Trace(std::string_view what, uint64_t value);
  uint64_t trace_hash() const { return trace_hash_; }
  uint64_t traced() const { return traced_; }

 private:
  struct Open {
    NodeId from;
    NodeId to;
    std::weak_ptr<Pending> pending;
  };

  Random random_;
  testing::SimScheduler scheduler_;
  Network network_;
  testing::SimEventLoop loop_;
  std::map<NodeId, std::shared_ptr<Process>> processes_;
  std::map<NodeId, Power> power_;
  std::vector<Open> open_;
  uint64_t trace_hash_ = 14695981039346656037ULL;
  uint64_t traced_ = 0;
  Lane next_lane_ = 100;  // those below are of connections between processes
};

}  // namespace sluice::sim
