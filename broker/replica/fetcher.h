#pragma once
// Fetcher: pulls from one leader, for all partitions of one durability mode that follow it, with
// one request at a time. In fsync mode the next request leaves when all that the last one brought
// is flushed: the fetch offset is then the durable offset, and the request says so (the leader may
// have heard of another mode). Owned by FetcherPool.
//
//   Step -> Fetch -> response: truncate or append each partition -> (fsync: wait for the flushes)
//   -> Step
//
// Thread rule: the replica loop only.

#include <map>
#include <memory>
#include <set>
#include <string>

#include "broker/replica/follower_session.h"
#include "broker/replica/partition.h"
#include "broker/replica/peer_client.h"

namespace sluice::broker {

struct FetcherEnvironment {
  std::shared_ptr<const ReplicaManagerOptions> options;
  std::weak_ptr<const PartitionContext> context;
};

class Fetcher : public std::enable_shared_from_this<Fetcher> {
 public:
  Fetcher(FetcherEnvironment environment, NodeId leader, bool fsync)
      : environment_(std::move(environment)), leader_(leader), fsync_(fsync) {}

  void Add(const std::shared_ptr<Partition>& partition, LeaderEpoch epoch);
  // After Add: gives up a request that is under way. The leader may hold it for the whole long
  // poll, while it has to hear at once that the new partitions are followed.
  void Hurry();
  void Remove(const PartitionKey& key);
  bool empty() const { return partitions_.empty(); }
  // Sends a request if none is under way and there is something to ask for.
  void Step();
  void Stop() { stopped_ = true; }

 private:
  struct Followed {
    std::shared_ptr<Partition> partition;
    LeaderEpoch epoch;
    int64_t pause_ms = 0;         // after the last error; 0 = none
    int64_t paused_until_ms = 0;  // steady
  };
  using Data = kafka::FetchResponse::PartitionData;

  EventLoop& loop() const { return *environment_.options->loop; }
  int64_t NowMs() const { return loop().clock().SteadyMs(); }
  // True when the endpoint is known and client_ goes there.
  bool Connect();
  void PrepareSession();
  // What slows the fetching of a replica down, for now: it is not in sync.
  struct Limits {
    bool throttled = false;  // its topic lists it
    bool slowed = false;     // the move that brings it here has a rate
  };
  Limits LimitsOf(const PartitionKey& key, const Followed& followed,
                  const ReplicationThrottles& throttles, const metadata::Image& image) const;
  void PauseThrottled();
  void CountThrottled(const Followed& followed, size_t size_bytes);  // that came
  int32_t WaitMs() const;                                            // of the next request
  void StepSoon(int64_t delay_ms);
  void OnResponse(uint64_t request_number, const Result<kafka::FetchResponse>& response);
  void OnFailure();
  void HandlePartition(const PartitionKey& key, const Data& data, PartitionEffects& effects);
  Status Apply(Followed& followed, const Data& data, PartitionEffects& effects);
  Status HandleError(Followed& followed, const Data& data, PartitionEffects& effects);
  void AwaitFlush(Followed& followed, PartitionEffects& effects);
  void Pause(const PartitionKey& key, Followed& followed);
  void PauseFor(const PartitionKey& key, Followed& followed, int64_t pause_ms);

  const FetcherEnvironment environment_;
  const NodeId leader_;
  const bool fsync_;
  std::map<PartitionKey, Followed> partitions_;
  std::set<PartitionKey> touched_;  // whose position may have changed since the last request
  std::set<PartitionKey> paused_;
  FollowerSession session_;
  std::shared_ptr<PeerClient> client_;
  std::string host_;
  int port_ = 0;
  bool in_flight_ = false;
  uint64_t request_number_ = 0;  // of the last request; answers to others are stale
  int flushing_ = 0;             // partitions whose appended bytes are not durable yet
  int64_t back_off_ms_ = 0;
  bool step_scheduled_ = false;
  bool stopped_ = false;
};

}  // namespace sluice::broker
