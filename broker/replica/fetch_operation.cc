#include "broker/replica/fetch_operation.h"

#include <algorithm>

namespace sluice::broker {
namespace {

// How long news of the high watermark alone may wait for data to go along with.
constexpr int64_t kNudgeMs = 20;
// The look-up of one partition lacks a few pages. One that goes on and on reads large parts of a
// segment: it is then done in one go, on the worker. Of the others none may wait for that: appends
// would wait along.
constexpr int kColdRoundsMax = 64;
// That one fetch has brought in at a time, so that it is not for long before all others in line.
constexpr int kColdPiecesMax = 8;

}  // namespace

void FetchOperation::Start() {
  {
    std::lock_guard lock(mutex_);
    time_is_up_ = params_.wait_ms_max <= 0 || targets_.empty();
  }
  Evaluate(false);
  if (finished()) return;
  if (params_.client != nullptr) params_.client->Add(shared_from_this());
  if (finished()) return;
  const EventLoop::TimerId timer =
      environment_.loop->RunAfter(std::max(params_.wait_ms_max, 0), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->Evaluate(true);
      });
  std::unique_lock lock(mutex_);
  timer_ = timer;
  if (!finished()) return;
  lock.unlock();
  environment_.loop->Cancel(timer);
}

void FetchOperation::WakeSoon() {
  const EventLoop::TimerId timer = environment_.loop->RunAfter(kNudgeMs, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Evaluate(true);
  });
  std::unique_lock lock(mutex_);
  nudge_timer_ = timer;
  if (!finished()) return;
  lock.unlock();
  environment_.loop->Cancel(timer);
}

void FetchOperation::Abandon() {
  size_t entries;
  {
    std::lock_guard lock(mutex_);
    if (finished() || abandoned_) return;
    abandoned_ = true;
    // Unless pieces are out whoever evaluates is at work, or it is parked.
    entries = pieces_out_ > 0 ? look_ups_.size() : 0;
  }
  if (entries == 0) return Evaluate(true);
  std::vector<FetchEntryResult> results(entries);
  for (FetchEntryResult& result : results) result.error = kafka::ErrorCode::kRequestTimedOut;
  Answer(std::move(results));
}

void FetchOperation::Evaluate(bool time_is_up) {
  {
    std::lock_guard lock(mutex_);
    if (finished()) return;
    if (time_is_up) time_is_up_ = true;
    if (evaluating_) {
      again_ = true;
      return;
    }
    evaluating_ = true;
  }
  EvaluateUntilSettled();
}

void FetchOperation::EvaluateUntilSettled() {
  for (;;) {
    std::vector<FetchEntryResult> results = ReadAll();
    if (ReadElsewhere(results)) return;
    const bool satisfied = Satisfied(results);
    bool answer = satisfied;
    {
      std::lock_guard lock(mutex_);
      answer = answer || time_is_up_;
      again_ = false;
    }
    const bool parked = answer || ParkAll();
    if (answer) {
      RefuseWithoutLease(results);
      return Answer(std::move(results));
    }
    std::lock_guard lock(mutex_);
    // Something changed between the read and the parking, or while we looked.
    if (again_ || !parked) continue;
    evaluating_ = false;
    return;
  }
}

bool FetchOperation::ReadElsewhere(std::vector<FetchEntryResult>& results) {
  std::vector<size_t> cold;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].lacking.any()) cold.push_back(i);
  }
  if (cold.empty()) {
    // Whoever evaluates next is not to wait again.
    look_ups_.clear();
    return false;
  }
  const auto self = shared_from_this();
  {
    std::lock_guard lock(mutex_);
    if (abandoned_) {
      for (const size_t i : cold) {
        results[i] = FetchEntryResult();
        results[i].error = kafka::ErrorCode::kRequestTimedOut;
      }
      return false;
    }
    look_ups_.resize(targets_.size());
    pieces_out_ = cold.size();
  }
  for (const size_t i : cold) {
    // An index is built again once.
    const int rounds = results[i].lacking.mending == nullptr ? 1 : 0;
    environment_.cold_reads->BringIn(
        std::move(results[i].lacking), [self] { return !self->finished(); },
        [self, i, rounds](const Status& read) { self->BroughtIn(i, read, rounds); });
  }
  return true;
}

void FetchOperation::BroughtIn(size_t target, const Status& read, int rounds) {
  {
    std::lock_guard lock(mutex_);
    if (abandoned_) return;
    LookUp& look_up = look_ups_[target];
    // The disk's error is met once more, and told, by the look-up itself.
    look_up.rounds += rounds;
    if (!read.ok() || look_up.rounds > kColdRoundsMax) look_up.may_wait = true;
    if (--pieces_out_ > 0) return;
  }
  EvaluateUntilSettled();
}

