#pragma once
// SegmentRebuild: the indexes of one segment, whose own are gone, do not fit or mislead, built
// again away from its log: from the .log file into files of other names (kTempSuffix), which take
// the place of the indexes once they are whole and durable. So nobody waits at the log's guard
// while as much as 1 GiB is read; and what a crash leaves is a leftover that the next start
// removes.
//
// Thread rule: Run on any thread; the rest is guarded by the log's owner.

#include <atomic>
#include <memory>
#include <mutex>

#include "storage/lacking.h"
#include "storage/segment.h"

namespace sluice::storage {

class SegmentRebuild final : public Mending {
 public:
  // Of the segment at `base`, whose .log is as `expected` has it; of one that may be appended to
  // meanwhile, only the first `bytes_max`.
  SegmentRebuild(const SegmentHome& home, Offset base, const Segment::Expected& expected,
                 uint64_t bytes_max);
  ~SegmentRebuild() override;

  void Run() override;
  // Waits for whoever runs it; Run does nothing any more.
  void Abandon();
  bool done() const { return done_.load(std::memory_order_acquire); }
  // REQUIRES: done(), and it went well. Puts the files in place of the segment's indexes. That is
  // not durable by itself: a crash may bring the old ones back, and the next start builds them
  // again.
  Status Install();
  // Removes what was built and not installed.
  void Discard();

 private:
  friend class Segment;  // takes over what was learnt

  const SegmentHome home_;
  const Segment::Expected expected_;
  const uint64_t bytes_max_;
  const std::unique_ptr<Segment> built_;
  std::mutex mutex_;        // held by whoever runs
  Segment::Damage damage_;  // this and the next are settled once done_
  Status outcome_;          // kCorruption as Segment::Rebuild has it
  std::atomic<bool> done_{false};
  bool settled_ = false;  // nothing of it lies aside any more
};

}  // namespace sluice::storage
