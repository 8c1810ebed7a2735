// Brokers through the admin service: what is told of them, what is passed on, and whether one may
// stop, to gRPC and over HTTP.

#include <gtest/gtest.h>

#include "admin/http_routes.h"
#include "admin/metrics_collector.h"
#include "admin/testing/handlers_fixture.h"
#include "kafka/error_code.h"

namespace sluice::admin {
namespace {

using kafka::ErrorCode;
using testing::ThreeBrokers;

class BrokerHandlersTest : public testing::HandlersFixture {
 protected:
  BrokerHandlersTest() {
    for (int id = 1; id <= 3; ++id) {
      auto* voter = backend_.quorum.add_voters();
      voter->set_id(id);
      voter->set_last_contact_age_ms(id == 1 ? 0 : 20);
    }
    backend_.quorum.set_commit_index(5);
    backend_.partitions = {{.topic = "orders", .partition = PartitionIndex(0), .size_bytes = 70},
                           {.topic = "orders", .partition = PartitionIndex(1), .size_bytes = 30}};
    backend_.list_replicas =
        [](NodeId node, const ListReplicasRequest& request) -> Result<ListReplicasResponse> {
      EXPECT_TRUE(request.at_node());
      if (node == NodeId(3)) return Status::Unavailable("no answer");
      ListReplicasResponse response;
      response.add_totals()->set_node(node.value());
      response.mutable_totals(0)->set_bytes(500);
      Replica* replica = response.add_replicas();
      replica->set_topic("orders");
      replica->set_bytes(500);
      return response;
    };
  }

  Result<CanStopBrokerResponse> CanStop(int id) {
    CanStopBrokerRequest request;
    request.set_id(id);
    return Call(&Handlers::CanStopBroker, request);
  }
  HttpResponse Get(const std::string& path) {
    HttpResponse got;
    MakeHttpHandler(backend_, handlers_, metrics_)(
        {.method = "GET", .path = path, .timeout_ms = 1000},
        [&got](HttpResponse response) { got = std::move(response); });
    return got;
  }

