#pragma once
// The members of a simulated group: SimClassicMember as a consumer of the classic protocol, eager
// or cooperative, and SimConsumerMember as one of KIP-848.
//
// Thread rule: one thread, as all of the simulator.

#include <map>
#include <string>
#include <vector>

#include "broker/group/testing/sim_member.h"

namespace sluice::broker::testing {

class SimClassicMember final : public SimMember {
 public:
  using SimMember::SimMember;
  bool is_classic() const override { return true; }

 private:
  enum class Phase { kOut, kGivingUp, kJoining, kSyncing, kIn };

  void Advance() override;
  void OnLost() override;
  bool InGroup() const override { return phase_ == Phase::kIn; }
  void SendLeave() override;
  std::string DescribeState() const override;

  std::string Subscription() const;
  void Join();
  void OnJoined(const kafka::JoinGroupResponse& response);
  void Sync();
  void OnSynced(const kafka::SyncGroupResponse& response);
  void Heartbeat();
  void OnError(ErrorCode error);
  void Lose(bool forgets_id);
  bool leads() const { return joined_.leader == member_id_ && !joined_.leader.empty(); }
  // What its topics look like, as a leader hands them out.
  std::map<std::string, PartitionSet> Assign() const;

  Phase phase_ = Phase::kOut;
  int64_t next_heartbeat_ms_ = 0;
  kafka::JoinGroupResponse joined_;
  PartitionSet handed_out_;  // a leader's: all that there was to hand out
};

class SimConsumerMember final : public SimMember {
 public:
  SimConsumerMember(SimGroupCluster& cluster, SimMemberOptions options);
  bool is_classic() const override { return false; }

 private:
  using Request = kafka::ConsumerGroupHeartbeatRequest;
  using Response = kafka::ConsumerGroupHeartbeatResponse;

  void Advance() override;
  void OnLost() override { full_ = true; }
  bool InGroup() const override;
  void SendLeave() override;
  std::string DescribeState() const override { return full_ ? "says all" : "in"; }

  Request NextRequest();
  void OnHeartbeat(const PartitionSet& reported, const Response& response);
  void Reconcile();
  void Lose();

  bool full_ = true;           // the next request says everything
  bool acknowledges_ = false;  // the next one says what it owns
  int64_t next_heartbeat_ms_ = 0;
  PartitionSet told_;      // what it shall own
  PartitionSet reported_;  // what the coordinator has heard that it owns
};

}  // namespace sluice::broker::testing
