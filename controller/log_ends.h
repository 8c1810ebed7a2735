#pragma once
// LogEnds: what brokers have told of the logs of partitions without a leader, for the elections
// that have to choose among replicas none of which is sure to be complete. Soft state of the active
// controller: a new one is told anew, with the next heartbeats.
//
// What a broker told counts while it is the same registration and nobody has led since: leading
// raises the partition's leader epoch, and the telling names it.
//
// It grows with the partitions that nobody leads and their replicas, which are the metadata's. None
// may keep another one out: there are those that stay undecided for long.
//
// Thread rule: one owner (the controller's loop).

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "metadata/election.h"
#include "proto/controller.pb.h"

namespace sluice::controller {

class LogEnds {
 public:
  using Place = std::pair<TopicId, PartitionIndex>;

  // Of a sender that was checked. What cannot be of use is passed over.
  void Note(const metadata::Image& image, const HeartbeatRequest& request);
  std::optional<metadata::LogEnd> Find(const metadata::Image& image, const Place& place,
                                       NodeId replica) const;
  void Clear() { told_.clear(); }
  size_t size() const { return told_.size(); }

 private:
  struct Told {
    NodeId replica;
    BrokerEpoch broker_epoch;
    LeaderEpoch leader_epoch;  // of the partition
    metadata::LogEnd end;
  };
  void ForgetSome(const metadata::Image& image);

  std::map<Place, std::vector<Told>> told_;  // each replica once
  Place looked_at_;                          // by ForgetSome, last
};

}  // namespace sluice::controller