  MetricsCollector metrics_{backend_};
};

TEST_F(BrokerHandlersTest, BrokersAreListedWithWhatTheyCarry) {
  const auto all = Call(&Handlers::ListBrokers, ListBrokersRequest());
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->brokers_size(), 3);
  EXPECT_EQ(all->brokers(0).address(), "host1:9092");
  EXPECT_EQ(all->brokers(0).state(), "active");
  EXPECT_EQ(all->brokers(0).goal(), "serve");
  EXPECT_EQ(all->brokers(0).leaders(), 1);
  EXPECT_EQ(all->brokers(0).replicas(), 2);
  EXPECT_EQ(all->brokers(0).bytes(), 100);
  EXPECT_EQ(all->brokers(1).bytes(), 500);
  EXPECT_FALSE(all->brokers(2).has_bytes());
  ListBrokersRequest one;
  one.set_id(2);
  EXPECT_EQ(Call(&Handlers::ListBrokers, one)->brokers(0).id(), 2);
  one.set_id(9);
  EXPECT_EQ(Call(&Handlers::ListBrokers, one).status().code(), StatusCode::kNotFound);
  const auto replicas = Call(&Handlers::ListReplicas, ListReplicasRequest());
  EXPECT_EQ(replicas->replicas_size(), 3);
  EXPECT_EQ(replicas->incomplete_size(), 1);
}

TEST_F(BrokerHandlersTest, GoalsArePassedOnAndAnsweredWhenApplied) {
  DrainBrokerRequest drain;
  drain.set_id(1);
  drain.set_force(true);
  const auto drained = Call(&Handlers::DrainBroker, drain);
  ASSERT_TRUE(drained.ok());
  EXPECT_EQ(backend_.broker_change.operation(), controller::ChangeBrokerRequest::DRAIN);
  EXPECT_TRUE(backend_.broker_change.force());
  EXPECT_EQ(backend_.waited_for, LogIndex(9));
  EXPECT_EQ(drained->broker().id(), 1);
  ASSERT_EQ(drained->leads_left_size(), 1);
  EXPECT_EQ(drained->leads_left(0).why(), "its lead is about to go");
  drain.set_validate_only(true);
  EXPECT_TRUE(Call(&Handlers::DrainBroker, drain).ok());
  EXPECT_EQ(backend_.waited_for, LogIndex(-1));
  UndrainBrokerRequest undrain;
  undrain.set_id(2);
  EXPECT_TRUE(Call(&Handlers::UndrainBroker, undrain).ok());
  EXPECT_EQ(backend_.broker_change.operation(), controller::ChangeBrokerRequest::UNDRAIN);
  EXPECT_FALSE(backend_.broker_change.validate_only());
  undrain.set_validate_only(true);
  EXPECT_TRUE(Call(&Handlers::UndrainBroker, undrain).ok());
  EXPECT_TRUE(backend_.broker_change.validate_only());
  DecommissionBrokerRequest decommission;
  decommission.set_id(3);
  EXPECT_TRUE(Call(&Handlers::DecommissionBroker, decommission).ok());
  EXPECT_EQ(backend_.broker_change.operation(), controller::ChangeBrokerRequest::DECOMMISSION);
  EXPECT_EQ(backend_.broker_change.broker_id(), 3);
  CancelDecommissionRequest cancel;
  cancel.set_id(3);
  EXPECT_TRUE(Call(&Handlers::CancelDecommission, cancel).ok());
  EXPECT_EQ(backend_.broker_change.operation(),
            controller::ChangeBrokerRequest::CANCEL_DECOMMISSION);
}

TEST_F(BrokerHandlersTest, ADrainNamesWhatADeadBrokerAloneHas) {
  metadata::MetadataBatch batch;
  for (const int32_t partition : {0, 1}) {
    auto* change = batch.add_records()->mutable_partition_change();
    change->set_topic_id(std::string(16, 'T'));
    change->set_partition(partition);
    change->set_leader(-1);
    change->mutable_isr();
    // The one has it alone; of the other, brokers 1 and 3 have all records.
    change->mutable_replicas()->add_ids(3);
    if (partition == 0) continue;
    for (const int32_t id : {1, 2}) change->mutable_replicas()->add_ids(id);
    for (const int32_t id : {1, 3}) change->mutable_elr()->add_ids(id);
  }
  batch.add_records()->mutable_broker_change()->set_broker_id(3);
  batch.mutable_records(2)->mutable_broker_change()->set_fenced(true);
  metadata::ImageBuilder builder(backend_.image);
  ASSERT_TRUE(builder.ApplyBatch(batch, LogIndex(6)).ok());
  backend_.image = builder.Build(LogIndex(6), Term(1));
  DrainBrokerRequest drain;
  drain.set_id(3);
  const auto drained = Call(&Handlers::DrainBroker, drain);
  ASSERT_TRUE(drained.ok());
  ASSERT_EQ(drained->unavailable_size(), 2);
  EXPECT_EQ(drained->unavailable(0).why(), "broker 3 has it alone, and does not run");
  EXPECT_EQ(drained->unavailable(1).partition(), 1);
  EXPECT_EQ(drained->unavailable(1).why(),
            "all of its records are on 1,3 of the replicas 3,1,2, and nobody leads it before one "
            "of them runs");
  drain.set_id(2);
  EXPECT_EQ(Call(&Handlers::DrainBroker, drain)->unavailable_size(), 0);
}

TEST_F(BrokerHandlersTest, RefusalsKeepTheirWords) {
  const struct {
    ErrorCode code;
    StatusCode status;
  } cases[] = {{ErrorCode::kIneligibleReplica, StatusCode::kFenced},
               {ErrorCode::kBrokerIdNotRegistered, StatusCode::kNotFound},
               {ErrorCode::kNoReassignmentInProgress, StatusCode::kFenced}};
  for (const auto& c : cases) {
    backend_.error_code = static_cast<int>(c.code);
    backend_.error_message = "because";
    const Status status = Call(&Handlers::DrainBroker, DrainBrokerRequest()).status();
    EXPECT_EQ(status.code(), c.status);
    EXPECT_EQ(status.message(), "because");
  }
}

TEST_F(BrokerHandlersTest, WhoIsNeededShouldNotStop) {
  EXPECT_TRUE(CanStop(2)->can_stop());
  EXPECT_EQ(backend_.waited_for, LogIndex(5));
  EXPECT_EQ(Get("/safe-to-stop").status, 200);
  EXPECT_EQ(CanStop(9).status().code(), StatusCode::kNotFound);

  backend_.image = ThreeBrokers(/*all_up=*/false);
  const auto needed = CanStop(1);
  EXPECT_FALSE(needed->can_stop());
  EXPECT_EQ(needed->in_the_way_size(), 2);
  EXPECT_NE(needed->reason().find("orders-0 (in sync are 1,2: 1 would be left"), std::string::npos)
      << needed->reason();
  EXPECT_TRUE(CanStop(3)->can_stop());  // it is away already
  const HttpResponse no = Get("/safe-to-stop");
  EXPECT_EQ(no.status, 503);
  EXPECT_NE(no.body.find("not safe to stop: 2 partitions"), std::string::npos) << no.body;
}

TEST_F(BrokerHandlersTest, TheControllersKeepTheirMajority) {
  backend_.quorum.mutable_voters(2)->set_last_contact_age_ms(5000);
  const auto answer = CanStop(2);
  EXPECT_FALSE(answer->can_stop());
  EXPECT_EQ(answer->reason(), "of 3 controllers 1 that answer would be left, a majority is 2");
  EXPECT_TRUE(CanStop(3)->can_stop());  // the silent one
  backend_.quorum.mutable_voters(2)->set_last_contact_age_ms(10);
  backend_.quorum.mutable_voters(2)->set_recovering(true);
  EXPECT_FALSE(CanStop(1)->can_stop());
  backend_.quorum.mutable_voters()->RemoveLast();
  backend_.quorum.mutable_voters()->RemoveLast();
  EXPECT_TRUE(CanStop(2)->can_stop());  // it is no voter
  EXPECT_FALSE(CanStop(1)->can_stop());
}

TEST_F(BrokerHandlersTest, WhereNothingIsSureNothingIsSafe) {
  backend_.applies = false;
  EXPECT_EQ(CanStop(2).status().code(), StatusCode::kUnavailable);
  backend_.applies = true;
  backend_.unreachable = Status::Timeout("none");
  EXPECT_EQ(CanStop(2).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(Get("/safe-to-stop").status, 503);
}

TEST_F(BrokerHandlersTest, APlanTellsReasonsAndChangesNothing) {
  PlanRebalanceRequest request;
  request.set_copies_max(-1);
  EXPECT_EQ(Call(&Handlers::PlanRebalance, request).status().code(), StatusCode::kInvalidArgument);
  request.set_copies_max(5);
  const auto plan = Call(&Handlers::PlanRebalance, request);
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan->moves_size(), 1);  // both are to be led by broker 1
  EXPECT_EQ(plan->moves(0).bytes(), 0);
  EXPECT_EQ(plan->moves(0).reason(), "broker 1 leads 2, broker 2 0");
  EXPECT_EQ(plan->before_size(), 3);
  EXPECT_EQ(plan->incomplete_size(), 1);
}

// Both replicas tell what they had of one partition's traffic; a plan is made for the sum.
TEST_F(BrokerHandlersTest, APlanKnowsRates) {
  constexpr int64_t kMiB = 1 << 20;
  backend_.partitions = {{.topic = "orders", .partition = PartitionIndex(0), .in_rate = 7 * kMiB}};
  backend_.list_replicas = [](NodeId node, const ListReplicasRequest&) {
    ListReplicasResponse response;
    if (node != NodeId(2)) return response;
    Replica* other = response.add_replicas();
    other->set_node(node.value());
    other->set_topic("orders");
    other->set_in_rate(3 * kMiB);
    other->set_out_rate(20 * kMiB);
    return response;
  };
  const auto plan = Call(&Handlers::PlanRebalance, PlanRebalanceRequest());
  ASSERT_TRUE(plan.ok());
  int64_t lead_rate = 0, write_rate = 0;
  for (const BrokerLoad& load : plan->before()) {
    lead_rate += load.lead_rate();
    write_rate += load.write_rate();
  }
  EXPECT_EQ(lead_rate, 30 * kMiB);
  EXPECT_EQ(write_rate, 30 * kMiB);  // three replicas
}

}  // namespace
}  // namespace sluice::admin
