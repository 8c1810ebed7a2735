#pragma once
// Who is asked about groups, offsets and logs: a group's coordinator, the leaders of partitions,
// all brokers; and how their answers are put together. An answer that lacks what some node did not
// tell says so in words.
//
// Thread rule: call from any thread; `done` runs once, on the calling thread or on the backend's.

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "admin/backend.h"

namespace sluice::admin {

// How long a call has left, and what of that one question to another node may take, so that what
// the others said gets through when that node is silent.
class Deadline {
 public:
  Deadline(const Clock& clock, int64_t timeout_ms)
      : clock_(&clock), end_ms_(clock.SteadyMs() + timeout_ms) {}
  int64_t left_ms() const { return std::max<int64_t>(end_ms_ - clock_->SteadyMs(), 0); }
  int64_t question_ms() const { return std::clamp<int64_t>(left_ms() * 3 / 4, 1, 5000); }

 private:
  const Clock* clock_;
  int64_t end_ms_;
};

// Between two attempts to find a group's coordinator that is there and has loaded.
inline constexpr int64_t kCoordinatorRetryMs = 100;

template <typename Request, typename Response>
using NodeMethod = void (Backend::*)(NodeId, Request, int64_t, Done<Response>);

// Asks the group's coordinator; again while it moves, as long as there is time. For questions, and
// for changes that may be made twice.
template <typename Request, typename Response>
void AskCoordinator(Backend& backend, NodeMethod<Request, Response> method, Request request,
                    Deadline deadline, Done<Response> done) {
  const Result<NodeId> coordinator = backend.CoordinatorOf(request.name());
  request.set_at_coordinator(true);
  const auto finish = [&backend, method, request, deadline, done](Result<Response> answer) {
    const bool may_move = answer.status().code() == StatusCode::kUnavailable;
    if (!may_move || deadline.left_ms() < 3 * kCoordinatorRetryMs) return done(std::move(answer));
    backend.RunAfter(kCoordinatorRetryMs, [&backend, method, request, deadline, done] {
      AskCoordinator<Request, Response>(backend, method, request, deadline, done);
    });
  };
  if (!coordinator.ok()) return finish(coordinator.status());
  (backend.*method)(*coordinator, request, deadline.question_ms(), finish);
}

// The answers to several questions that are under way together; the last one ends it.
template <typename Answer>
class Gather {
 public:
  using All = std::function<void(std::vector<Result<Answer>>)>;
  Gather(size_t count, All all)
      : answers_(count, Status::Internal("not answered")), open_(count), all_(std::move(all)) {}
  void Set(size_t place, Result<Answer> answer) {
    {
      std::lock_guard lock(mutex_);
      answers_[place] = std::move(answer);
      if (--open_ > 0) return;
    }
    all_(std::move(answers_));
  }

 private:
  std::mutex mutex_;  // guards answers_ and open_ until the last one
  std::vector<Result<Answer>> answers_;
  size_t open_;
  const All all_;
};

// Asks the leader of each partition. Always answers: what is not known stands in each `error`.
void AskLeaders(Backend& backend, ListOffsetsRequest request, Deadline deadline,
                std::function<void(ListOffsetsResponse)> done);

// Every group that any broker coordinates and the request's filters let pass, by name.
void AskAllCoordinators(Backend& backend, ListGroupsRequest request, Deadline deadline,
                        Done<ListGroupsResponse> done);

// What every broker in service has on its disks; who did not answer stands in `incomplete`.
void AskAllReplicas(Backend& backend, bool totals_only, Deadline deadline,
                    std::function<void(ListReplicasResponse)> done);
// The same of this node alone.
ListReplicasResponse LocalReplicas(const Backend& backend, bool totals_only);

// "orders-3".
std::string PartitionName(const std::string& topic, int32_t partition);

// Whether `pattern` (* = any text, ? = one character) is all of `name`.
bool MatchesPattern(std::string_view name, std::string_view pattern);

}  // namespace sluice::admin
