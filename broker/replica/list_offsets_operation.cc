#include "broker/replica/list_offsets_operation.h"

#include <utility>

namespace sluice::broker {
namespace {

// As for a fetch: a look-up that lacks more than this scans a segment.
constexpr int kColdRoundsMax = 64;

}  // namespace

void ListOffsetsOperation::Run() {
  PartitionEffects effects;
  FileSlice lacking;
  results_.reserve(targets_.size());
  while (results_.size() < targets_.size()) {
    const Target& target = targets_[results_.size()];
    ListOffsetsResult result;
    result.error = target.failure;
    if (target.partition != nullptr) {
      const bool may_wait = cold_reads_ == nullptr || may_wait_;
      result = target.partition->FindOffset(target.entry, may_wait ? nullptr : &lacking, effects);
      if (lacking.file != nullptr) break;
    }
    results_.push_back(result);
    cold_rounds_ = 0;
    may_wait_ = false;
  }
  effects.Run(*context_);
  if (lacking.file != nullptr) return ReadElsewhere(std::move(lacking));
  done_(std::move(results_));
}

void ListOffsetsOperation::ReadElsewhere(FileSlice lacking) {
  cold_reads_->BringIn(std::move(lacking), [self = shared_from_this()](const Status& read) {
    // The disk's error is met once more, and told, by the look-up itself.
    self->may_wait_ = !read.ok() || ++self->cold_rounds_ > kColdRoundsMax;
    self->Run();
  });
}

}  // namespace sluice::broker
