// The driver alone: a node of one voter, or one that is cut off from its others.
#include "raft/driver.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "base/testing/log_catcher.h"
#include "base/testing/sim_event_loop.h"
#include "raft/testing/hand_fed.h"
#include "raft/testing/sim_log_store.h"

namespace sluice::raft::testing {
namespace {

class NullTransport final : public Transport {
 public:
  void Send(NodeId, Message) override {}
  void SetPeers(const std::vector<Member>&) override {}
};

class NullStateMachine final : public StateMachine {
 public:
  void Apply(const std::vector<Entry>&) override {}
  std::string TakeSnapshot() override { return ""; }
  void LoadSnapshot(const SnapshotMeta&, std::string_view) override {}
  void OnRoleChange(Role, Term, NodeId) override {}
  void OnLeaderReady(Term) override {}
};

// Keeps its tasks until it is told to run them.
class HeldLoop final : public EventLoop {
 public:
  explicit HeldLoop(EventLoop& clock_of) : clock_of_(clock_of) {}
  void Post(Task task) override { tasks.push_back(std::move(task)); }
  TimerId RunAfter(int64_t, Task) override { return 0; }
  void Cancel(TimerId) override {}
  bool InLoopThread() const override { return true; }
  const Clock& clock() const override { return clock_of_.clock(); }
  void RunAll() {
    for (Task& task : std::exchange(tasks, {})) task();
  }
  std::vector<Task> tasks;

 private:
  EventLoop& clock_of_;
};

class DriverTest : public ::testing::Test {
 protected:
  void Open(const std::vector<VoterId>& voters) {
    disk_.entries = {BootstrapEntry({kClusterId, voters, ""})};
    store_ = std::make_unique<SimLogStore>(disk_, loop_, Random(1), SimDiskLatency{1, 1});
    driver_ = std::make_unique<Driver>(DriverOptions{.config = {.inquire = false},
                                                     .cluster_id = kClusterId,
                                                     .self = Voter(1),
                                                     .random = Random(1)},
                                       DriverParts{.loop = loop_,
                                                   .log = *store_,
                                                   .transport = wires_,
                                                   .state_machine = state_,
                                                   .background = background_});
  }
  bool Lead() {
    driver_->Start();
    return scheduler_.RunUntil([this] { return driver_->status().leader_ready; }, 5000);
  }
  StatusCode Members(std::deque<Entry> entries, const std::string& cluster_id = kClusterId) {
    SimDisk disk;
    disk.entries = std::move(entries);
    const SimLogStore store(disk, loop_, Random(1), SimDiskLatency{});
    return MembersOf(store, cluster_id).status().code();
  }
  // What the driver tells: nothing yet, or the outcome.
  using Told = std::optional<StatusCode>;
  static auto Tell(Told& told) {
    return [&told](const Result<LogIndex>& outcome) { told = outcome.status().code(); };
  }

