// The mode `commit` of bench_groups.
#include <cstdio>

#include "bench/groups/group_load.h"
#include "kafka/messages/offset_commit.h"

namespace sluice::bench {
namespace {

constexpr int16_t kVersion = 8;

class Committers {
 public:
  explicit Committers(const CommitLoad& load) : load_(load) {
    std::vector<std::string> groups;
    for (int64_t i = 0; i < load.groups; ++i) groups.push_back(GroupName(i));
    const std::vector<std::string> addresses = FindCoordinators(client_, load.bootstrap, groups);
    for (size_t i = 0; i < groups.size(); ++i) {
      Committer& committer = committers_.emplace_back();
      committer.connection = client_.Connect(addresses[i]);
      committer.request.group_id = groups[i];
      auto& topic = committer.request.topics.emplace_back();
      topic.name = load.topic;
      topic.partitions.resize(static_cast<size_t>(load.partitions));
      for (int32_t p = 0; p < load.partitions; ++p)
        topic.partitions[static_cast<size_t>(p)].partition_index = p;
    }
  }

  int Run() {
    for (Committer& committer : committers_) {
      for (int64_t i = 0; i < load_.in_flight; ++i) Commit(committer);
    }
    start_ = Now();
    const SteadyTime end = start_ + std::chrono::seconds(load_.seconds);
    while (Now() < end) client_.Poll(10);
    const double seconds = MsBetween(start_, Now()) / 1000;
    std::printf(
        "{\"commits\": %lld, \"seconds\": %.3f, \"refused\": %lld, \"error\": %d, "
        "\"answered_ms\": %s}\n",
        static_cast<long long>(commits_), seconds, static_cast<long long>(refused_), error_,
        Quantiles(std::move(answered_ms_)).c_str());
    return 0;
  }

 private:
  struct Committer {
    WireClient::ConnectionId connection = 0;
    kafka::OffsetCommitRequest request;
    int64_t offset = 0;
  };

  void Commit(Committer& committer) {
    ++committer.offset;
    for (auto& partition : committer.request.topics[0].partitions)
      partition.committed_offset = committer.offset;
    client_.Ask<kafka::OffsetCommitResponse>(
        committer.connection, committer.request, kVersion,
        [this, &committer, sent = Now()](const kafka::OffsetCommitResponse& response) {
          answered_ms_.push_back(MsBetween(sent, Now()));
          const int16_t error = response.topics.at(0).partitions.at(0).error_code;
          if (error != 0) error_ = error;
          ++(error == 0 ? commits_ : refused_);
          Commit(committer);
        });
  }

  const CommitLoad load_;
  WireClient client_;
  std::deque<Committer> committers_;
  SteadyTime start_;
  int64_t commits_ = 0;
  int64_t refused_ = 0;
  int error_ = 0;
  std::vector<double> answered_ms_;
};

}  // namespace

int RunCommits(const CommitLoad& load) { return Committers(load).Run(); }

}  // namespace sluice::bench
