#include "broker/replica/partition_effects.h"

#include "broker/replica/partition.h"

namespace sluice::broker {

void PartitionEffects::AddFlush(storage::Flusher& flusher, storage::FlushablePtr partition) {
  auto known = flushes.begin();
  while (known != flushes.end() && known->flusher != &flusher) ++known;
  if (known == flushes.end()) known = flushes.insert(known, {&flusher, {}});
  known->partitions.push_back(std::move(partition));
  if (known->partitions.size() < storage::kSubmitAheadPartitions) return;
  flusher.Submit(known->partitions);
  known->partitions.clear();
}

void PartitionEffects::Run(const PartitionContext& context) {
  for (const Flushes& dirty : std::exchange(flushes, {})) dirty.flusher->Submit(dirty.partitions);
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

void PartitionWatch::Tell(PartitionEffects& effects) {
  if (std::exchange(told_, true)) return;
  effects.callbacks.push_back([observer = observer_, key = *key_] { (*observer)(key); });
}

}  // namespace sluice::broker
