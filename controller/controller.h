#pragma once
// MetadataController: the cluster's control plane on one node. It replays what the quorum commits
// into an image on every node; on the active one it also decides: a request is handled against the
// speculative image (committed and proposed), its records are proposed, and it is answered when
// they are committed. Losing leadership drops all speculation and all soft state (architecture.md,
// decision 5).
//
// Invariants:
//   1. speculative == committed plus the records of every proposal not yet committed, in order; on
//   an inactive controller they are equal.
//   2. An answer that depends on a proposal is given only after its commit; otherwise it is
//   NOT_CONTROLLER and the outcome is unknown.
//   3. CheckTouched (metadata/invariants.h) holds after every applied entry. The active controller
//   refuses what would break it before it is proposed; a breach that is committed stops the process
//   rather than spreads.
//
// Thread rule: everything on the loop's thread, which is also the raft driver's, the destructor
// included (or after the loop stopped).

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/random.h"
#include "controller/broker_manager.h"
#include "controller/decision.h"
#include "controller/decommission.h"
#include "controller/feed_log.h"
#include "controller/full_pass.h"
#include "controller/leader_pass.h"
#include "controller/quorum.h"
#include "metadata/replay.h"
#include "raft/state_machine.h"

namespace sluice::controller {

struct ControllerOptions {
  NodeId self;
  std::string cluster_id;
  const ConfigValues& server;  // of metadata::ServerConfigKeys(); outlives the controller
  std::map<NodeId, std::string> addresses;  // of controllers, as configured, for hints
  BrokerManagerOptions brokers;
  LeaderPassOptions leaders = {};
  int64_t confirm_interval_ms = 50;  // between rounds that show that this is the active controller
  int64_t moves_max = 20;            // partitions that a decommission moves at once
  Random random;
};

struct ControllerMetrics {
  uint64_t fenced_by_session = 0;
  uint64_t fenced_by_refusal = 0;
  uint64_t fence_brakes = 0;
  uint64_t entries_applied = 0;
  uint64_t activations = 0;
  uint64_t preferred_elections = 0;  // proposed: leads given back to preferred replicas
  uint64_t yielded_leads = 0;        // proposed: leads taken from brokers that are drained
  uint64_t unclean_elections = 0;    // applied: whose leader may lack acknowledged records
};

class MetadataController final : public raft::StateMachine {
 public:
  template <typename Response>
  using Done = std::function<void(Response)>;

  // `loop`, `dialer` and `feed` outlive the controller; Start comes before anything else.
  MetadataController(ControllerOptions options, EventLoop& loop, Dialer& dialer, FeedLog& feed);
  ~MetadataController() override;
  void Start(Quorum* quorum);
  // Answers everything that waits with NOT_CONTROLLER. Nothing is accepted afterwards.
  void Stop();

  void Apply(const std::vector<raft::Entry>& committed) override;
  std::string TakeSnapshot() override;
  std::function<std::string()> FreezeSnapshot() override;
  void LoadSnapshot(const raft::SnapshotMeta& meta, std::string_view data) override;
  void OnRoleChange(raft::Role role, Term term, NodeId leader) override;
  void OnLeaderReady(Term term) override;

  void RegisterBroker(const RegisterBrokerRequest& request, Done<RegisterBrokerResponse> done);
  void Heartbeat(const HeartbeatRequest& request, Done<HeartbeatResponse> done);
  void AlterPartition(const AlterPartitionRequest& request, Done<AlterPartitionResponse> done);
  void AssignReplicasToDirs(const AssignReplicasToDirsRequest& request,
                            Done<AssignReplicasToDirsResponse> done);
  void AllocateProducerIds(const AllocateProducerIdsRequest& request,
                           Done<AllocateProducerIdsResponse> done);
  void CreateTopics(const CreateTopicsRequest& request, Done<CreateTopicsResponse> done);
  void DeleteTopics(const DeleteTopicsRequest& request, Done<DeleteTopicsResponse> done);
  void CreatePartitions(const CreatePartitionsRequest& request,
                        Done<CreatePartitionsResponse> done);
  void AlterConfigs(const AlterConfigsRequest& request, Done<AlterConfigsResponse> done);
  void AlterPartitionReassignments(const AlterPartitionReassignmentsRequest& request,
                                   Done<AlterPartitionReassignmentsResponse> done);
  void ElectLeaders(const ElectLeadersRequest& request, Done<ElectLeadersResponse> done);
  void UnregisterBroker(const UnregisterBrokerRequest& request,
                        Done<UnregisterBrokerResponse> done);
  void ChangeBroker(const ChangeBrokerRequest& request, Done<ChangeBrokerResponse> done);
  // Of the quorum's members: controller/quorum_calls.cc.
  void DescribeQuorum(const DescribeQuorumRequest& request, Done<DescribeQuorumResponse> done);
  void ChangeQuorum(const ChangeQuorumRequest& request, Done<ChangeQuorumResponse> done);
  void TransferController(const TransferControllerRequest& request,
                          Done<TransferControllerResponse> done);

  // A connection that the broker held to this node broke. `refused`: its address refuses new ones.
  void OnBrokerConnectionLost(NodeId broker, bool refused);
  // The same for the connection to another voter: its process may be a broker too.
  void OnVoterLost(NodeId voter, bool refused);

