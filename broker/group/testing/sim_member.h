#pragma once
// SimMember: a consumer in a group of a SimGroupCluster, which behaves as the real clients do: it
// finds its coordinator, keeps one request for its membership and one for its offsets on the way,
// asks again elsewhere when no answer comes, commits before it gives a partition up, and starts to
// read where the last owner has committed. It reads a few records now and then, so that its
// positions only grow. Each protocol is an implementation (sim_clients.h).
//
// Its death is its destructor: nobody hears of it.
//
// Thread rule: one thread, as all of the simulator.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/testing/pausable_loop.h"
#include "broker/group/testing/sim_group_cluster.h"

namespace sluice::broker::testing {

struct SimMemberOptions {
  std::string name;
  std::string group_id;
  std::vector<std::string> topics;
  std::string regex;        // instead of topics; consumer protocol
  std::string instance_id;  // empty: none
  int32_t session_ms = 6000;
  int32_t rebalance_ms = 8000;
  int32_t heartbeat_ms = 1000;
  int64_t commit_ms = 700;
  bool cooperative = false;   // of the classic protocol
  bool old_versions = false;  // the same: from before ids were handed out first
};

class SimMember {
 public:
  using Partition = GroupInvariants::Partition;

  SimMember(SimGroupCluster& cluster, SimMemberOptions options);
  virtual ~SimMember();
  SimMember(const SimMember&) = delete;
  SimMember& operator=(const SimMember&) = delete;

  void Start() { StepAfter(0); }
  void Pause() { loop_.Pause(); }
  void Resume() { loop_.Resume(); }
  bool paused() const { return loop_.paused(); }
  // Commits, and says that it goes; `gone` holds when that is done.
  void Leave();
  // Also when it was fenced for ever, by another with its instance id.
  bool gone() const { return gone_; }

  const std::string& name() const { return options_.name; }
  const std::string& group_id() const { return options_.group_id; }
  const std::string& instance_id() const { return options_.instance_id; }
  const PartitionSet& owned() const { return owned_; }
  GroupInvariants::Claim claim() const;
  virtual bool is_classic() const = 0;
  // It is in the group, has nothing to do there, and knows where to read.
  bool Settled() const;
  // Those that it may be given.
  PartitionSet Subscribed() const;
  // Has lost what it owned without having been asked for it.
  int losses() const { return losses_; }
  std::string Describe() const;

 protected:
  using ErrorCode = kafka::ErrorCode;
  // A request on its way; one at a time.
  struct Lane {
    uint64_t request = 0;
    int64_t deadline_ms = 0;
    bool busy() const { return request != 0; }
  };

  // One step of the membership; its lane is free, a coordinator known.
  virtual void Advance() = 0;
  // The membership's request was lost.
  virtual void OnLost() = 0;
  virtual bool InGroup() const = 0;
  virtual void SendLeave() = 0;
  virtual std::string DescribeState() const = 0;

  template <typename Response>
  void Ask(Lane& lane, GroupRequest request, int16_t version,
           std::function<void(const Response&)> then, int64_t limit_ms = 1500);
  // Whether it is about the coordinator, and not the member: asks again, perhaps elsewhere.
  bool Reconnects(ErrorCode error);
  // For ever.
  void End() { gone_ = true; }
  void Wait(int64_t ms) { not_before_ms_ = now_ms() + ms; }
  void Own(const PartitionSet& added);
  // Commits what it has read of them, gives them up, goes on.
  void GiveUp(PartitionSet partitions, std::function<void()> then);
  bool giving_up() const { return giving_up_.has_value(); }
  // It was put out of the group: what it owns is another's.
  void LoseAll();
  int64_t now_ms() const { return cluster_.now_ms(); }
  const metadata::Image& topics() const { return *cluster_.topics().image(); }
  // Of the topics that still exist.
  PartitionSet Existing(const PartitionSet& partitions) const;

  SimGroupCluster& cluster_;
  const SimMemberOptions options_;
  Random random_;
  std::string member_id_;
  int32_t generation_ = -1;  // or the member epoch
  Lane membership_;

 private:
  struct GivingUp {
    PartitionSet partitions;
    std::function<void()> then;
    int64_t deadline_ms;
    bool done = false;
  };

  void StepAfter(int64_t ms);
  void Step();
  void Disconnect();
  void ExpireLanes();
  void StepOffsets();
  void Commit(const PartitionSet& partitions);
  void OnCommitted(const std::map<Partition, int64_t>& sent,
                   const kafka::OffsetCommitResponse& response);
  void Fetch(const PartitionSet& partitions);
  void OnFetched(const std::map<Partition, int64_t>& least,
                 const kafka::OffsetFetchResponse::OffsetFetchResponseGroup& response);
  void Drop(const PartitionSet& partitions);

  ::sluice::testing::PausableLoop loop_;
  EventLoop::TimerId timer_ = 0;
  SimConnectionPtr connection_;  // null: no coordinator is known
  bool finding_ = false;
  uint64_t last_request_ = 0;
  Lane offsets_;
  int64_t not_before_ms_ = 0;
  int64_t next_commit_ms_ = 0;
  PartitionSet owned_;
  std::map<Partition, int64_t> positions_;  // of those that it knows
  std::optional<GivingUp> giving_up_;
  uint64_t drops_ = 0;
  int losses_ = 0;
  bool leaving_ = false;
  bool left_ = false;
  bool gone_ = false;
  // What comes later finds it there, or not.
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

template <typename Response>
void SimMember::Ask(Lane& lane, GroupRequest request, int16_t version,
                    std::function<void(const Response&)> then, int64_t limit_ms) {
  const uint64_t id = ++last_request_;
  lane = {id, now_ms() + limit_ms};
  const GroupCaller caller{0, version, options_.name, "/127.0.0.1"};
  cluster_.Send(connection_, caller, std::move(request),
                [this, &lane, id, here = std::weak_ptr<bool>(here_),
                 then = std::move(then)](const GroupResponse& response) {
                  if (here.expired()) return;
                  loop_.Post([this, &lane, id, then, response] {
                    if (lane.request != id) return;
                    lane = {};
                    then(std::get<Response>(response));
                    Step();
                  });
                });
}

}  // namespace sluice::broker::testing
