// The mode `fill` of bench_groups: workers, each with a connection for each member of the group
// that it makes; a group after the other, many workers at a time, for a group waits before its
// first generation. The server's group.initial.rebalance.delay.ms must be long enough for all
// members to come.
#include <cstdio>

#include "bench/groups/group_load.h"
#include "kafka/consumer_protocol.h"
#include "kafka/messages/join_group.h"
#include "kafka/messages/offset_commit.h"
#include "kafka/messages/sync_group.h"

namespace sluice::bench {
namespace {

constexpr int16_t kJoinVersion = 3;
constexpr int16_t kSyncVersion = 2;
constexpr int16_t kCommitVersion = 8;
constexpr size_t kWorkers = 200;
// Nobody sends heartbeats here.
constexpr int32_t kSessionMs = 1800000;
constexpr int32_t kRebalanceMs = 60000;

class Filler {
 public:
  explicit Filler(const FillLoad& load) : load_(load) {
    const std::string address = FindCoordinators(client_, load.bootstrap, {GroupName(0)})[0];
    workers_.resize(std::min<size_t>(kWorkers, static_cast<size_t>(load.groups)));
    for (Worker& worker : workers_) {
      worker.members.resize(static_cast<size_t>(std::max<int64_t>(1, load.members)));
      for (Member& member : worker.members) member.connection = client_.Connect(address);
    }
    kafka::ConsumerProtocolSubscription subscription;
    subscription.topics = {load.topic};
    subscription_ = *kafka::EncodeConsumerSubscription(subscription, 1);
  }

  int Run() {
    const SteadyTime start = Now();
    for (Worker& worker : workers_) Begin(worker);
    while (made_ < load_.groups) client_.Poll(100);
    std::printf(
        "{\"groups\": %lld, \"members\": %lld, \"offsets\": %lld, \"seconds\": %.1f}\n",
        static_cast<long long>(load_.groups), static_cast<long long>(load_.groups * load_.members),
        static_cast<long long>(load_.groups * load_.offsets), MsBetween(start, Now()) / 1000);
    return 0;
  }

 private:
  struct Member {
    WireClient::ConnectionId connection = 0;
    kafka::JoinGroupResponse joined;
  };
  struct Worker {
    std::string group;
    std::vector<Member> members;
    size_t waiting = 0;  // for the answers of so many
  };

  void Begin(Worker& worker) {
    if (begun_ == load_.groups) return;
    worker.group = GroupName(begun_++);
    if (load_.members == 0) return Commit(worker);
    kafka::JoinGroupRequest join;
    join.group_id = worker.group;
    join.session_timeout_ms = kSessionMs;
    join.rebalance_timeout_ms = kRebalanceMs;
    join.protocol_type = kafka::kConsumerProtocolType;
    join.protocols.emplace_back();
    join.protocols[0].name = "range";
    join.protocols[0].metadata = subscription_;
    worker.waiting = worker.members.size();
    for (Member& member : worker.members) {
      client_.Ask<kafka::JoinGroupResponse>(member.connection, join, kJoinVersion,
                                            [this, &worker, &member](kafka::JoinGroupResponse r) {
                                              Require(r.error_code == 0, "a join was refused");
                                              member.joined = std::move(r);
                                              if (--worker.waiting == 0) Sync(worker);
                                            });
    }
  }

  void Sync(Worker& worker) {
    std::vector<kafka::SyncGroupRequest::SyncGroupRequestAssignment> assignments;
    int32_t partition = 0;
    for (const Member& member : worker.members) {
      Require(member.joined.generation_id == 1, "the members have not come together");
      auto& assignment = assignments.emplace_back();
      assignment.member_id = member.joined.member_id;
      kafka::ConsumerProtocolAssignment assigned;
      auto& topic = assigned.assigned_partitions.emplace_back();
      topic.topic = load_.topic;
      for (int i = 0; i < 10; ++i) topic.partitions.push_back(partition++);
      assignment.assignment = *kafka::EncodeConsumerAssignment(assigned, 1);
    }
    worker.waiting = worker.members.size();
    for (const Member& member : worker.members) {
      kafka::SyncGroupRequest sync;
      sync.group_id = worker.group;
      sync.generation_id = member.joined.generation_id;
      sync.member_id = member.joined.member_id;
      if (member.joined.leader == member.joined.member_id) sync.assignments = assignments;
      client_.Ask<kafka::SyncGroupResponse>(member.connection, sync, kSyncVersion,
                                            [this, &worker](const kafka::SyncGroupResponse& r) {
                                              Require(r.error_code == 0, "a sync was refused");
                                              if (--worker.waiting == 0) Commit(worker);
                                            });
    }
  }

  void Commit(Worker& worker) {
    const Member& member = worker.members[0];
    kafka::OffsetCommitRequest commit;
    commit.group_id = worker.group;
    commit.member_id = member.joined.member_id;
    commit.generation_id_or_member_epoch = load_.members == 0 ? -1 : member.joined.generation_id;
    auto& topic = commit.topics.emplace_back();
    topic.name = load_.topic;
    topic.partitions.resize(static_cast<size_t>(load_.offsets));
    for (int32_t i = 0; i < load_.offsets; ++i) {
      topic.partitions[static_cast<size_t>(i)].partition_index = i;
      topic.partitions[static_cast<size_t>(i)].committed_offset = 1000000 + i;
    }
    client_.Ask<kafka::OffsetCommitResponse>(
        member.connection, commit, kCommitVersion,
        [this, &worker](const kafka::OffsetCommitResponse& response) {
          for (const auto& partition : response.topics.at(0).partitions)
            Require(partition.error_code == 0, "a commit was refused");
          ++made_;
          Begin(worker);
        });
  }

  const FillLoad load_;
  WireClient client_;
  std::deque<Worker> workers_;
  std::string subscription_;
  int64_t begun_ = 0;
  int64_t made_ = 0;
};

}  // namespace

int RunFill(const FillLoad& load) { return Filler(load).Run(); }

}  // namespace sluice::bench
