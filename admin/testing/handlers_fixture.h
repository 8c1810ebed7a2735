#pragma once
// HandlersFixture: the admin service's calls over a backend that answers as the test says.
//
// Thread rule: one thread.

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "admin/handlers.h"
#include "admin/testing/fake_backend.h"

namespace sluice::admin::testing {

class HandlersFixture : public ::testing::Test {
 protected:
  // Calls a method whose backend answers at once.
  template <typename Request, typename Response>
  Result<Response> Call(void (Handlers::*method)(Request, int64_t, Done<Response>),
                        Request request) {
    Result<Response> result = Status::Internal("not answered");
    (handlers_.*method)(std::move(request), timeout_ms_,
                        [&](Result<Response> answer) { result = std::move(answer); });
    return result;
  }

  int64_t timeout_ms_ = 1000;  // that a call is given
  FakeBackend backend_;
  Handlers handlers_{backend_};
};

}  // namespace sluice::admin::testing
