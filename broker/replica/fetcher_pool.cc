#include "broker/replica/fetcher_pool.h"

namespace sluice::broker {

void FetcherPool::Assign(std::vector<Assignment> assignments) {
  if (assignments.empty()) return;
  environment_.options->loop->Post([weak = weak_from_this(), assignments = std::move(assignments)] {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    for (const Assignment& assignment : assignments) self->Apply(assignment);
    self->GoOn();
  });
}

void FetcherPool::Refresh(std::shared_ptr<Partition> partition) {
  environment_.options->loop->Post([weak = weak_from_this(), partition = std::move(partition)] {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    // What it says now: an assignment of a later role is behind this in the queue.
    const Partition::FollowTarget target = partition->follow_target();
    if (target.leader == kNoNode) return;
    self->Forget(partition->key());
    self->Apply({partition, target});
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

void FetcherPool::Apply(const Assignment& assignment) {
  const PartitionKey key = assignment.partition->key();
  const Partition::FollowTarget& target = assignment.target;
  if (const auto found = current_.find(key); found != current_.end()) {
    const Current& current = found->second;
    if (current.target == target && current.partition == assignment.partition) return;
    Forget(key);
  }
  if (target.leader == kNoNode) return;
  auto& fetcher = fetchers_[{target.leader, target.fsync}];
  if (fetcher == nullptr)
    fetcher = std::make_shared<Fetcher>(environment_, target.leader, target.fsync);
  fetcher->Add(assignment.partition, target.epoch);
  hurried_.insert({target.leader, target.fsync});
  current_[key] = {target, assignment.partition};
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
