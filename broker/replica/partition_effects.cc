#include "broker/replica/partition_effects.h"

#include "broker/replica/partition.h"

namespace sluice::broker {

void PartitionEffects::Run(const PartitionContext& context) {
  for (const auto& partition : std::exchange(flushes, {})) partition->SubmitFlush();
  for (const auto& waiter : std::exchange(woken, {})) waiter->Wake();
  for (auto& done : std::exchange(acknowledgements, {}))
    done.operation->Finish(done.entry, done.error);
  for (const auto& waiter : std::exchange(nudged, {})) waiter->WakeSoon();
  for (const auto& callback : std::exchange(callbacks, {})) callback();
  for (IsrProposal& proposal : std::exchange(proposals, {}))
    context.propose_isr(std::move(proposal));
  for (const StorageFailure& failure : std::exchange(storage_failures, {}))
    context.report_storage_failure(failure);
}

}  // namespace sluice::broker