std::vector<FetchEntryResult> FetchOperation::ReadAll() {
  std::vector<FetchEntryResult> results(targets_.size());
  marks_.resize(targets_.size());
  PartitionEffects effects;
  size_t size_left = static_cast<size_t>(std::max(params_.size_bytes_max, 0));
  bool one_at_least = true;
  int lacking = 0;
  for (size_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i].partition == nullptr) {
      results[i] = targets_[i].failure;
      continue;
    }
    Partition::ReadRequest request;
    request.entry = &params_.entries[i];
    request.fetch = &params_;
    request.size_bytes_max = size_left;
    request.one_at_least = one_at_least;
    request.may_wait =
        environment_.cold_reads == nullptr || (!look_ups_.empty() && look_ups_[i].may_wait);
    results[i] = targets_[i].partition->Read(request, marks_[i], effects);
    if (results[i].lacking.any()) {
      // The others are seen to all the same: what a follower has of them is news that somebody may
      // wait for. This one will give as much as it may, as far as is known.
      one_at_least = false;
      const int32_t most = std::max(params_.entries[i].size_bytes_max, 0);
      size_left -= std::min(size_left, static_cast<size_t>(most));
      if (++lacking == kColdPiecesMax) size_left = 0;
      continue;
    }
    // The first partition that has something gives a whole batch, however large; from then on the
    // limits are hard (KIP-74).
    if (results[i].size_bytes > 0) one_at_least = false;
    size_left -= std::min(size_left, results[i].size_bytes);
  }
  effects.Run(*environment_.context);
  return results;
}

bool FetchOperation::Satisfied(const std::vector<FetchEntryResult>& results) const {
  size_t total = 0;
  for (const FetchEntryResult& result : results) {
    if (result.error != kafka::ErrorCode::kNone || result.diverging.has_value()) return true;
    if (result.preferred != kNoNode) return true;
    total += result.size_bytes;
  }
  return total >= static_cast<size_t>(std::max(params_.size_bytes_min, 0));
}

// Records that are committed are so for ever. But that there are no more of them, only a leader
// knows: without a lease others may lead. A consumer that is told of nothing would wait here for
// ever instead of asking who; and one that has read on from the new leader must not hear that its
// offset does not exist, or that its history is another: it would begin anew somewhere else. In the
// midst of a stop others may lead, too, but that ends soon, and so does the consumer's wait.
void FetchOperation::RefuseWithoutLease(std::vector<FetchEntryResult>& results) const {
  const PartitionContext& context = *environment_.context;
  if (params_.replica_id != kNoNode || context.state->MayTellEnds(*context.clock)) return;
  const auto refuse = [](FetchEntryResult& result) {
    result = FetchEntryResult();
    result.error = kafka::ErrorCode::kNotLeaderOrFollower;
  };
  bool empty = true;
  for (FetchEntryResult& result : results) {
    if (result.error == kafka::ErrorCode::kOffsetOutOfRange || result.diverging.has_value())
      refuse(result);
    empty = empty && result.error == kafka::ErrorCode::kNone && result.size_bytes == 0;
  }
  if (empty && !context.state->LeaseValid(*context.clock)) std::ranges::for_each(results, refuse);
}

bool FetchOperation::ParkAll() {
  bool nudge = false;
  for (size_t i = 0; i < targets_.size(); ++i) {
    const auto watched =
        targets_[i].partition->Watch(shared_from_this(), params_.replica_id, marks_[i]);
    if (!watched.parked) return false;
    nudge = nudge || watched.nudge;
  }
  if (nudge && TakeNudge()) WakeSoon();
  return true;
}

void FetchOperation::Answer(std::vector<FetchEntryResult> results) {
  EventLoop::TimerId timer;
  EventLoop::TimerId nudge_timer;
  {
    std::lock_guard lock(mutex_);
    finished_.store(true, std::memory_order_release);
    timer = timer_;
    nudge_timer = nudge_timer_;
  }
  // Else the loop wakes up for each, with nothing to do.
  if (timer != 0) environment_.loop->Cancel(timer);
  if (nudge_timer != 0) environment_.loop->Cancel(nudge_timer);
  for (size_t i = 0; i < results.size(); ++i) {
    const FetchEntryResult& result = results[i];
    if (result.size_bytes == 0) continue;
    if (params_.replica_id == kNoNode && !result.nearby)
      targets_[i].partition->NoteServed(result.size_bytes);
    const auto size_bytes = static_cast<int64_t>(result.size_bytes);
    if (result.throttled) environment_.context->throttles->leader.Take(size_bytes);
    if (result.slowed) environment_.context->throttles->leader_moves.Take(size_bytes);
  }
  // Partitions may hold this object for a while: let go of what it holds.
  targets_ = {};
  marks_ = {};
  params_.entries = {};
  Done done = std::move(done_);
  done(std::move(results));
}

}  // namespace sluice::broker
