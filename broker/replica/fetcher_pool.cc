#include "broker/replica/fetcher_pool.h"

namespace sluice::broker {

void FetcherPool::Assign(std::vector<Assignment> assignments) {
  if (assignments.empty()) return;
  environment_.options->loop->Post([weak = weak_from_this(), assignments = std::move(assignments)] {
    const auto self = weak.lock();
    if (self == nullptr || self->stopped_) return;
    for (const Assignment& assignment : assignments) self->Apply(assignment);
    self->DropEmptyFetchers();
    for (const auto& [key, fetcher] : self->fetchers_) {
      if (self->hurried_.contains(key)) fetcher->Hurry();
      fetcher->Step();
    }
    self->hurried_.clear();
  });
}

void FetcherPool::Apply(const Assignment& assignment) {
  const PartitionKey key = assignment.partition->key();
  const Partition::FollowTarget& target = assignment.target;
  if (const auto found = current_.find(key); found != current_.end()) {
    const Current& current = found->second;
    if (current.target == target && current.partition == assignment.partition) return;
    fetchers_.at({current.target.leader, current.target.fsync})->Remove(key);
    current_.erase(found);
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
