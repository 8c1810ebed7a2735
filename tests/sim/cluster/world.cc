#include "tests/sim/cluster/world.h"

#include <glog/logging.h>

#include <charconv>
#include <utility>

#include "tests/sim/cluster/process.h"

namespace sluice::sim {
namespace {

constexpr size_t kOpenPruneAt = 256;

}  // namespace

std::string ControllerAddress(NodeId node) {
  return "node" + std::to_string(node.value()) + ":" +
         std::to_string(kControllerPortBase + node.value());
}

NodeId NodeAt(std::string_view address) {
  CHECK(address.starts_with("node")) << address;
  int32_t id = 0;
  std::from_chars(address.data() + 4, address.data() + address.size(), id);
  return NodeId(id);
}

std::shared_ptr<Process> World::process(NodeId id) const {
  const auto found = processes_.find(id);
  return found == processes_.end() ? nullptr : found->second;
}

void World::SetProcess(NodeId id, std::shared_ptr<Process> process) {
  processes_[id] = std::move(process);
}

void World::Request(NodeId from, NodeId to, Lane lane, const std::shared_ptr<Pending>& pending,
                    std::function<void(Process&)> arrive) {
  if (open_.size() > kOpenPruneAt) {
    std::erase_if(open_, [](const Open& open) {
      const auto still = open.pending.lock();
      return still == nullptr || still->over();
    });
  }
  open_.push_back({from, to, pending});
  const std::weak_ptr<Process> connected = process(to);
  const bool dials = process(to) == nullptr;
  network_.Carry(from, to, lane,
                 [this, from, to, lane, pending, connected, dials, arrive = std::move(arrive)] {
                   const std::shared_ptr<Process> target = process(to);
                   // A process that came after the connection was made does not know it.
                   if (target != nullptr && (dials || connected.lock() == target)) {
                     Trace("request", static_cast<uint64_t>(to.value()));
                     arrive(*target);
                   } else if (power(to) == Power::kOn) {
                     network_.Carry(to, from, lane, [pending] { pending->Break("refused"); });
                   }
                 });
}

void World::BreakConnections(NodeId id, bool host_lost) {
  std::vector<Open> open = std::exchange(open_, {});
  for (Open& connection : open) {
    const auto pending = connection.pending.lock();
    if (pending == nullptr || pending->over()) continue;
    if (connection.to != id) {
      open_.push_back(std::move(connection));
    } else if (!host_lost) {
      network_.CarryDatagram(id, connection.from,
                             [pending] { pending->Break("connection reset"); });
    }
  }
}

void World::Trace(std::string_view what, uint64_t value) {
  const auto mix = [this](uint64_t word) {
    trace_hash_ = (trace_hash_ ^ word) * 1099511628211ULL;
    trace_hash_ ^= trace_hash_ >> 29;
  };
  mix(static_cast<uint64_t>(scheduler_.clock().SteadyMs()));
  mix(what.size() * 131 + static_cast<unsigned char>(what.front()));
  mix(value);
  ++traced_;
}

}  // namespace sluice::sim
