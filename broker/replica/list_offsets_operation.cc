#include "broker/replica/list_offsets_operation.h"

#include <utility>

namespace sluice::broker {
namespace {

// As for a fetch: a look-up that lacks more than this scans a segment.
constexpr int kColdRoundsMax = 64;

}  // namespace

void ListOffsetsOperation::Start(ParkedRequests* client) {
  Run();
  if (client != nullptr && !finished()) client->Add(shared_from_this());
}

void ListOffsetsOperation::Run() {
  PartitionEffects effects;
  storage::Lacking lacking;
  results_.reserve(targets_.size());
  while (results_.size() < targets_.size()) {
    const Target& target = targets_[results_.size()];
    ListOffsetsResult result;
    result.error = target.failure;
    if (target.partition != nullptr) {
      const bool may_wait = cold_reads_ == nullptr || may_wait_;
      result = target.partition->FindOffset(target.entry, may_wait ? nullptr : &lacking, effects);
      if (lacking.any()) break;
    }
    results_.push_back(result);
    cold_rounds_ = 0;
    may_wait_ = false;
  }
  effects.Run(*context_);
  if (lacking.any()) return ReadElsewhere(std::move(lacking));
  Finish();
}

void ListOffsetsOperation::ReadElsewhere(storage::Lacking lacking) {
  bool abandoned;
  {
    std::lock_guard lock(mutex_);
    abandoned = abandoned_;
    reading_ = !abandoned;
  }
  if (abandoned) return Finish();
  // An index is built again once.
  const int rounds = lacking.mending == nullptr ? 1 : 0;
  cold_reads_->BringIn(
      std::move(lacking), [self = shared_from_this()] { return !self->finished(); },
      [self = shared_from_this(), rounds](const Status& read) { self->BroughtIn(read, rounds); });
}

void ListOffsetsOperation::BroughtIn(const Status& read, int rounds) {
  {
    std::lock_guard lock(mutex_);
    if (abandoned_) return;
    reading_ = false;
  }
  // The disk's error is met once more, and told, by the look-up itself.
  cold_rounds_ += rounds;
  may_wait_ = !read.ok() || cold_rounds_ > kColdRoundsMax;
  Run();
}

void ListOffsetsOperation::Abandon() {
  {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
    // Whoever looks up just now finds out when something is lacking again.
    if (!std::exchange(reading_, false)) return;
  }
  Finish();
}

void ListOffsetsOperation::Finish() {
  finished_.store(true, std::memory_order_release);
  ListOffsetsResult unanswered;
  unanswered.error = kafka::ErrorCode::kRequestTimedOut;
  results_.resize(targets_.size(), unanswered);
  done_(std::move(results_));
}

}  // namespace sluice::broker