  bool active() const { return active_; }
  metadata::ImagePtr committed() const { return committed_; }
  metadata::ImagePtr speculative() const { return speculative_; }
  const ControllerMetrics& metrics() const { return metrics_; }

 private:
  // Why this node does not answer `sender`.
  std::optional<Outcome> WhyRefuse(const Sender& sender) const;
  template <typename Response>
  bool Refuse(const Sender& sender, const Done<Response>& done) {
    std::optional<Outcome> refusal = WhyRefuse(sender);
    if (!refusal.has_value()) return false;
    Response response;
    *response.mutable_outcome() = *std::move(refusal);
    done(std::move(response));
    return true;
  }
  template <typename Response>
  void Finish(Decision<Response> decision, Done<Response> done);
  template <typename Request, typename Response>
  void HandleAdmin(const Request& request,
                   Decision<Response> (*handle)(const HandleContext&, const Request&),
                   Done<Response> done);

  HandleContext Context() const;
  Outcome NotController() const;
  Outcome OutcomeOf(const Status& refusal) const;
  void FailChange();
  // Where it joined, or as configured; empty: not known.
  std::string AddressOf(NodeId controller) const;
  // Extends the speculation by `records`. `answer` is called with whether they were committed,
  // unless this fails: kNotLeader when the quorum took nothing, kInternal when the records do not
  // fit the image.
  Status Propose(const Records& records, std::function<void(bool committed)> answer);
  Result<metadata::ImagePtr> Replay(const std::string& data, LogIndex index,
                                    metadata::Delta& delta) const;
  void NoteLostLeads(const metadata::Image& before, const metadata::Delta& delta, LogIndex index);
  // Once a majority has said that this node still leads it; else as not committed.
  void AnswerAsLeader(std::function<void(bool committed)> answer);
  void AnswerUpTo(LogIndex index, Term term);
  void FailAll();
  void Renounce();
  void ApplyEntry(const raft::Entry& entry, std::vector<FeedEntryPtr>& feed);

  static constexpr int64_t kTickMs = 25;
  static constexpr int64_t kQuietTickMs = 4 * kTickMs;
  void Tick();
  void TickLater();
  void TickAt(int64_t at_ms);
  void TickBefore(int64_t at_ms);
  void OnRefused(NodeId broker);
  void Dial(NodeId broker);
  void OnDialed(NodeId broker, BrokerEpoch epoch, DialOutcome outcome);
  void FenceStale();
  void RelieveFull();
  // What nobody asks for each time: a few leads and moves a step.
  void MoveLeads();
  void GoOnDecommissioning();
  bool BrakeAllows(int64_t now_ms);
  // What fencing one broker has done to leads, over all steps; for one line in the log.
  struct Failover {
    NodeId broker = kNoNode;
    int64_t begin_ms = 0;
    int64_t leads_moved = 0;
    int64_t leaderless = 0;
    void Count(const Records& records);
  };
  // The answer to the last step's proposal: tells what has become of the leads.
  std::function<void(bool)> TellWhenCommitted();
  void ConfirmLeadership();
  // At the next multiple of the period: those that go into each other need one wake-up for all.
  void RunLater(int64_t period_ms, void (MetadataController::*task)());
  // For the loop: `task`, unless the activation is over by then.
  EventLoop::Task Guarded(void (MetadataController::*task)());
  static int64_t NextMultiple(int64_t now_ms, int64_t period_ms) {
    return (now_ms / period_ms + 1) * period_ms;
  }
  int64_t LeaseAgeMs() const;
  int64_t NowMs() const { return loop_.clock().SteadyMs(); }

  const ControllerOptions options_;
  EventLoop& loop_;
  Dialer& dialer_;
  FeedLog& feed_;
  Quorum* quorum_ = nullptr;
  mutable Random random_;
  BrokerManager brokers_;
  LeaderPass leaders_;
  FullPass full_pass_;
  Decommission decommission_;
  ControllerMetrics metrics_;
  std::shared_ptr<bool> alive_;  // false once destroyed or stopped

  metadata::ImagePtr committed_;
  metadata::ImagePtr speculative_;
  std::multimap<LogIndex, std::function<void(bool)>>
      waiting_;                                            // proposed or observed in active_term_
  std::map<uint64_t, std::function<void(bool)>> reading_;  // until a majority has confirmed it
  uint64_t last_read_ = 0;
  // Of the change of members under way. Unlike other answers it outlives the activation: a leader
  // that removes itself still has it to give.
  using ChangeDone = std::function<void(const Result<LogIndex>&)>;
  std::shared_ptr<ChangeDone> changing_;
  NodeId leader_ = kNoNode;
  bool active_ = false;
  Term active_term_;
  std::set<NodeId> dialing_;  // brokers whose host is being asked

  // All of the active controller only; renewed at each activation.
  uint64_t activation_ = 0;  // timers of an earlier activation stop when it differs
  int64_t next_tick_ms_ = 0;
  EventLoop::TimerId tick_timer_ = 0;
  int64_t confirmed_ms_ = -1;  // when the last round that a majority confirmed was sent
  uint64_t confirmed_rounds_ = 0;
  std::vector<int64_t> fenced_ms_;  // of late, for the brake
  int64_t brake_round_ = -1;        // the round at which the brake was found on, or -1
  Failover failover_;               // of the broker that is being fenced
};

}  // namespace sluice::controller
