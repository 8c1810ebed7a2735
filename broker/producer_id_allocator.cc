#include "broker/producer_id_allocator.h"

#include <utility>
#include <vector>

#include "broker/sender.h"
#include "kafka/error_code.h"

namespace sluice::broker {
namespace {

constexpr int64_t kTimeoutMs = 5000;
// With this few left the next block is asked for.
constexpr int64_t kAskBelow = 200;

}  // namespace

void ProducerIdAllocator::Allocate(std::function<void(Result<ProducerId>)> done) {
  ProducerId id = kNoProducer;
  bool fetch = false;
  {
    std::lock_guard lock(mutex_);
    if (next_ == end_) {
      next_ = std::exchange(spare_next_, 0);
      end_ = std::exchange(spare_end_, 0);
    }
    if (next_ < end_) {
      id = ProducerId(next_++);
    } else {
      waiting_.emplace_back().swap(done);
    }
    const bool low = spare_next_ == spare_end_ && end_ - next_ < kAskBelow;
    if (low && !fetching_) fetch = fetching_ = true;
  }
  if (id != kNoProducer) done(id);
  if (fetch) FetchBlock();
}

void ProducerIdAllocator::FetchBlock() {
  controller::AllocateProducerIdsRequest request;
  *request.mutable_sender() = MakeSender(state_);
  controller_.AllocateProducerIds(std::move(request), kTimeoutMs,
                                  [this](Result<controller::AllocateProducerIdsResponse> response) {
                                    OnBlock(std::move(response));
                                  });
}

void ProducerIdAllocator::OnBlock(Result<controller::AllocateProducerIdsResponse> response) {
  Status outcome = response.status();
  if (outcome.ok() && response->outcome().error_code() != 0) {
    const auto error = static_cast<kafka::ErrorCode>(response->outcome().error_code());
    outcome = Status::Unavailable(
        "the controller gave no producer ids: " + std::string(kafka::ErrorName(error)) + " " +
        response->outcome().message());
  }
  std::vector<std::pair<std::function<void(Result<ProducerId>)>, Result<ProducerId>>> answers;
  bool fetch = false;
  {
    std::lock_guard lock(mutex_);
    fetching_ = false;
    if (outcome.ok()) {
      spare_next_ = response->first_producer_id();
      spare_end_ = spare_next_ + response->count();
    }
    while (!waiting_.empty()) {
      if (next_ == end_) {
        next_ = std::exchange(spare_next_, 0);
        end_ = std::exchange(spare_end_, 0);
      }
      if (next_ == end_ && outcome.ok()) break;  // more waited than the block had
      answers.emplace_back(
          std::move(waiting_.front()),
          next_ < end_ ? Result<ProducerId>(ProducerId(next_++)) : Result<ProducerId>(outcome));
      waiting_.pop_front();
    }
    if (!waiting_.empty()) fetch = fetching_ = true;
  }
  for (auto& [done, answer] : answers) done(std::move(answer));
  if (fetch) FetchBlock();
}

}  // namespace sluice::broker
