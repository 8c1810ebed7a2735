#pragma once
// GroupLoop: the partitions of __consumer_offsets that are pinned to one event loop, and the
// requests that wait for their turn there.
//
// Thread rule: Enqueue... and Post... from any thread; all else on the loop.

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "broker/group/coordinator_partition.h"

namespace sluice::broker {

class GroupLoop final : public std::enable_shared_from_this<GroupLoop> {
 public:
  GroupLoop(std::shared_ptr<const GroupEnvironment> options, EventLoop& loop, Random random)
      : options_(std::move(options)), loop_(loop), random_(random) {}

  // For the partition's shard, whose leader is in `epoch` as the metadata says now.
  void Enqueue(const PartitionKey& key, LeaderEpoch epoch, GroupCallPtr call, GroupRequest request);
  // For each shard here: `make` gives the call, or is called never.
  using MakeCall = std::function<GroupCallPtr()>;
  void EnqueueForAll(GroupRequest request, MakeCall make, std::function<void()> then);
  void PostReplicaChanged(const PartitionKey& key);
  void PostTopicsDeleted();
  // Views of partitions that are not among `held` are from before this process: forgets them.
  void PostForgetOthers(std::vector<PartitionIndex> mine, std::vector<PartitionIndex> held);
  // Answers all that waits.
  void PostStop();
  // Null when it is not here.
  const CoordinatorPartition* Find(const PartitionKey& key) const;

 private:
  struct Queued {
    PartitionKey key;
    GroupCallPtr call;
    GroupRequest request;
    // Of the leader, when it came. While this loop stood still another broker may have led, and
    // this one lead again: the client has asked there and gone on. Or this loop has not heard yet
    // that its lead is over.
    LeaderEpoch epoch;
  };

  void Drain();
  template <typename Task>
  void Post(Task task);

  const std::shared_ptr<const GroupEnvironment> options_;
  EventLoop& loop_;
  std::mutex mutex_;  // guards queue_; nothing is called under it but the loop's Post
  std::vector<Queued> queue_;

  Random random_;
  bool stopped_ = false;
  std::map<PartitionKey, std::shared_ptr<CoordinatorPartition>> partitions_;
};

}  // namespace sluice::broker
