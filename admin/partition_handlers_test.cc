// The admin service's calls that move partitions and choose leaders, over a backend that answers as
// the test says.
#include <gtest/gtest.h>

#include <limits>

#include "admin/testing/handlers_fixture.h"
#include "kafka/error_code.h"

namespace sluice::admin {
namespace {

class PartitionHandlersTest : public testing::HandlersFixture {
 protected:
  // orders-1 is on its way from broker 1 to broker 3.
  void LetOneMove() {
    metadata::MetadataBatch batch;
    auto* change = batch.add_records()->mutable_partition_change();
    change->set_topic_id(std::string(16, 'T'));
    change->set_partition(1);
    change->mutable_isr()->add_ids(2);
    change->mutable_adding_replicas()->add_ids(3);
    change->mutable_removing_replicas()->add_ids(1);
    change->set_move_kib_per_second(3);
    metadata::ImageBuilder builder(backend_.image);
    ASSERT_TRUE(builder.ApplyBatch(batch, LogIndex(6)).ok());
    backend_.image = builder.Build(LogIndex(6), Term(1));
  }
  static MovePartitionsRequest TwoMoves() {
    MovePartitionsRequest request;
    for (const int partition : {0, 9}) {
      auto* move = request.add_moves();
      move->set_topic("orders");
      move->set_partition(partition);
      for (const int id : {3, 1}) move->add_replicas(id);
    }
    return request;
  }
};

TEST_F(PartitionHandlersTest, MovesGoToTheControllerAndAreToldAsTheyThenAre) {
  backend_.error_code = static_cast<int>(kafka::ErrorCode::kUnknownTopicOrPartition);
  backend_.error_message = "topic 'orders' has no partition 9, it has 2";
  MovePartitionsRequest request = TwoMoves();
  request.set_allow_replication_factor_change(true);
  const auto moved = Call(&Handlers::MovePartitions, request);
  ASSERT_TRUE(moved.ok()) << moved.status().ToString();
  EXPECT_EQ(backend_.waited_for, LogIndex(9));
  const auto& asked = backend_.reassignments_request;
  EXPECT_TRUE(asked.allow_replication_factor_change());
  ASSERT_EQ(asked.partitions_size(), 2);
  EXPECT_EQ(asked.partitions(0).replicas().ids(0), 3);
  ASSERT_EQ(moved->partitions_size(), 2);
  EXPECT_EQ(moved->partitions(0).error(), "");
  EXPECT_EQ(moved->partitions(0).now().replicas_size(), 3);
  EXPECT_EQ(moved->partitions(1).error(), backend_.error_message);
  EXPECT_EQ(moved->partitions(1).code(), "UNKNOWN_TOPIC_OR_PARTITION");
  EXPECT_FALSE(moved->partitions(1).has_now());
}

TEST_F(PartitionHandlersTest, ADryRunWaitsForNothing) {
  backend_.applies = true;
  MovePartitionsRequest request = TwoMoves();
  request.set_validate_only(true);
  ASSERT_TRUE(Call(&Handlers::MovePartitions, request).ok());
  EXPECT_TRUE(backend_.reassignments_request.validate_only());
  EXPECT_EQ(backend_.waited_for, LogIndex(-1));
  backend_.waited_for = LogIndex(-100);
  ElectLeadersRequest elect;
  elect.set_validate_only(true);
  ASSERT_TRUE(Call(&Handlers::ElectLeaders, elect).ok());
  EXPECT_TRUE(backend_.elections_request.validate_only());
  EXPECT_EQ(backend_.waited_for, LogIndex(-1));
  backend_.waited_for = LogIndex(-100);
  backend_.reassignments_request.Clear();
  CancelMovesRequest cancel;
  cancel.add_partitions()->set_topic("orders");
  cancel.set_validate_only(true);
  ASSERT_TRUE(Call(&Handlers::CancelMoves, cancel).ok());
  EXPECT_TRUE(backend_.reassignments_request.validate_only());
  EXPECT_EQ(backend_.waited_for, LogIndex(-1));
}

TEST_F(PartitionHandlersTest, ARateGoesToTheControllerInKiB) {
  const auto asked = [this](int64_t bytes_per_second) {
    MovePartitionsRequest request = TwoMoves();
    request.set_bytes_per_second(bytes_per_second);
    EXPECT_TRUE(Call(&Handlers::MovePartitions, request).ok());
    return backend_.reassignments_request.partitions(1).kib_per_second();
  };
  EXPECT_EQ(asked(50 << 20), 51200U);
  EXPECT_EQ(asked(1), 1U);
  EXPECT_EQ(asked(2047), 1U);
  EXPECT_EQ(asked(0), 0U);
  EXPECT_TRUE(backend_.reassignments_request.partitions(1).has_kib_per_second());
  EXPECT_EQ(asked(std::numeric_limits<int64_t>::max()), std::numeric_limits<uint32_t>::max());
  ASSERT_TRUE(Call(&Handlers::MovePartitions, TwoMoves()).ok());
  EXPECT_FALSE(backend_.reassignments_request.partitions(1).has_kib_per_second());
  MovePartitionsRequest wrong = TwoMoves();
  wrong.set_bytes_per_second(-1);
  EXPECT_EQ(Call(&Handlers::MovePartitions, wrong).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(PartitionHandlersTest, AControllerThatDoesNotAnswerIsAnError) {
  backend_.unreachable = Status::Timeout("no controller answered");
  EXPECT_EQ(Call(&Handlers::MovePartitions, TwoMoves()).status().code(), StatusCode::kTimeout);
  EXPECT_EQ(Call(&Handlers::ElectLeaders, ElectLeadersRequest()).status().code(),
            StatusCode::kTimeout);
}

TEST_F(PartitionHandlersTest, CancellingAllNamesThoseThatMove) {
  EXPECT_TRUE(Call(&Handlers::CancelMoves, CancelMovesRequest())->partitions().empty());
  EXPECT_TRUE(backend_.reassignments_request.partitions().empty());
  LetOneMove();
  EXPECT_EQ(Call(&Handlers::CancelMoves, CancelMovesRequest())->partitions_size(), 1);
  ASSERT_EQ(backend_.reassignments_request.partitions_size(), 1);
  EXPECT_EQ(backend_.reassignments_request.partitions(0).partition(), 1);
  EXPECT_FALSE(backend_.reassignments_request.partitions(0).has_replicas());
}

TEST_F(PartitionHandlersTest, WhatMovesIsShown) {
  LetOneMove();
  ListPartitionsRequest request;
  request.set_moving_only(true);
  const auto moving = Call(&Handlers::ListPartitions, request);
  ASSERT_EQ(moving->partitions_size(), 1);
  EXPECT_EQ(moving->partitions(0).partition(), 1);
  EXPECT_EQ(moving->partitions(0).adding(0), 3);
  EXPECT_EQ(moving->partitions(0).removing(0), 1);
  EXPECT_EQ(moving->partitions(0).move_bytes_per_second(), 3072);
}

TEST_F(PartitionHandlersTest, ElectionsOfNoneAreOfAll) {
  ASSERT_TRUE(Call(&Handlers::ElectLeaders, ElectLeadersRequest()).ok());
  EXPECT_TRUE(backend_.elections_request.all());
  ElectLeadersRequest request;
  request.set_unclean(true);
  request.add_partitions()->set_topic("orders");
  const auto elected = Call(&Handlers::ElectLeaders, request);
  EXPECT_FALSE(backend_.elections_request.all());
  EXPECT_TRUE(backend_.elections_request.unclean());
  EXPECT_EQ(elected->partitions(0).now().leader(), 1);
}

}  // namespace
}  // namespace sluice::admin
