#pragma once
// LeaderPass: leads that are to go elsewhere, as the active controller moves them by itself: to the
// preferred replica, which is the first one, and away from brokers that yield (metadata/image.h).
//
// Goals:
//   1. Each broker leads what it was meant to lead: after a restart its leads come back.
//   2. Never many at once. What a lead that moves costs is the same for a big partition as for a
//   small one, a round of metadata for its clients and a new fetch for its followers, and no data
//   is copied; so the pace is a number of leads, not of bytes.
//   3. A walk over many partitions does not stop the controller's loop: it goes in steps.
//   4. No lead goes to a replica whose disk is full; away from it FullPass takes them.
//
// A walk begins every interval, and when a broker's goal changes.
//
// Thread rule: one owner (the controller's loop).

#include "controller/decision.h"
#include "controller/full_directories.h"
#include "controller/partition_walk.h"

namespace sluice::controller {

struct LeaderPassOptions {
  bool preferred = true;        // else only away from brokers that yield
  int64_t interval_ms = 60000;  // between the beginnings of two walks
  int64_t leads_per_second = 500;
};

class LeaderPass {
 public:
  static constexpr int64_t kStepMs = 100;

  explicit LeaderPass(LeaderPassOptions options) : options_(options) {}

  // A new active controller: the first walk begins an interval from now, or at once where a broker
  // yields.
  void Activate(const metadata::Image& image, int64_t now_ms);
  // Let a walk begin with the next step, also while one is under way.
  void Request() { requested_ = true; }

  struct Step {
    Records records;
    uint64_t preferred = 0;  // of the records: leads given to preferred replicas
    uint64_t yielded = 0;    // leads taken from brokers that yield
  };
  // To be called every kStepMs.
  Step Next(const metadata::Image& image, const FullDirectories& full, int64_t now_ms);

 private:
  // Whether the partition at `index` changed its lead by what was appended to `step`.
  bool Move(const metadata::Image& image, const FullDirectories& full,
            const metadata::TopicImage& topic, size_t index, Step& step) const;

  const LeaderPassOptions options_;
  bool requested_ = false;
  PartitionWalk walk_;
  int64_t next_walk_ms_ = 0;
};

}  // namespace sluice::controller
