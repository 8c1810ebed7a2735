#pragma once
// FetcherPool: which fetcher pulls which partition: one for each leader and durability mode, made
// when first needed and dropped when it has no partition left. Owned by ReplicaManager.
//
// Thread rule: Assign, Refresh and Stop from any thread; the rest on the replica loop. Assignments
// are applied in the order of the calls.

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "broker/replica/fetcher.h"

namespace sluice::broker {

class FetcherPool : public std::enable_shared_from_this<FetcherPool> {
 public:
  struct Assignment {
    std::shared_ptr<Partition> partition;
    Partition::FollowTarget target;
  };

  explicit FetcherPool(FetcherEnvironment environment) : environment_(std::move(environment)) {}

  void Assign(std::vector<Assignment> assignments);
  // A follower whose damage is gone fetches again.
  void Refresh(std::shared_ptr<Partition> partition);
  void Stop();

 private:
  using FetcherKey = std::pair<NodeId, bool>;
  struct Current {
    Partition::FollowTarget target;
    std::shared_ptr<Partition> partition;
  };

  void Apply(const Assignment& assignment);
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
