#pragma once
// Decommission: brokers that operators want to be rid of lose their replicas to others, a few
// partitions at a time, and are unregistered when they have none and do not run. What is done
// depends on the image alone: whichever controller is active goes on with it.
//
// A walk goes in steps, for it must not stop the controller's loop:
//   1. It counts replicas and moves in all partitions. Who is to go gets no new replicas, so a
//   broker that has none when all were counted has none, though the image was another one with each
//   step. A change of a broker's goal ends that: then the walk begins anew (Begin).
//   2. It begins as many moves as there may be, from where the walk before left off, until it has
//   come round.
//
// Thread rule: one owner (the controller's loop).

#include <map>
#include <set>
#include <vector>

#include "controller/decision.h"
#include "controller/full_directories.h"
#include "controller/partition_walk.h"
#include "metadata/placement.h"

namespace sluice::controller {

class Decommission {
 public:
  static constexpr int64_t kPauseMs = 200;  // between two walks
  static constexpr int64_t kStepMs = 25;    // between two steps of one

  // So many partitions of the cluster move at most, as far as they were counted.
  explicit Decommission(int64_t moves_max) : moves_max_(moves_max) {}

  // The next step is the first one of a walk: a new active controller, or a broker's goal changed.
  void Begin() { stage_ = Stage::kPause; }
  // The records of the next step. A partition without a leader waits until it has one; so does one
  // for which no broker that runs and has room is left: on a full disk a move would never end, and
  // count as one of those that may be.
  Records Next(const metadata::Image& image, const FullDirectories& full);
  // When Next is to be called again.
  int64_t next_in_ms() const { return stage_ == Stage::kPause ? kPauseMs : kStepMs; }

 private:
  enum class Stage { kPause, kCounting, kMoving };  // in this order; each may end in kPause

  // Each looks at `left` partitions at most, which are PartitionWalk::kLookedAtMax of a step.
  // Whether it has come to its end.
  bool Count(const metadata::Image& image, size_t& left);
  bool MoveSome(const metadata::Image& image, size_t& left, Records& records);
  void Move(const metadata::Image& image, const metadata::TopicImage& topic, size_t index,
            Records& records);
  void UnregisterEmpty(const metadata::Image& image, Records& records) const;

  const int64_t moves_max_;
  Stage stage_ = Stage::kPause;
  // Of the image of this step.
  std::set<NodeId> leaving_;
  std::vector<metadata::PlacementBroker> brokers_;
  // Of this walk.
  std::map<NodeId, int64_t> replicas_;
  int64_t moving_ = 0;
  size_t to_come_round_ = 0;  // partitions: counted, and then not looked at for a move yet
  PartitionWalk count_walk_;
  PartitionWalk move_walk_;  // goes on over walks
};

}  // namespace sluice::controller
