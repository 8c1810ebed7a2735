#include "broker/producer_id_allocator.h"

#include <gtest/gtest.h>

#include <set>

#include "broker/testing/refusing_controller.h"

namespace sluice::broker {
namespace {

// Keeps the question until Answer().
class BlockController final : public testing::RefusingController {
 public:
  void AllocateProducerIds(controller::AllocateProducerIdsRequest, int64_t,
                           Done<controller::AllocateProducerIdsResponse> done) override {
    ++asked;
    waiting = std::move(done);
  }

  void Answer() {
    controller::AllocateProducerIdsResponse response;
    response.set_first_producer_id(next);
    response.set_count(1000);
    next += 1000;
    std::exchange(waiting, nullptr)(response);
  }

  int asked = 0;
  int64_t next = 5000;
  Done<controller::AllocateProducerIdsResponse> waiting;
};

class ProducerIdAllocatorTest : public ::testing::Test {
 protected:
  void Allocate() {
    allocator_.Allocate([this](Result<ProducerId> id) {
      if (!id.ok()) {
        ++failures_;
      } else {
        EXPECT_TRUE(ids_.insert(id->value()).second) << "given out twice: " << *id;
      }
    });
  }

  BrokerState state_;
  BlockController controller_;
  ProducerIdAllocator allocator_{state_, controller_};
  std::set<int64_t> ids_;
  int failures_ = 0;
};

TEST_F(ProducerIdAllocatorTest, WaitersShareTheFirstBlock) {
  for (int i = 0; i < 3; ++i) Allocate();
  EXPECT_EQ(controller_.asked, 1);
  controller_.Answer();
  EXPECT_EQ(ids_, (std::set<int64_t>{5000, 5001, 5002}));
}

TEST_F(ProducerIdAllocatorTest, TheNextBlockIsAskedForBeforeItIsNeededAndNoIdIsLostOrRepeated) {
  Allocate();
  controller_.Answer();
  for (int i = 1; i < 900; ++i) Allocate();
  EXPECT_EQ(controller_.asked, 2);
  EXPECT_EQ(ids_.size(), 900u);
  controller_.Answer();
  for (int i = 900; i < 1500; ++i) Allocate();
  EXPECT_EQ(ids_.size(), 1500u);
  EXPECT_EQ(*ids_.rbegin(), 6499);
}

TEST_F(ProducerIdAllocatorTest, AFailureIsToldToThoseWhoWaitAndTheNextOneAsksAgain) {
  Allocate();
  std::exchange(controller_.waiting, nullptr)(Status::Unavailable("no controller"));
  EXPECT_EQ(failures_, 1);
  Allocate();
  EXPECT_EQ(controller_.asked, 2);
  controller_.Answer();
  EXPECT_EQ(ids_.size(), 1u);
}

TEST_F(ProducerIdAllocatorTest, MoreWaitersThanABlockHolds) {
  for (int i = 0; i < 1500; ++i) Allocate();
  controller_.Answer();
  EXPECT_EQ(ids_.size(), 1000u);
  controller_.Answer();
  EXPECT_EQ(ids_.size(), 1500u);
}

}  // namespace
}  // namespace sluice::broker
