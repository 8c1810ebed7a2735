#include "broker/broker_lifecycle.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "base/testing/sim_event_loop.h"
#include "broker/testing/refusing_controller.h"
#include "kafka/error_code.h"
#include "metadata/image.h"

namespace sluice::broker {
namespace {

// A controller that answers registrations and heartbeats as the test says, after a delay on the
// virtual clock.
class FakeController final : public testing::RefusingController {
 public:
  explicit FakeController(EventLoop& loop) : loop_(loop) {}

  void RegisterBroker(controller::RegisterBrokerRequest request, int64_t,
                      Done<controller::RegisterBrokerResponse> done) override {
    registrations.push_back(std::move(request));
    Result<controller::RegisterBrokerResponse> answer = Status::Timeout("nobody there");
    if (reachable) {
      controller::RegisterBrokerResponse response;
      response.set_broker_epoch(next_epoch);
      response.mutable_outcome()->set_error_code(register_error);
      answer = response;
    }
    loop_.RunAfter(delay_ms, [done, answer] { done(answer); });
  }
  void Heartbeat(controller::HeartbeatRequest request, int64_t,
                 Done<controller::HeartbeatResponse> done) override {
    heartbeats.push_back(std::move(request));
    Result<controller::HeartbeatResponse> answer = Status::Timeout("nobody there");
    if (reachable) {
      answer = heartbeat_answer;
      // What a controller does: out of the fence once the broker is ready.
      answer->set_fenced(fence || !heartbeats.back().ready());
      if (heartbeat_error != 0)
        answer->mutable_outcome()->set_error_code(std::exchange(heartbeat_error, 0));
    }
    loop_.RunAfter(delay_ms, [done, answer] { done(answer); });
  }

  std::deque<controller::RegisterBrokerRequest> registrations;
  std::deque<controller::HeartbeatRequest> heartbeats;
  bool reachable = true;
  bool fence = false;
  int64_t delay_ms = 1;
  int64_t next_epoch = 7;
  int register_error = 0;
  int heartbeat_error = 0;  // once
  controller::HeartbeatResponse heartbeat_answer;

 private:
  EventLoop& loop_;
};

class BrokerLifecycleTest : public ::testing::Test {
 protected:
  BrokerLifecycleTest() {
    state_.node_id = NodeId(1);
    state_.cluster_id = "cluster";
    state_.session_timeout_ms = 600;
  }