  ::sluice::testing::SimScheduler scheduler_;
  ::sluice::testing::SimEventLoop loop_{scheduler_};
  NullTransport wires_;
  NullStateMachine state_;
  EventLoop* background_ = nullptr;
  SimDisk disk_;
  std::unique_ptr<SimLogStore> store_;
  std::unique_ptr<Driver> driver_;
};

TEST_F(DriverTest, ALogThatIsNotThisClustersIsTold) {
  EXPECT_EQ(Members({HandFed::FirstEntry()}), StatusCode::kOk);
  EXPECT_EQ(Members({HandFed::FirstEntry()}, "another"), StatusCode::kInvalidArgument);
  EXPECT_EQ(Members({}), StatusCode::kNotFound);
  EXPECT_EQ(Members({Normal(0, 0)}), StatusCode::kCorruption);
}

// A leader whose disk cannot give back what it holds must not go on.
TEST_F(DriverTest, ASnapshotThatCannotBeReadIsAFailureOfTheDisk) {
  Open({Voter(1), Voter(2)});
  driver_->Start();
  const auto answer = [this](MessageBody body) {
    driver_->Step({kClusterId, Voter(2), NodeId(1), driver_->core().term(), std::move(body)});
    scheduler_.RunForMs(10);
  };
  ASSERT_TRUE(
      scheduler_.RunUntil([this] { return driver_->core().role() == Role::kPreCandidate; }, 5000));
  driver_->Step(
      {kClusterId, Voter(2), NodeId(1), driver_->core().term() + 1,
       VoteResponse{.pre_vote = true, .granted = true, .process = driver_->core().process()}});
  scheduler_.RunForMs(10);
  answer(VoteResponse{.granted = true, .process = driver_->core().process()});
  ASSERT_EQ(driver_->status().role, Role::kLeader);
  answer(AppendResponse{.success = true, .match = LogIndex(1)});
  driver_->TakeSnapshot();
  scheduler_.RunForMs(10);
  for (int64_t i = 2; i < 4; ++i) {
    driver_->Propose("a", [](const Result<LogIndex>&) {});
    scheduler_.RunForMs(10);
    answer(AppendResponse{.success = true, .match = LogIndex(i)});
  }
  driver_->TakeSnapshot();
  scheduler_.RunForMs(10);
  ASSERT_EQ(disk_.first_index, LogIndex(2));
  std::optional<Status> failure;
  driver_->set_on_failure([&failure](Status status) { failure = std::move(status); });
  // It has lost all that it had: only a snapshot helps.
  store_->FailFromNowOn();
  answer(AppendResponse{.prev_index = LogIndex(3), .hint_index = LogIndex(0), .lost = true});
  ASSERT_TRUE(scheduler_.RunUntil([&failure] { return failure.has_value(); }, 1000));
  EXPECT_EQ(failure->code(), StatusCode::kIoError);
  EXPECT_EQ(driver_->status().role, Role::kFollower);
}

TEST_F(DriverTest, ASnapshotWaitsForRoomAndEntriesDoNot) {
  Open({Voter(1)});
  ASSERT_TRUE(Lead());
  store_->set_has_room(false);
  driver_->TakeSnapshot();
  Told proposed;
  driver_->Propose("a", Tell(proposed));
  ASSERT_TRUE(scheduler_.RunUntil([&] { return proposed.has_value(); }, 1000));
  EXPECT_FALSE(disk_.snapshot.has_value());
  store_->set_has_room(true);
  driver_->TakeSnapshot();
  ASSERT_TRUE(scheduler_.RunUntil([&] { return disk_.snapshot.has_value(); }, 1000));
  EXPECT_EQ(disk_.snapshot->meta.index, driver_->status().applied);
}

// Its bytes take their time; meanwhile entries are applied, which it does not have.
TEST_F(DriverTest, ASnapshotMadeInTheBackgroundIsOfTheStateThatItWasAskedFor) {
  HeldLoop background(loop_);
  background_ = &background;
  Open({Voter(1)});
  ASSERT_TRUE(Lead());
  const LogIndex asked_at = driver_->status().applied;
  driver_->TakeSnapshot();
  scheduler_.RunForMs(10);
  driver_->TakeSnapshot();  // one at a time
  Told proposed;
  driver_->Propose("a", Tell(proposed));
  ASSERT_TRUE(scheduler_.RunUntil([&] { return proposed.has_value(); }, 1000));
  ASSERT_GT(driver_->status().applied, asked_at);
  EXPECT_FALSE(disk_.snapshot.has_value());
  ASSERT_EQ(background.tasks.size(), 1U);
  background.RunAll();
  ASSERT_TRUE(scheduler_.RunUntil([&] { return disk_.snapshot.has_value(); }, 1000));
  EXPECT_EQ(disk_.snapshot->meta.index, asked_at);
  // And the next one, asked for meanwhile, is of what came since.
  ASSERT_TRUE(scheduler_.RunUntil([&] { return !background.tasks.empty(); }, 1000));
  background.RunAll();
  ASSERT_TRUE(scheduler_.RunUntil([&] { return disk_.snapshot->meta.index > asked_at; }, 1000));
  // What comes when the driver is gone is nobody's.
  driver_->Propose("b", Tell(proposed));
  driver_->TakeSnapshot();
  ASSERT_TRUE(scheduler_.RunUntil([&] { return !background.tasks.empty(); }, 1000));
  driver_ = nullptr;
  background.RunAll();
  scheduler_.RunForMs(10);
}

TEST_F(DriverTest, BeforeItRunsNothingIsDone) {
  Open({Voter(1)});
  Told proposed, read, changed;
  driver_->Propose("a", Tell(proposed));
  driver_->ReadIndex(Tell(read));
  driver_->ChangeMember({MemberChange::Kind::kAddLearner, {Voter(2), "there"}}, Tell(changed));
  EXPECT_EQ(proposed, StatusCode::kUnavailable);
  EXPECT_EQ(read, StatusCode::kUnavailable);
  EXPECT_EQ(changed, StatusCode::kUnavailable);
  EXPECT_EQ(driver_->TransferLeadership(kNoNode).code(), StatusCode::kUnavailable);
  driver_->PeerLost(NodeId(2), true);
  driver_->Step({kClusterId, Voter(2), NodeId(1), Term(9), HeartbeatRequest{}});
  EXPECT_EQ(driver_->status().term, Term(0));
}

// Whoever waits is told, once, and nothing more is done.
TEST_F(DriverTest, AFailedDiskIsToldToAllWhoWait) {
  Open({Voter(1)});
  ASSERT_TRUE(Lead());
  int failures = 0;
  driver_->set_on_failure([&failures](const Status&) { ++failures; });
  store_->FailFromNowOn();
  Told proposed, read, late, late_read, late_change;
  driver_->Propose("a", Tell(proposed));
  // Covers a write that this node does not apply any more.
  driver_->ReadIndex(Tell(read));
  EXPECT_TRUE(scheduler_.RunUntil([&failures] { return failures == 1; }, 1000));
  EXPECT_EQ(proposed, StatusCode::kUnavailable);
  EXPECT_TRUE(read.has_value());
  driver_->Propose("b", Tell(late));
  driver_->ReadIndex(Tell(late_read));
  driver_->ChangeMember({MemberChange::Kind::kAddLearner, {Voter(2), "there"}}, Tell(late_change));
  EXPECT_EQ(late, StatusCode::kUnavailable);
  EXPECT_EQ(late_read, StatusCode::kUnavailable);
  EXPECT_EQ(late_change, StatusCode::kUnavailable);
  EXPECT_EQ(driver_->TransferLeadership(kNoNode).code(), StatusCode::kUnavailable);
  EXPECT_EQ(driver_->status().role, Role::kFollower);
  scheduler_.RunForMs(5000);
  EXPECT_EQ(failures, 1);
}

// Nobody may count on what such a disk acknowledges next.
TEST_F(DriverTest, AStoreThatFailsBetweenRequestsEndsItOnce) {
  Open({Voter(1)});
  ASSERT_TRUE(Lead());
  int failures = 0;
  driver_->set_on_failure([&failures](const Status&) { ++failures; });
  for (int i = 0; i < 2; ++i) {
    store_->FailBetweenRequests();
    scheduler_.RunForMs(1);
    EXPECT_EQ(failures, 1);
    EXPECT_EQ(driver_->status().role, Role::kFollower);
  }
  store_->FailBetweenRequests();
  driver_.reset();
  scheduler_.RunForMs(1);
  EXPECT_EQ(failures, 1) << "of one that is gone";
}

// A read that no majority confirms any more ends with the lead.
TEST_F(DriverTest, AFailedDiskEndsReadsThatNobodyConfirms) {
  Open({Voter(1), Voter(2)});
  driver_->Start();
  ASSERT_TRUE(
      scheduler_.RunUntil([this] { return driver_->status().role == Role::kPreCandidate; }, 5000));
  driver_->Step(
      {kClusterId, Voter(2), NodeId(1), Term(1),
       VoteResponse{.pre_vote = true, .granted = true, .process = driver_->core().process()}});
  ASSERT_TRUE(
      scheduler_.RunUntil([this] { return driver_->status().role == Role::kCandidate; }, 50));
  driver_->Step({kClusterId, Voter(2), NodeId(1), Term(1),
                 VoteResponse{.granted = true, .process = driver_->core().process()}});
  ASSERT_TRUE(scheduler_.RunUntil([this] { return driver_->status().role == Role::kLeader; }, 50));
  driver_->Step({kClusterId, Voter(2), NodeId(1), Term(1),
                 AppendResponse{.success = true, .match = LogIndex(1)}});
  ASSERT_TRUE(scheduler_.RunUntil([this] { return driver_->status().leader_ready; }, 50));
  Told read, proposed;
  driver_->ReadIndex(Tell(read));
  EXPECT_EQ(read, std::nullopt);
  store_->FailFromNowOn();
  driver_->Propose("a", Tell(proposed));
  EXPECT_TRUE(scheduler_.RunUntil([&read] { return read.has_value(); }, 50));
  EXPECT_EQ(read, StatusCode::kUnavailable);
  EXPECT_EQ(proposed, StatusCode::kUnavailable);
}

// Once for each sender that is a member, and once for all others; metrics count each.
TEST_F(DriverTest, WhatNoMemberSendsIsLoggedOnce) {
  Open({Voter(1), Voter(2), Voter(3)});
  driver_->Start();
  const ::sluice::testing::LogCatcher log;
  for (const int from : {2, 2, 3, 8, 9}) {
    driver_->Step({kClusterId, Voter(from), NodeId(1), Term(-1), HeartbeatResponse{}});
    scheduler_.RunForMs(1);
  }
  EXPECT_EQ(driver_->status().counts.messages_refused(), 5u);
  EXPECT_EQ(log.Count("was dropped"), 3);
}

// A timer's thread that touched Raft's state (the bug's number is Kafka's).
TEST_F(DriverTest, Kafka15100_WhatOtherThreadsTellWaitsForTheLoop) {
  Open({Voter(1), Voter(2)});
  driver_->Start();
  std::thread([this] {
    driver_->Step({kClusterId, Voter(2), NodeId(1), Term(7), HeartbeatRequest{}});
  }).join();
  EXPECT_EQ(driver_->core().term(), Term(0));
  scheduler_.RunForMs(1);
  EXPECT_EQ(driver_->core().leader(), NodeId(2));
  std::thread([this] { driver_->PeerLost(NodeId(2), true); }).join();
  EXPECT_EQ(driver_->core().leader(), NodeId(2));
  scheduler_.RunForMs(1);
  EXPECT_EQ(driver_->core().leader(), kNoNode);
}

TEST_F(DriverTest, WhatOtherThreadsTellOneThatIsGoneIsNotHeard) {
  Open({Voter(1), Voter(2)});
  driver_->Start();
  std::thread([this] {
    driver_->Step({kClusterId, Voter(2), NodeId(1), Term(7), HeartbeatRequest{}});
    driver_->PeerLost(NodeId(2), true);
  }).join();
  driver_.reset();
  scheduler_.RunForMs(1000);
  EXPECT_EQ(disk_.hard_state.term, Term(0));
}

// What its disk and loop still report to one that is gone is not heard.
TEST_F(DriverTest, ItMayGoAtAnyTime) {
  Open({Voter(1)});
  ASSERT_TRUE(Lead());
  Told proposed;
  driver_->Propose("a", Tell(proposed));
  scheduler_.RunForMs(0);
  driver_.reset();  // the write is under way
  scheduler_.RunForMs(5000);
  EXPECT_EQ(proposed, std::nullopt);
  EXPECT_EQ(disk_.entries.back().data, "a") << "the disk went on";
}

}  // namespace
}  // namespace sluice::raft::testing
