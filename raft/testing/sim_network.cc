#include "raft/testing/sim_network.h"

#include <utility>

namespace sluice::raft::testing {

void SimNetwork::Send(Message message) {
  if (IsCut(message.from.id, message.to) || random_.Chance(options_.loss_percent, 100)) return;
  if (random_.Chance(options_.duplicate_percent, 100)) Schedule(message);
  Schedule(std::move(message));
}

void SimNetwork::Schedule(Message message) {
  const bool straggles =
      options_.straggler_percent > 0 && random_.Chance(options_.straggler_percent, 100);
  const int64_t delay_ms = random_.Between(
      options_.delay_ms_min, straggles ? options_.straggler_ms_max : options_.delay_ms_max);
  loop_.RunAfter(delay_ms, [this, message = std::move(message)]() mutable {
    // What was under way when the link was cut is lost with it.
    if (!IsCut(message.from.id, message.to)) deliver_(std::move(message));
  });
}

}  // namespace sluice::raft::testing
