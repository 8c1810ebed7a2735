#pragma once
// WhenCarriedOut: the common end of all calls that change the cluster: the controller's answer is
// judged, then this broker's own metadata is waited for, so that the client's next request to it
// meets the changed cluster.
//
// Thread rule: a function; the callbacks run once, on an unspecified thread.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "broker/api/api_support.h"

namespace sluice::broker {

// Exactly one of the two runs.
template <typename ControllerResponse>
struct AdminEnd {
  std::function<void(kafka::ErrorCode, const std::string& message)>
      failed;  // nothing can be said of the single items
  std::function<void(const ControllerResponse&)> carried_out;  // items have their own outcomes
};

// A callback for ControllerClient. With `validate_only` nothing changes, so nothing is waited for.
template <typename ControllerResponse>
std::function<void(Result<ControllerResponse>)> WhenCarriedOut(BrokerServices& services,
                                                               int64_t timeout_ms,
                                                               bool validate_only,
                                                               AdminEnd<ControllerResponse> end) {
  const int64_t deadline_ms = services.clock->SteadyMs() + timeout_ms;
  return [&services, deadline_ms, validate_only,
          end = std::move(end)](const Result<ControllerResponse>& result) {
    if (!result.ok()) return end.failed(ErrorOf(result.status()), result.status().message());
    const controller::Outcome& outcome = result->outcome();
    if (outcome.error_code() != 0) {
      return end.failed(static_cast<kafka::ErrorCode>(outcome.error_code()), outcome.message());
    }
    if (validate_only) return end.carried_out(*result);
    const int64_t left_ms = std::max<int64_t>(deadline_ms - services.clock->SteadyMs(), 1);
    WhenAppliedOrTimeout(
        services, LogIndex(result->applied_index()), left_ms,
        [end, response = *result](bool applied) {
          if (applied) return end.carried_out(response);
          end.failed(
              kafka::ErrorCode::kRequestTimedOut,
              "the controller has carried it out, but this broker has not learnt of it in time");
        });
  };
}

}  // namespace sluice::broker
