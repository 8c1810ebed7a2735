#pragma once
// LeaderlessLogs: this broker's replicas of partitions that nobody leads, as far as its metadata
// say. While there are any, heartbeats tell the controller where their logs end, a bounded number
// each, in turns: should it come to a choice among replicas none of which is sure to be complete,
// it is to be the one that has the most (metadata/election.h).
//
//   images: Note -> replica loop: NextToTell, Offer -> heartbeat loop: Take
//
// Thread rule: thread-safe. NextToTell and Offer from one thread.

#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/uuid.h"

namespace sluice::broker {

class LeaderlessLogs {
 public:
  using Replica = std::pair<TopicId, PartitionIndex>;
  struct End {
    Replica replica;
    // The partition's, in which nobody leads: what is told of it says nothing about a later one.
    LeaderEpoch leader_epoch = kNoEpoch;
    LeaderEpoch last_epoch = kNoEpoch;  // the latest that the log knows
    Offset end_offset{-1};              // -1: the log cannot be used
  };
  static constexpr size_t kToldMax = 1000;  // in one heartbeat

  void Note(const Replica& replica, bool leaderless);
  // Whose turn it is; nobody's while no heartbeat has taken what was offered last.
  std::vector<Replica> NextToTell();
  void Offer(std::vector<End> ends);
  std::vector<End> Take();

 private:
  std::mutex mutex_;  // guards all below; nothing else is taken under it
  std::set<Replica> replicas_;
  Replica last_;  // to be told: the next turn goes on behind it
  std::vector<End> offered_;
};

}  // namespace sluice::broker
