#pragma once
// FollowerSession: the follower's side of a fetch session (KIP-227): which partitions and positions
// the leader knows already, so that a request names only what changed. After any failure the
// leader's half is in doubt: Reset, and the next request opens a new session.
//
// Thread rule: owned by a Fetcher, on the replica loop.

#include <map>
#include <set>

#include "broker/replica/replica_manager.h"
#include "kafka/messages/fetch.h"

namespace sluice::broker {

class FollowerSession {
 public:
  struct Position {
    LeaderEpoch current_epoch;
    LeaderEpoch last_fetched_epoch;
    Offset fetch_offset;
    Offset log_start_offset;
    friend bool operator==(const Position&, const Position&) = default;
  };

  // Wanted from now on, at this position.
  void Set(const PartitionKey& key, const Position& position);
  void Remove(const PartitionKey& key);
  size_t partition_count() const { return wanted_.size(); }

  // Fills session id and epoch, topics and forgotten topics.
  void Fill(kafka::FetchRequest& request, int32_t partition_bytes_max);
  // False when the leader refuses the session; it has been reset then.
  bool OnResponse(const kafka::FetchResponse& response);
  void Reset();

 private:
  std::map<PartitionKey, Position> wanted_;
  std::set<PartitionKey> changed_;    // differ from what the leader knows
  std::set<PartitionKey> forgotten_;  // the leader knows them, but they are not wanted
  std::set<PartitionKey> known_;      // to the leader, in this session
  int32_t id_ = 0;                    // 0 = none
  int32_t epoch_ = 0;                 // of the next request; 0 = full
};

}  // namespace sluice::broker
