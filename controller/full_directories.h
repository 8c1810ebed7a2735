#pragma once
// FullDirectories: which log directories have no room for records, as their brokers tell with each
// heartbeat, all of them each time. Soft state of the active controller: a new one is told anew
// within a heartbeat of each broker, and what it decides meanwhile FullPass puts right. A record
// could tell no more, and would outlive the broker that no longer says so.
//
// It holds what is registered, so it grows with the brokers and their directories.
//
// Thread rule: one owner (the controller's loop).

#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "metadata/image.h"
#include "proto/controller.pb.h"

namespace sluice::controller {

class FullDirectories {
 public:
  // Of a sender that was checked. Directories that it has not registered are passed over.
  void Note(const metadata::Image& image, const HeartbeatRequest& request);
  // Another incarnation, or its session is over: it has told nothing.
  void Forget(NodeId broker) { told_.erase(broker); }
  void Clear() { told_.clear(); }

  // Whether the replica is in one of them. Not while nobody knows where it is.
  bool Has(const metadata::Image& image, const metadata::PartitionImage& partition,
           NodeId replica) const;
  // Whether all of the broker's log directories are: replicas that it does not have yet would find
  // no room.
  bool HasAllOf(const metadata::BrokerImage& broker) const;
  bool empty() const { return told_.empty(); }
  // By broker; none is empty.
  const std::map<NodeId, std::set<Uuid>>& told() const { return told_; }
  // Rises when a broker tells otherwise than before.
  uint64_t news() const { return news_; }

 private:
  std::map<NodeId, std::set<Uuid>> told_;
  uint64_t news_ = 0;
};

// ElectionInput::is_full, for as long as all three live; null where no directory is full.
std::function<bool(NodeId)> FullIn(const FullDirectories* full, const metadata::Image& image,
                                   const metadata::PartitionImage& partition);

}  // namespace sluice::controller
