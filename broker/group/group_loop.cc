#include "broker/group/group_loop.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

namespace sluice::broker {

using kafka::ErrorCode;

template <typename Task>
void GroupLoop::Post(Task task) {
  loop_.Post([weak = weak_from_this(), task = std::move(task)] {
    if (const auto self = weak.lock()) task(*self);
  });
}

void GroupLoop::Enqueue(const PartitionKey& key, LeaderEpoch epoch, GroupCallPtr call,
                        GroupRequest request) {
  {
    std::lock_guard lock(mutex_);
    if (queue_.size() < options_->limits.queued_requests_max) {
      if (queue_.empty()) Post([](GroupLoop& self) { self.Drain(); });
      queue_.push_back({key, std::move(call), std::move(request), epoch});
      return;
    }
  }
  call->Answer(ErrorResponse(request, ErrorCode::kCoordinatorLoadInProgress));
}

void GroupLoop::Drain() {
  std::vector<Queued> queued;
  {
    std::lock_guard lock(mutex_);
    queued.swap(queue_);
  }
  std::vector<CoordinatorPartition*> touched;
  for (Queued& item : queued) {
    const auto partition = partitions_.find(item.key);
    if (stopped_ || partition == partitions_.end() || partition->second->LeadsInOther(item.epoch)) {
      item.call->Answer(ErrorResponse(item.request, ErrorCode::kNotCoordinator));
      continue;
    }
    partition->second->Handle(std::move(item.call), std::move(item.request));
    if (std::find(touched.begin(), touched.end(), partition->second.get()) == touched.end())
      touched.push_back(partition->second.get());
  }
  for (CoordinatorPartition* partition : touched) partition->Write();
}

void GroupLoop::EnqueueForAll(GroupRequest request, MakeCall make, std::function<void()> then) {
  Post([request = std::move(request), make = std::move(make),
        then = std::move(then)](GroupLoop& self) {
    for (const auto& [key, partition] : self.partitions_) {
      if (!partition->leads()) continue;
      partition->Handle(make(), request);
      partition->Write();
    }
    then();
  });
}

void GroupLoop::PostReplicaChanged(const PartitionKey& key) {
  Post([key](GroupLoop& self) {
    if (self.stopped_) return;
    auto& partition = self.partitions_[key];
    if (partition == nullptr)
      partition = std::make_shared<CoordinatorPartition>(self.options_, self.loop_, key,
                                                         self.random_.Fork());
    if (!partition->Advance()) self.partitions_.erase(key);
  });
}

void GroupLoop::PostTopicsDeleted() {
  Post([](GroupLoop& self) {
    for (const auto& [key, partition] : self.partitions_) partition->OnTopicsDeleted();
  });
}

void GroupLoop::PostForgetOthers(std::vector<PartitionIndex> mine,
                                 std::vector<PartitionIndex> held) {
  Post([mine = std::move(mine), held = std::move(held)](GroupLoop& self) {
    for (const PartitionIndex partition : mine) {
      if (std::find(held.begin(), held.end(), partition) != held.end()) continue;
      const Status forgotten = self.options_->store.Forget(partition);
      LOG_IF(ERROR, !forgotten.ok()) << "forgetting the view of " << kOffsetsTopic << '-'
                                     << partition << ": " << forgotten.ToString();
    }
  });
}

const CoordinatorPartition* GroupLoop::Find(const PartitionKey& key) const {
  const auto found = partitions_.find(key);
  return found == partitions_.end() ? nullptr : found->second.get();
}

void GroupLoop::PostStop() {
  Post([](GroupLoop& self) {
    self.stopped_ = true;
    for (const auto& [key, partition] : self.partitions_)
      partition->Resign(ErrorCode::kNotCoordinator);
    self.partitions_.clear();
  });
}

}  // namespace sluice::broker
