#include "broker/replica/sync_proof.h"

#include <algorithm>
#include <utility>

#include "base/planted_fault.h"
#include "metadata/fsync_since.h"

namespace sluice::broker {

void SyncProof::OnImage(const metadata::ImagePtr& image) {
  if (image->fsync_since == nullptr) return;
  if (asked_ < LogIndex(0)) {
    // An earlier process has told so much, and what it flushed is flushed.
    const metadata::BrokerImage* self = image->FindBroker(around_.state->node_id);
    asked_ = self == nullptr ? LogIndex(0) : self->synced_index;
    around_.loop->Post([weak = weak_from_this(), told = asked_] {
      if (const auto proof = weak.lock()) proof->proven_ = told;
    });
  }
  if (image->fsync_since->latest <= asked_) return;
  asked_ = image->fsync_since->latest;
  around_.loop->Post([weak = weak_from_this(), image] {
    if (const auto proof = weak.lock()) proof->Begin(image);
  });
}

void SyncProof::Begin(const metadata::ImagePtr& image) {
  // To begin anew each time would never come to an end where topics change one by one.
  if (image_ != nullptr) {
    next_ = image;
    return;
  }
  image_ = image;
  for (PartitionPtr& partition : around_.partitions()) {
    const auto since = metadata::FsyncSinceOfTopic(*image, partition->name().topic);
    if (since.has_value() && *since > proven_) waiting_.push_back(std::move(partition));
  }
  LOG(INFO) << "topics are fsync since metadata index " << image->fsync_since->latest
            << ": flushing what is from before, in " << waiting_.size() << " replicas";
  if (FaultPlanted(ReplicationFault::kSyncedUnproven)) waiting_.clear();
  Step();
}

void SyncProof::Step() {
  if (stopped_) return;
  PartitionEffects effects;
  while (!waiting_.empty() && flushing_ < kAtOnce) {
    const PartitionPtr partition = std::move(waiting_.back());
    waiting_.pop_back();
    // Whoever waits for the flush of a log that is not open goes on at once, and it may be opened
    // right after.
    if (partition->in_use()) {
      Flush(partition, effects);
    } else {
      failed_.push_back(partition);
    }
  }
  effects.Run(*around_.context);
  if (flushing_ == 0) EndRound();
}

void SyncProof::Flush(const PartitionPtr& partition, PartitionEffects& effects) {
  ++flushing_;
  partition->WhenFlushed(
      [weak = weak_from_this(), loop = around_.loop, partition] {
        loop->Post([weak, partition] {
          if (const auto proof = weak.lock()) proof->OnFlushed(partition);
        });
      },
      effects);
}

void SyncProof::OnFlushed(const PartitionPtr& partition) {
  --flushing_;
  // One that has failed meanwhile stays so, and is not flushed.
  if (!partition->in_use()) failed_.push_back(partition);
  if (flushing_ == 0 || (flushing_ < kAtOnce / 2 && !waiting_.empty())) Step();
}

void SyncProof::EndRound() {
  std::erase_if(failed_,
                [this](const PartitionPtr& partition) { return !around_.holds(partition); });
  if (!failed_.empty()) return LookAgainLater();
  proven_ = std::exchange(image_, nullptr)->fsync_since->latest;
  around_.state->synced_index = proven_.value();
  LOG(INFO) << "what is from before metadata index " << proven_ << " is flushed";
  if (next_ != nullptr) Begin(std::exchange(next_, nullptr));
}

void SyncProof::LookAgainLater() {
  LOG_IF(WARNING, !std::exchange(warned_, true))
      << failed_.size() << " replicas cannot be flushed, " << failed_.front()->name().ToString()
      << " is one: until they are gone or in use, a power cut takes this broker out of the ISRs of "
      << "the topics that have become fsync";
  around_.loop->RunAfter(kRetryMs, [weak = weak_from_this()] {
    const auto proof = weak.lock();
    if (proof == nullptr) return;
    proof->waiting_ = std::exchange(proof->failed_, {});
    proof->Step();
  });
}

}  // namespace sluice::broker
