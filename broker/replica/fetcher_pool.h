#pragma once
// FetcherPool: which fetcher pulls which partition: one for each leader and durability mode, made
// when first needed and dropped when it has no partition left. Owned by ReplicaManager.
//
// Whom a partition follows it says itself, on the replica loop: metadata and late openings assign
// from threads of their own, and what the one has read may be old when the other's is applied. Who
// changes a role assigns after it, so that the last role is not missed.
//
// Thread rule: Assign, Refresh and Stop from any thread; the rest on the replica loop.

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "broker/replica/fetcher.h"

namespace sluice::broker {

class FetcherPool : public std::enable_shared_from_this<FetcherPool> {
 public:
  explicit FetcherPool(FetcherEnvironment environment) : environment_(std::move(environment)) {}

  // Their roles may have changed.
  void Assign(std::vector<std::shared_ptr<Partition>> partitions);
  // A follower whose damage is gone fetches again.
  void Refresh(std::shared_ptr<Partition> partition);
  void Stop();

 private:
  using FetcherKey = std::pair<NodeId, bool>;
  struct Current {
    Partition::FollowTarget target;
    std::shared_ptr<Partition> partition;
  };

  void Apply(const std::shared_ptr<Partition>& partition, const Partition::FollowTarget& target);
  void Forget(const PartitionKey& key);
  void GoOn();
  void DropEmptyFetchers();

  const FetcherEnvironment environment_;
  bool stopped_ = false;
  std::map<FetcherKey, std::shared_ptr<Fetcher>> fetchers_;
  std::map<PartitionKey, Current> current_;
  std::set<FetcherKey> hurried_;  // got partitions in this round
};

}  // namespace sluice::broker
