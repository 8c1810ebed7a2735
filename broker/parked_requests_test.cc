#include "broker/parked_requests.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

class Parked final : public ParkedRequest {
 public:
  void Abandon() override { ++abandoned; }
  bool finished() const override { return done; }
  int abandoned = 0;
  bool done = false;
};

TEST(ParkedRequestsTest, EndWithTheirClient) {
  ParkedRequests requests;
  const auto first = std::make_shared<Parked>();
  const auto second = std::make_shared<Parked>();
  requests.Add(first);
  requests.Add(second);
  requests.Add(std::make_shared<Parked>());  // gone before
  requests.AbandonAll();
  EXPECT_EQ(first->abandoned, 1);
  EXPECT_EQ(second->abandoned, 1);
  const auto late = std::make_shared<Parked>();
  requests.Add(late);
  EXPECT_EQ(late->abandoned, 1);
  EXPECT_EQ(requests.size(), 0u);
}

TEST(ParkedRequestsTest, FinishedOnesAreNotKept) {
  ParkedRequests requests;
  std::vector<std::shared_ptr<Parked>> held;
  for (int i = 0; i < 1000; ++i) {
    held.push_back(std::make_shared<Parked>());
    requests.Add(held.back());
    if (i >= 3) held[static_cast<size_t>(i) - 3]->done = true;
    EXPECT_LE(requests.size(), 8u);
  }
}

}  // namespace
}  // namespace sluice::broker
