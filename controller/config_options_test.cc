#include "controller/config_options.h"

#include <gtest/gtest.h>

namespace sluice::controller {
namespace {

metadata::ServerConfig Loaded(const std::string& more) {
  const auto loaded = metadata::LoadServerConfig(
      {.file_name = "server.properties",
       .file_text = "node.id=1\nlog.dirs=/data\nprocess.roles=broker,controller\n"
                    "controller.quorum.voters=1@localhost:9093\n"
                    "controller.listener.names=CONTROLLER\n"
                    "listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n" +
                    more});
  CHECK(loaded.ok()) << loaded.status().ToString();
  return loaded->config;
}

// The struct's own defaults are what most tests run with.
TEST(ConfigOptionsTest, TheDefaultsOfTheKeysAreThoseOfTheParts) {
  const metadata::ServerConfig config = Loaded("");
  const ControllerOptions options = ToControllerOptions(config, "cluster", Random(1));
  const BrokerManagerOptions own;
  EXPECT_EQ(options.brokers.session_timeout_ms, own.session_timeout_ms);
  EXPECT_EQ(options.brokers.refused_grace_ms, own.refused_grace_ms);
  EXPECT_EQ(options.brokers.silence_before_dial_ms, own.silence_before_dial_ms);
  EXPECT_EQ(options.brokers.takeover_before_dial_ms, own.takeover_before_dial_ms);
  EXPECT_EQ(options.brokers.dial_interval_ms, own.dial_interval_ms);
  EXPECT_EQ(options.brokers.dial_timeout_ms, own.dial_timeout_ms);
  EXPECT_EQ(options.brokers.fence_brake_percent, own.fence_brake_percent);
  const raft::RaftConfig raft = ToRaftConfig(config), raft_own;
  EXPECT_EQ(raft.heartbeat_ms, raft_own.heartbeat_ms);
  EXPECT_EQ(raft.election_timeout_ms_min, raft_own.election_timeout_ms_min);
  EXPECT_EQ(raft.election_timeout_ms_max, raft_own.election_timeout_ms_max);
  EXPECT_EQ(raft.leader_lost_timeout_ms_min, raft_own.leader_lost_timeout_ms_min);
  EXPECT_EQ(raft.leader_lost_timeout_ms_max, raft_own.leader_lost_timeout_ms_max);
  EXPECT_EQ(raft.transfer_timeout_ms, raft_own.transfer_timeout_ms);
}

TEST(ConfigOptionsTest, EachNumberOfAFailoverIsTaken) {
  const metadata::ServerConfig config = Loaded(
      "broker.session.timeout.ms=9001\nbroker.refused.grace.ms=3002\nbroker.dial.silence.ms=3003\n"
      "broker.dial.takeover.ms=3004\nbroker.dial.interval.ms=3005\nbroker.dial.timeout.ms=3006\n"
      "broker.fence.brake.percent=97\ncontroller.quorum.confirm.interval.ms=3008\n"
      "controller.quorum.leader.lost.timeout.ms=3009\ncontroller.quorum.election.timeout.ms="
      "7000\n");
  const ControllerOptions options = ToControllerOptions(config, "cluster", Random(1));
  EXPECT_EQ(options.brokers.session_timeout_ms, 9001);
  EXPECT_EQ(options.brokers.refused_grace_ms, 3002);
  EXPECT_EQ(options.brokers.silence_before_dial_ms, 3003);
  EXPECT_EQ(options.brokers.takeover_before_dial_ms, 3004);
  EXPECT_EQ(options.brokers.dial_interval_ms, 3005);
  EXPECT_EQ(options.brokers.dial_timeout_ms, 3006);
  EXPECT_EQ(options.brokers.fence_brake_percent, 97);
  EXPECT_EQ(options.confirm_interval_ms, 3008);
  const raft::RaftConfig raft = ToRaftConfig(config);
  EXPECT_EQ(raft.leader_lost_timeout_ms_min, 3009);
  EXPECT_EQ(raft.leader_lost_timeout_ms_max, 9027);
}

}  // namespace
}  // namespace sluice::controller
