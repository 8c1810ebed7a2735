// A short run with a crash and a snapshot, line by line: each is JSON of the agreed form, and the
// lines make a story.
#include "raft/testing/json_trace.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "raft/testing/lean_cluster.h"

namespace sluice::raft::testing {
namespace {

std::string RunTraced() {
  std::ostringstream out;
  JsonTrace trace(out);
  LeanCluster cluster({.voters = 3, .config = {.snapshot_chunk_bytes = 4}}, 3);
  cluster.set_trace(&trace);
  for (const NodeId id : cluster.ids()) cluster.Start(id);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 5'000));
  const NodeId first = cluster.leader();
  cluster.Crash(first);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 5'000));
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 5; ++n) cluster.Propose(cluster.leader(), "a write");
    cluster.RunForMs(100);
    cluster.TakeSnapshot(cluster.leader());
    cluster.RunForMs(100);
  }
  cluster.Start(first);
  cluster.RunForMs(1'000);
  EXPECT_EQ(cluster.invariants().breach(), "");
  return out.str();
}

TEST(JsonTrace, EachLineIsAnEventOfTheAgreedForm) {
  const std::regex line_form(
      R"re(\{"name":"([A-Za-z]+)","nid":"([1-3])","state":\{"term":\d+,"vote":"[0-3]","commit":(\d+)\},)re"
      R"re("role":"State(Follower|PreCandidate|Candidate|Leader)","log":\d+,"conf":\[\["1","2","3"\],\[\]\])re"
      R"re((,"msg":\{"type":"(Msg[A-Za-z]+)","term":\d+,"from":"[1-3]","to":"[1-3]","entries":\d+,"logTerm":\d+,)re"
      R"re("index":\d+,"commit":\d+,"vote":"0","reject":(true|false),"rejectHint":\d+\})?\})re");
  std::istringstream lines(RunTraced());
  std::set<std::string> names;
  std::set<std::string> types;
  std::map<std::string, long> commits;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    ASSERT_TRUE(std::regex_match(line, match, line_form)) << line;
    const std::string name = match[1];
    names.insert(name);
    if (match[6].matched) types.insert(match[6]);
    EXPECT_EQ(match[6].matched, name.starts_with("Send") || name.starts_with("Receive")) << line;
    // Within an incarnation it does not fall.
    const long commit = std::stol(match[3]);
    EXPECT_TRUE(name == "InitState" || commit >= commits[match[2]]) << line;
    commits[match[2]] = commit;
  }
  EXPECT_EQ(
      names,
      (std::set<std::string>{
          "InitState", "BecomeCandidate", "BecomeFollower", "BecomeLeader", "Commit", "Replicate",
          "Ready", "SendAppendEntriesRequest", "ReceiveAppendEntriesRequest",
          "SendAppendEntriesResponse", "ReceiveAppendEntriesResponse", "SendRequestVoteRequest",
          "ReceiveRequestVoteRequest", "SendRequestVoteResponse", "ReceiveRequestVoteResponse"}));
  EXPECT_EQ(types,
            (std::set<std::string>{"MsgApp", "MsgAppResp", "MsgHeartbeat", "MsgHeartbeatResp",
                                   "MsgSnap", "MsgVote", "MsgVoteResp"}));
}

TEST(JsonTrace, WhatIsReceivedWasSent) {
  std::istringstream lines(RunTraced());
  std::map<std::string, int> under_way;
  size_t received = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t at = line.find("\"msg\":");
    if (at == std::string::npos) continue;
    const std::string message = line.substr(at);
    if (line.starts_with("{\"name\":\"Send")) {
      ++under_way[message];
    } else {
      ASSERT_GT(under_way[message]--, 0) << line;
      ++received;
    }
  }
  EXPECT_GT(received, 50U);
}

TEST(JsonTrace, AChangeOfMembersIsTold) {
  std::ostringstream out;
  JsonTrace trace(out);
  LeanCluster cluster({.voters = 3}, 3);
  cluster.set_trace(&trace);
  for (const NodeId id : cluster.ids()) cluster.Start(id);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.settled(); }, 5'000));
  NodeId leaves = cluster.ids().front();
  if (leaves == cluster.leader()) leaves = cluster.ids().back();
  cluster.RunForMs(500);
  cluster.ChangeMember(cluster.leader(), {.kind = MemberChange::Kind::kRemove,
                                          .member = {cluster.voter(leaves), ""}});
  cluster.RunForMs(500);
  const std::string text = out.str();
  EXPECT_NE(text.find("\"name\":\"ChangeConf\""), std::string::npos);
  EXPECT_NE(text.find("\"changes\":[{\"nid\":\"" + std::to_string(leaves.value()) +
                      "\",\"action\":\"RemoveServer\"}]"),
            std::string::npos);
  EXPECT_NE(text.find("\"name\":\"ApplyConfChange\""), std::string::npos);
}

}  // namespace
}  // namespace sluice::raft::testing