  void Start(std::vector<storage::TopicPartition> damaged = {}) {
    BrokerLifecycleOptions options;
    options.state = &state_;
    options.metadata = &metadata_;
    options.controller = &controller_;
    options.loop = &loop_;
    options.registration.set_broker_id(1);
    options.damaged = std::move(damaged);
    options.previous_broker_epoch = 3;
    options.directories = {directories_.begin(), directories_.end()};
    options.disks = options.directories;
    if (only_disk_ != nullptr) options.disks = {only_disk_};
    options.what_is_stuck = [this] { return stuck_; };
    options.on_leader = [this](NodeId leader) { leader_ = leader; };
    options.keep_epoch = [this](BrokerEpoch epoch, std::function<void()> kept) {
      kept_.push_back(epoch.value());
      if (disks_write_) return kept();
      disks_wait_.push_back(std::move(kept));
    };
    options.on_refused = [this](const Status& why) { refusals_.push_back(why.message()); };
    lifecycle_ = std::make_unique<BrokerLifecycle>(std::move(options));
    lifecycle_->Start();
  }
  void Apply(int64_t index) {
    auto image = std::make_shared<metadata::Image>(*metadata::EmptyImage());
    image->last_index = LogIndex(index);
    metadata_.Publish(image);
  }
  // Registered, caught up and out of the fence.
  void BringIntoService() {
    Start();
    scheduler_.RunForMs(10);
    Apply(7);
    scheduler_.RunForMs(200);
    ASSERT_EQ(lifecycle_->stage(), BrokerLifecycle::Stage::kRunning);
  }

  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimEventLoop loop_{scheduler_};
  BrokerState state_;
  MetadataCache metadata_;
  FakeController controller_{loop_};
  NodeId leader_ = kNoNode;
  std::vector<std::shared_ptr<storage::DirectoryState>> directories_;
  std::shared_ptr<storage::DirectoryState> only_disk_;
  std::vector<std::string> refusals_;
  std::vector<int64_t> kept_;
  bool disks_write_ = true;
  std::vector<std::function<void()>> disks_wait_;
  std::string stuck_;
  std::unique_ptr<BrokerLifecycle> lifecycle_;
};

TEST_F(BrokerLifecycleTest, RegistersAndIsReadyOnlyWhenItsRegistrationIsApplied) {
  Start({{"orders", PartitionIndex(2)}});
  Apply(6);
  scheduler_.RunForMs(500);
  ASSERT_EQ(controller_.registrations.size(), 1U);
  ASSERT_EQ(controller_.registrations[0].damaged_size(), 1);
  EXPECT_EQ(controller_.registrations[0].damaged(0).topic(), "orders");
  EXPECT_EQ(controller_.registrations[0].damaged(0).partition(), 2);
  EXPECT_EQ(controller_.registrations[0].previous_broker_epoch(), 3);
  EXPECT_EQ(state_.broker_epoch, 7);
  EXPECT_FALSE(controller_.heartbeats.back().ready());
  EXPECT_EQ(controller_.heartbeats.back().applied_index(), 6);
  EXPECT_TRUE(state_.fenced);

  Apply(7);
  scheduler_.RunForMs(200);
  EXPECT_TRUE(controller_.heartbeats.back().ready());
  EXPECT_FALSE(state_.fenced);
  EXPECT_EQ(lifecycle_->stage(), BrokerLifecycle::Stage::kRunning);
}

TEST_F(BrokerLifecycleTest, TellsAtOnceThatItHasCaughtUp) {
  Start();
  scheduler_.RunForMs(20);
  const size_t before = controller_.heartbeats.size();
  Apply(7);
  scheduler_.RunForMs(5);
  EXPECT_EQ(controller_.heartbeats.size(), before + 1);
  EXPECT_TRUE(controller_.heartbeats.back().ready());
  EXPECT_FALSE(state_.fenced);
}

TEST_F(BrokerLifecycleTest, DamagedLogsAreToldUntilTheyAreOutOfTheIsr) {
  BringIntoService();
  const TopicId topic = Uuid::FromBytes(std::string(16, 't'));
  const auto publish = [&](int64_t index, std::vector<NodeId> isr) {
    metadata::PartitionImage partition;
    partition.replicas = {state_.node_id, NodeId(99)};
    partition.isr = std::move(isr);
    auto image = std::make_shared<metadata::Image>(*metadata_.Current());
    image->last_index = LogIndex(index);
    auto topics = std::make_shared<metadata::TopicsById>();
    topics->Set(topic, std::make_shared<metadata::TopicImage>(
                           metadata::TopicImage{"orders", topic, {partition}}));
    image->topics_by_id = std::move(topics);
    metadata_.Publish(image);
    scheduler_.RunForMs(200);
    return controller_.heartbeats.back().damaged_size();
  };
  state_.damaged.Add({topic, PartitionIndex(0)});
  state_.damaged.Add({topic, PartitionIndex(1)});
  EXPECT_EQ(publish(8, {state_.node_id}), 0) << "nobody else can lead";
  EXPECT_EQ(publish(9, {state_.node_id, NodeId(99)}), 1);
  EXPECT_EQ(controller_.heartbeats.back().damaged(0).topic_id(), topic.view());
  EXPECT_EQ(publish(10, {NodeId(99)}), 0);
}

TEST_F(BrokerLifecycleTest, WhereLogsWithoutALeaderEndIsToldOnce) {
  BringIntoService();
  const TopicId topic = Uuid::FromBytes(std::string(16, 't'));
  scheduler_.RunForMs(200);
  EXPECT_EQ(controller_.heartbeats.back().log_ends_size(), 0);
  controller_.heartbeats.clear();
  state_.leaderless.Offer({{{topic, PartitionIndex(2)}, LeaderEpoch(4), LeaderEpoch(3), Offset(7)},
                           {{topic, PartitionIndex(5)}, LeaderEpoch(1), kNoEpoch, Offset(-1)}});
  scheduler_.RunForMs(200);
  ASSERT_EQ(controller_.heartbeats.front().log_ends_size(), 2);
  const auto& told = controller_.heartbeats.front().log_ends(0);
  EXPECT_EQ(told.topic_id(), topic.view());
  EXPECT_EQ(told.partition(), 2);
  EXPECT_EQ(told.leader_epoch(), 4);
  EXPECT_EQ(told.last_epoch(), 3);
  EXPECT_EQ(told.end_offset(), 7);
  EXPECT_EQ(controller_.heartbeats.front().log_ends(1).end_offset(), -1);
  EXPECT_EQ(controller_.heartbeats.back().log_ends_size(), 0);
}

TEST_F(BrokerLifecycleTest, WhatIsFlushedIsToldAgainAndAgain) {
  BringIntoService();
  EXPECT_EQ(controller_.heartbeats.back().synced_index(), 0);
  state_.synced_index = 42;
  scheduler_.RunForMs(200);
  controller_.heartbeats.clear();
  scheduler_.RunForMs(200);
  ASSERT_FALSE(controller_.heartbeats.empty());
  for (const auto& heartbeat : controller_.heartbeats) EXPECT_EQ(heartbeat.synced_index(), 42);
}

TEST_F(BrokerLifecycleTest, HeartbeatsKeepTheirInterval) {
  BringIntoService();
  const size_t before = controller_.heartbeats.size();
  scheduler_.RunForMs(1000);
  EXPECT_EQ(controller_.heartbeats.size() - before, 10U);
}

TEST_F(BrokerLifecycleTest, OneHeartbeatIsUnderWayAtATime) {
  BringIntoService();
  controller_.delay_ms = 250;
  scheduler_.RunForMs(50);
  const size_t before = controller_.heartbeats.size();
  scheduler_.RunForMs(1000);
  EXPECT_LE(controller_.heartbeats.size() - before, 5U);
}

TEST_F(BrokerLifecycleTest, TheLeaseRunsFromTheControllersConfirmedRound) {
  controller_.heartbeat_answer.set_lease_age_ms(40);
  controller_.delay_ms = 30;
  BringIntoService();
  // The last answered heartbeat was sent at most 100 + 30 ms ago; its lease began 40 ms before
  // that.
  const int64_t age_ms = loop_.clock().SteadyMs() - state_.lease_start_steady_ms;
  EXPECT_GE(age_ms, 40 + 30);
  EXPECT_LE(age_ms, 40 + 30 + 100);
}

TEST_F(BrokerLifecycleTest, TheLeaseIsShorterThanTheSessionByItsMargin) {
  state_.session_timeout_ms = 600;
  EXPECT_EQ(state_.lease_ms(), 500);
  state_.lease_margin_ms = 250;
  EXPECT_EQ(state_.lease_ms(), 350);
  state_.lease_margin_ms = 1000;
  EXPECT_EQ(state_.lease_ms(), 300) << "never more than half of it";
  state_.lease_margin_ms = -1;
  state_.session_timeout_ms = 300;
  EXPECT_EQ(state_.lease_ms(), 250) << "by itself a sixth, at most 100 ms";
}

TEST_F(BrokerLifecycleTest, TheLeaseEndsWhenNoControllerAnswers) {
  BringIntoService();
  EXPECT_TRUE(state_.LeaseValid(loop_.clock()));
  controller_.reachable = false;
  scheduler_.RunForMs(700);
  EXPECT_FALSE(state_.LeaseValid(loop_.clock()));
  EXPECT_NE(lifecycle_->last_error(), "");
  controller_.reachable = true;
  scheduler_.RunForMs(200);
  EXPECT_TRUE(state_.LeaseValid(loop_.clock()));
  EXPECT_EQ(lifecycle_->last_error(), "");
}

TEST_F(BrokerLifecycleTest, WhoeverIsStuckBeatsNoMoreAndHasNoLease) {
  BringIntoService();
  stuck_ = "the disk";
  scheduler_.RunForMs(700);
  const size_t sent = controller_.heartbeats.size();
  EXPECT_FALSE(state_.LeaseValid(loop_.clock()));
  EXPECT_THAT(lifecycle_->last_error(), ::testing::StartsWith("the disk: no heartbeat is sent"));
  scheduler_.RunForMs(5000);
  EXPECT_EQ(controller_.heartbeats.size(), sent);
  stuck_.clear();
  scheduler_.RunForMs(200);
  EXPECT_TRUE(state_.LeaseValid(loop_.clock()));
  EXPECT_EQ(lifecycle_->last_error(), "");
}

TEST_F(BrokerLifecycleTest, WhoeverIsStuckAndStopsAsksForOtherLeaders) {
  BringIntoService();
  stuck_ = "the disk";
  lifecycle_->BeginShutdown([](bool) {});
  scheduler_.RunForMs(150);
  EXPECT_TRUE(controller_.heartbeats.back().want_shutdown());
}

// The controller has given its partitions to others; the image that says so may be late.
TEST_F(BrokerLifecycleTest, WhoeverIsFencedHasNoLease) {
  BringIntoService();
  controller_.fence = true;
  scheduler_.RunForMs(110);
  EXPECT_TRUE(state_.fenced);
  EXPECT_FALSE(state_.LeaseValid(loop_.clock()));
  controller_.fence = false;
  scheduler_.RunForMs(110);
  EXPECT_TRUE(state_.LeaseValid(loop_.clock()));
}

TEST_F(BrokerLifecycleTest, TheLeaseEndsBeforeTheSession) {
  BringIntoService();
  controller_.reachable = false;
  scheduler_.RunForMs(5);  // an answer may be under way
  const int64_t start_ms = state_.lease_start_steady_ms;
  scheduler_.RunForMs(start_ms + 499 - loop_.clock().SteadyMs());
  EXPECT_TRUE(state_.LeaseValid(loop_.clock()));
  scheduler_.RunForMs(1);
  EXPECT_FALSE(state_.LeaseValid(loop_.clock()));
  state_.session_timeout_ms = 9000;
  EXPECT_EQ(state_.lease_ms(), 8900);
}

TEST_F(BrokerLifecycleTest, TheAnswerSaysWhoLeads) {
  controller_.heartbeat_answer.mutable_outcome()->set_leader_id(3);
  BringIntoService();
  EXPECT_EQ(leader_, NodeId(3));
}

TEST_F(BrokerLifecycleTest, KeepsTryingToRegister) {
  controller_.reachable = false;
  Start({{"orders", PartitionIndex(2)}});
  scheduler_.RunForMs(1000);
  EXPECT_GE(controller_.registrations.size(), 5U);
  controller_.reachable = true;
  controller_.register_error = static_cast<int>(kafka::ErrorCode::kDuplicateBrokerRegistration);
  scheduler_.RunForMs(300);
  EXPECT_EQ(lifecycle_->stage(), BrokerLifecycle::Stage::kRegistering);
  controller_.register_error = 0;
  scheduler_.RunForMs(300);
  EXPECT_EQ(lifecycle_->stage(), BrokerLifecycle::Stage::kStarting);
  // Nothing was accepted before: the last attempt still says that bytes may be lost.
  EXPECT_EQ(controller_.registrations.back().damaged_size(), 1);
}

TEST_F(BrokerLifecycleTest, GivesUpWhenTheControllersAreOfAnotherCluster) {
  controller_.register_error = static_cast<int>(kafka::ErrorCode::kInconsistentClusterId);
  Start();
  scheduler_.RunForMs(1000);
  EXPECT_EQ(refusals_.size(), 1U);
  EXPECT_EQ(controller_.registrations.size(), 1U);
  // A stop finds nothing to wait for.
  bool done = false;
  lifecycle_->BeginShutdown([&](bool) { done = true; });
  scheduler_.RunForMs(10);
  EXPECT_TRUE(done);
}

TEST_F(BrokerLifecycleTest, OnceInServiceItIsNotSentAwayByAnotherCluster) {
  BringIntoService();
  controller_.register_error = static_cast<int>(kafka::ErrorCode::kInconsistentClusterId);
  controller_.heartbeat_error = static_cast<int>(kafka::ErrorCode::kStaleBrokerEpoch);
  scheduler_.RunForMs(1000);
  EXPECT_TRUE(refusals_.empty());
  EXPECT_GE(controller_.registrations.size(), 3U);
}

class UnknownEpochTest : public BrokerLifecycleTest,
                         public ::testing::WithParamInterface<kafka::ErrorCode> {};

TEST_P(UnknownEpochTest, RegistersAgain) {
  BringIntoService();
  controller_.heartbeat_error = static_cast<int>(GetParam());
  controller_.next_epoch = 20;
  scheduler_.RunForMs(110);
  ASSERT_EQ(controller_.registrations.size(), 2U);
  EXPECT_EQ(controller_.registrations[1].damaged_size(), 0);
  EXPECT_EQ(controller_.registrations[1].previous_broker_epoch(), 7);
  EXPECT_EQ(state_.broker_epoch, 20);
  EXPECT_TRUE(state_.fenced);
  EXPECT_FALSE(controller_.heartbeats.back().ready());
  Apply(20);
  scheduler_.RunForMs(200);
  EXPECT_FALSE(state_.fenced);
}

INSTANTIATE_TEST_SUITE_P(Errors, UnknownEpochTest,
                         ::testing::Values(kafka::ErrorCode::kStaleBrokerEpoch,
                                           kafka::ErrorCode::kBrokerIdNotRegistered));

TEST_F(BrokerLifecycleTest, ShutdownWaitsUntilTheLeadersAreMoved) {
  BringIntoService();
  std::optional<bool> moved;
  EXPECT_FALSE(state_.leaving);
  lifecycle_->BeginShutdown([&](bool m) { moved = m; });
  scheduler_.RunForMs(300);
  EXPECT_TRUE(state_.leaving) << "before the controllers are asked";
  EXPECT_TRUE(controller_.heartbeats.back().want_shutdown());
  EXPECT_EQ(moved, std::nullopt);
  controller_.heartbeat_answer.set_may_shut_down(true);
  scheduler_.RunForMs(200);
  EXPECT_EQ(moved, true);
  const size_t before = controller_.heartbeats.size();
  scheduler_.RunForMs(1000);
  EXPECT_EQ(controller_.heartbeats.size(), before);
}

TEST_F(BrokerLifecycleTest, ShutdownDoesNotWaitForEver) {
  BringIntoService();
  std::optional<bool> moved;
  lifecycle_->BeginShutdown([&](bool m) { moved = m; });
  scheduler_.RunForMs(4900);
  EXPECT_EQ(moved, std::nullopt);
  scheduler_.RunForMs(200);
  EXPECT_EQ(moved, false);
}

TEST_F(BrokerLifecycleTest, ShutdownGivesUpSoonWhenNoControllerIsLeft) {
  BringIntoService();
  controller_.reachable = false;
  std::optional<bool> moved;
  lifecycle_->BeginShutdown([&](bool m) { moved = m; });
  scheduler_.RunForMs(1500);
  EXPECT_EQ(moved, false);
}

TEST_F(BrokerLifecycleTest, ShutdownBeforeTheRegistrationEndsAtOnce) {
  controller_.reachable = false;
  Start();
  std::optional<bool> moved;
  lifecycle_->BeginShutdown([&](bool m) { moved = m; });
  scheduler_.RunForMs(10);
  EXPECT_EQ(moved, false);
}

TEST_F(BrokerLifecycleTest, ARegistrationIsOpenUntilItsAnswerCame) {
  BringIntoService();
  EXPECT_FALSE(lifecycle_->registration_open());
  controller_.heartbeat_error = static_cast<int>(kafka::ErrorCode::kStaleBrokerEpoch);
  controller_.next_epoch = 20;
  controller_.delay_ms = 50;
  ASSERT_TRUE(scheduler_.RunUntil([&] { return controller_.registrations.size() == 2; }, 1000));
  EXPECT_TRUE(lifecycle_->registration_open());
  lifecycle_->BeginShutdown([](bool) {});
  scheduler_.RunForMs(100);
  EXPECT_EQ(state_.broker_epoch, 7) << "the answer came too late to be taken";
  EXPECT_TRUE(lifecycle_->registration_open());
}

TEST_F(BrokerLifecycleTest, NothingRunsAfterStop) {
  BringIntoService();
  lifecycle_.reset();
  const size_t before = controller_.heartbeats.size();
  scheduler_.RunForMs(1000);
  EXPECT_EQ(controller_.heartbeats.size(), before);
  Apply(9);
}

TEST_F(BrokerLifecycleTest, TellsOfItsLogDirectories) {
  const auto id = [](char c) { return std::string(16, c); };
  for (const char c : {'a', 'b', 'c'}) {
    directories_.push_back(std::make_shared<storage::DirectoryState>(std::string("/") + c));
    directories_.back()->Identify(Uuid::FromBytes(id(c)));
  }
  directories_[0]->PutOnline({.clean = true, .broker_epoch = 5, .kept_epoch = 5});
  directories_[1]->PutOnline({});
  directories_[2]->PutOffline(Status::IoError("cannot be opened"));
  BringIntoService();
  const controller::RegisterBrokerRequest& first = controller_.registrations[0];
  ASSERT_EQ(first.broker().log_dirs_size(), 2);
  EXPECT_EQ(first.broker().log_dirs(1), id('b'));
  ASSERT_EQ(first.directories_size(), 2);
  EXPECT_EQ(first.directories(0).id(), id('a'));
  EXPECT_EQ(first.directories(0).previous_broker_epoch(), 5);
  EXPECT_EQ(first.directories(1).previous_broker_epoch(), -1);
  EXPECT_EQ(first.directories(0).kept_broker_epoch(), 5);
  EXPECT_FALSE(first.directories(1).has_kept_broker_epoch()) << "an older version's";
  // One fails: the next heartbeat says so, and a new registration leaves it out.
  directories_[1]->PutOffline(Status::IoError("EIO"));
  scheduler_.RunForMs(200);
  const controller::HeartbeatRequest& beat = controller_.heartbeats.back();
  EXPECT_EQ(std::count(beat.offline_log_dirs().begin(), beat.offline_log_dirs().end(), id('b')), 1);
  controller_.heartbeat_error = static_cast<int>(kafka::ErrorCode::kStaleBrokerEpoch);
  scheduler_.RunForMs(300);
  ASSERT_EQ(controller_.registrations.size(), 2U);
  const controller::RegisterBrokerRequest& again = controller_.registrations[1];
  ASSERT_EQ(again.broker().log_dirs_size(), 1);
  EXPECT_EQ(again.broker().log_dirs(0), id('a'));
  EXPECT_EQ(again.directories(0).previous_broker_epoch(), 7) << "this process lost nothing";
  EXPECT_FALSE(again.directories(0).has_kept_broker_epoch());
}

TEST_F(BrokerLifecycleTest, TellsOfAFullDiskWithEachHeartbeatUntilItHasRoom) {
  only_disk_ = std::make_shared<storage::DirectoryState>("/a");
  only_disk_->Identify(Uuid::FromBytes(std::string(16, 'a')));
  only_disk_->PutOnline({});
  const storage::SpaceMarks marks{.soft_bytes = 500, .hard_bytes = 100};
  only_disk_->SetSpace({.total_bytes = 10'000, .free_bytes = 300}, marks);
  BringIntoService();
  EXPECT_EQ(controller_.heartbeats.back().full_log_dirs_size(), 0);
  EXPECT_EQ(controller_.registrations[0].directories_size(), 0) << "it has no other";
  // At once, not with the next look at the file system.
  only_disk_->NoteWritten(250);
  for (int beat = 0; beat < 3; ++beat) {
    scheduler_.RunForMs(100);
    ASSERT_EQ(controller_.heartbeats.back().full_log_dirs_size(), 1);
    EXPECT_EQ(controller_.heartbeats.back().full_log_dirs(0), std::string(16, 'a'));
  }
  // A little above the mark it would be full again at once.
  only_disk_->SetSpace({.total_bytes = 10'000, .free_bytes = 199}, marks);
  EXPECT_EQ(only_disk_->level(), storage::SpaceLevel::kLow);
  scheduler_.RunForMs(100);
  EXPECT_EQ(controller_.heartbeats.back().full_log_dirs_size(), 1);
  only_disk_->SetSpace({.total_bytes = 10'000, .free_bytes = 200}, marks);
  scheduler_.RunForMs(100);
  EXPECT_EQ(controller_.heartbeats.back().full_log_dirs_size(), 0);
  // One that is offline is told of as that.
  only_disk_->SetSpace({.total_bytes = 10'000, .free_bytes = 10}, marks);
  only_disk_->PutOffline(Status::IoError("EIO"));
  scheduler_.RunForMs(100);
  EXPECT_EQ(controller_.heartbeats.back().full_log_dirs_size(), 0);
}

TEST_F(BrokerLifecycleTest, IsReadyOnlyWhenItsDirectoriesHoldItsEpoch) {
  disks_write_ = false;
  Start();
  scheduler_.RunForMs(10);
  Apply(7);
  scheduler_.RunForMs(500);
  EXPECT_EQ(kept_, std::vector<int64_t>{7});
  EXPECT_FALSE(controller_.heartbeats.back().ready());
  EXPECT_EQ(lifecycle_->stage(), BrokerLifecycle::Stage::kStarting);
  disks_wait_.back()();
  scheduler_.RunForMs(10);
  EXPECT_TRUE(controller_.heartbeats.back().ready()) << "at once";
  // And again, when it is registered again.
  controller_.next_epoch = 9;
  controller_.heartbeat_error = static_cast<int>(kafka::ErrorCode::kStaleBrokerEpoch);
  scheduler_.RunForMs(300);
  Apply(9);
  scheduler_.RunForMs(300);
  EXPECT_EQ(kept_, (std::vector<int64_t>{7, 9}));
  EXPECT_FALSE(controller_.heartbeats.back().ready());
  disks_wait_.back()();
  scheduler_.RunForMs(10);
  EXPECT_TRUE(controller_.heartbeats.back().ready());
}

}  // namespace
}  // namespace sluice::broker
