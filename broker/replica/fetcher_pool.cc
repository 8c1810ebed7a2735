#include "broker/replica/fetcher_pool.h"

namespace sluice::broker {

void FetcherPool::Assign(std::vector<std::shared_ptr<Partition>> partitions) {
  if (partitions.empty()) return;
  environment_.options->loop->Post([weak = weak_from_this(), partitions = std::move(partitions)] {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    for (const auto& partition : partitions) self->Apply(partition, partition->follow_target());
    self->GoOn();
  });
}

void FetcherPool::Refresh(std::shared_ptr<Partition> partition) {
  environment_.options->loop->Post([weak = weak_from_this(), partition = std::move(partition)] {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    const Partition::FollowTarget target = partition->follow_target();
    if (target.leader == kNoNode) return;
    self->Forget(partition->key());
    self->Apply(partition, target);
    self->GoOn();
  });
}

void FetcherPool::GoOn() {
  DropEmptyFetchers();
  for (const auto& [key, fetcher] : fetchers_) {
    if (hurried_.contains(key)) fetcher->Hurry();
    fetcher->Step();
  }
  hurried_.clear();
}

void FetcherPool::Forget(const PartitionKey& key) {
  const auto found = current_.find(key);
  if (found == current_.end()) return;
  const Partition::FollowTarget& target = found->second.target;
  fetchers_.at({target.leader, target.fsync})->Remove(key);
  current_.erase(found);
}

void FetcherPool::Apply(const std::shared_ptr<Partition>& partition,
                        const Partition::FollowTarget& target) {
  const PartitionKey key = partition->key();
  if (const auto found = current_.find(key); found != current_.end()) {
    const Current& current = found->second;
    if (current.target == target && current.partition == partition) return;
    // One that was removed says nothing of the one that came after it.
    if (target.leader == kNoNode && current.partition != partition) return;
    Forget(key);
  }
  if (target.leader == kNoNode) return;
  auto& fetcher = fetchers_[{target.leader, target.fsync}];
  if (fetcher == nullptr)
    fetcher = std::make_shared<Fetcher>(environment_, target.leader, target.fsync);
  fetcher->Add(partition, target.epoch);
  hurried_.insert({target.leader, target.fsync});
  current_[key] = {target, partition};
}

void FetcherPool::DropEmptyFetchers() {
  std::erase_if(fetchers_, [](const auto& entry) {
    if (!entry.second->empty()) return false;
    entry.second->Stop();
    return true;
  });
}

void FetcherPool::Stop() {
  environment_.options->loop->Post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->stopped_ = true;
    for (const auto& [key, fetcher] : self->fetchers_) fetcher->Stop();
    self->fetchers_.clear();
    self->current_.clear();
  });
}

}  // namespace sluice::broker
