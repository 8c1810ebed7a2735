#include "cli/raft_metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

namespace sluice::cli {
namespace {

std::string Page(const raft::DriverStatus& status, const RaftTraffic& traffic = {}) {
  admin::MetricsText text;
  WriteRaftMetrics(status, traffic, text);
  return text.Take();
}

bool Has(const std::string& page, const std::string& line) {
  return ("\n" + page).find("\n" + line + "\n") != std::string::npos;
}

raft::DriverStatus Leading() {
  raft::DriverStatus status{.role = raft::Role::kLeader,
                            .term = Term(4),
                            .leader = NodeId(1),
                            .last_index = LogIndex(90),
                            .commit = LogIndex(80),
                            .applied = LogIndex(75)};
  status.voters = {{.voter = {NodeId(1), Uuid()}, .match = LogIndex(90), .last_heard_ms = 0},
                   {.voter = {NodeId(2), Uuid()},
                    .match = LogIndex(85),
                    .last_heard_ms = 3,
                    .round_trip_micros = 250},
                   {.voter = {NodeId(3), Uuid()}, .match = LogIndex(-1), .last_heard_ms = 400}};
  status.learners = {{.voter = {NodeId(4), Uuid()}, .match = LogIndex(50), .last_heard_ms = 1}};
  return status;
}

TEST(RaftMetricsTest, ALeaderTellsHowFarEverybodyIs) {
  const std::string page = Page(Leading(), {{{NodeId(3), 12}, {kNoNode, 2}}, 5});
  EXPECT_TRUE(Has(page, "sluice_raft_streams_paused_total 5"));
  EXPECT_TRUE(Has(page, "sluice_raft_role{role=\"leader\"} 1"));
  EXPECT_TRUE(Has(page, "sluice_raft_role{role=\"follower\"} 0"));
  EXPECT_TRUE(Has(page, "sluice_raft_term 4"));
  EXPECT_TRUE(Has(page, "sluice_raft_commit_lag 10"));
  EXPECT_TRUE(Has(page, "sluice_raft_apply_lag 5"));
  EXPECT_TRUE(Has(page, "sluice_raft_peer_lag{peer=\"2\"} 5"));
  EXPECT_TRUE(Has(page, "sluice_raft_peer_lag{peer=\"3\"} 91"));
  EXPECT_TRUE(Has(page, "sluice_raft_peer_lag{peer=\"4\"} 40"));
  EXPECT_TRUE(Has(page, "sluice_raft_peer_round_trip_seconds{peer=\"2\"} 0.00025"));
  EXPECT_EQ(page.find("sluice_raft_peer_round_trip_seconds{peer=\"3\"}"), std::string::npos);
  EXPECT_EQ(page.find("peer=\"1\""), std::string::npos) << "itself";
  EXPECT_TRUE(Has(page, "sluice_raft_messages_dropped_total{peer=\"3\"} 12"));
  EXPECT_TRUE(Has(page, "sluice_raft_messages_dropped_total{peer=\"unknown\"} 2"));
}

TEST(RaftMetricsTest, WhoHasNoVoteTellsWhy) {
  raft::DriverStatus status;
  status.inquiring = true;
  const std::string page = Page(status);
  EXPECT_TRUE(Has(page, "sluice_raft_voteless{reason=\"disk_as_formatted\"} 1"));
  EXPECT_TRUE(Has(page, "sluice_raft_voteless{reason=\"entries_lost\"} 0"));
}

TEST(RaftMetricsTest, AFollowerKnowsNothingOfTheOthers) {
  raft::DriverStatus status = Leading();
  status.role = raft::Role::kFollower;
  status.leader = NodeId(2);
  const std::string page = Page(status);
  EXPECT_TRUE(Has(page, "sluice_raft_role{role=\"leader\"} 0"));
  EXPECT_EQ(page.find("peer=\""), std::string::npos);
}

TEST(RaftMetricsTest, EachCountHasItsCauseOrReason) {
  raft::DriverStatus status;
  raft::Metrics& counts = status.counts;
  counts = {.pre_votes_started = 9,
            .elections_won = 2,
            .elections_by_timeout = 3,
            .elections_by_lost_leader = 4,
            .elections_by_transfer = 5,
            .resignations = 6,
            .votes_refused_sticky = 11,
            .votes_refused_log = 12,
            .votes_refused_given = 13,
            .votes_refused_term = 14,
            .votes_refused_lost = 19,
            .appends_refused = 15,
            .entries_truncated = 16,
            .snapshots_sent = 17,
            .snapshots_installed = 18,
            .proposals_refused_not_leading = 21,
            .proposals_refused_too_large = 22,
            .proposals_refused_backlog = 23,
            .changes_refused = 24,
            .reads_confirmed = 31};
  counts.refused[static_cast<size_t>(raft::Refusal::kOtherDisk)] = 41;
  counts.refused[static_cast<size_t>(raft::Refusal::kUnreadable)] = 42;
  status.reads_refused = 32;
  const std::string page = Page(status);
  for (const char* line : {"pre_votes_started_total 9",
                           "elections_won_total 2",
                           "elections_started_total{cause=\"timeout\"} 3",
                           "elections_started_total{cause=\"lost_leader\"} 4",
                           "elections_started_total{cause=\"transfer\"} 5",
                           "resignations_total 6",
                           "votes_refused_total{reason=\"leader_heard\"} 11",
                           "votes_refused_total{reason=\"log_behind\"} 12",
                           "votes_refused_total{reason=\"vote_given\"} 13",
                           "votes_refused_total{reason=\"term_over\"} 14",
                           "votes_refused_total{reason=\"entries_lost\"} 19",
                           "appends_refused_total 15",
                           "entries_truncated_total 16",
                           "snapshots_sent_total 17",
                           "snapshots_installed_total 18",
                           "proposals_refused_total{reason=\"not_leading\"} 21",
                           "proposals_refused_total{reason=\"too_large\"} 22",
                           "proposals_refused_total{reason=\"backlog\"} 23",
                           "proposals_refused_total{reason=\"members\"} 24",
                           "reads_confirmed_total 31",
                           "reads_refused_total 32",
                           "messages_refused_total{reason=\"cluster\"} 0",
                           "messages_refused_total{reason=\"other_disk\"} 41",
                           "messages_refused_total{reason=\"unreadable\"} 42"})
    EXPECT_TRUE(Has(page, std::string("sluice_raft_") + line)) << line << "\n" << page;
}

TEST(RaftMetricsTest, EachFamilyHasItsHelpOnceAndEachReasonItsName) {
  std::istringstream lines(Page(Leading()));
  std::set<std::string> families;
  std::set<std::string> series;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << family;
      EXPECT_GT(line.size(), 8 + family.size()) << "no help for " << family;
    } else if (!line.starts_with("#")) {
      const std::string name = line.substr(0, line.find(' '));
      EXPECT_EQ(name.substr(0, name.find('{')), family);
      EXPECT_TRUE(series.insert(name).second) << name << " twice";
      EXPECT_EQ(line.find("\"\""), std::string::npos) << line;
    }
  }
  EXPECT_GE(families.size(), 20U);
}

}  // namespace
}  // namespace sluice::cli
