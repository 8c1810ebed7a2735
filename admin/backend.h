#pragma once
// Backend: what the node's front door knows of the node behind it: the cluster's image, the way to
// the active controller, the brokers that coordinate groups and lead partitions, and the node's own
// partitions. The composition root gives NodeBackend
// (admin/node_backend.h) for both kinds of node; tests give their own.
//
// Thread rule: call from any thread; `done` runs once, on an unspecified thread that must not be
// blocked.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "base/status.h"
#include "base/uuid.h"
#include "metadata/image.h"
#include "proto/admin.pb.h"
#include "proto/controller.pb.h"

namespace sluice::admin {

template <typename Response>
using Done = std::function<void(Result<Response>)>;

// A partition as this node's log has it.
struct LocalPartition {
  std::string topic;
  PartitionIndex partition;
  bool is_leader = false;
  Offset log_start_offset;
  Offset log_end_offset;
  Offset high_watermark;
  uint64_t size_bytes = 0;
  int64_t in_rate = 0;   // bytes a second from producers, while it leads
  int64_t out_rate = 0;  // bytes a second to consumers
  bool offline = false;  // its log is damaged, all or in part
  std::string damage;    // how
};

// One of the node's log directories; or, with kReserve..., the metadata log's, whose reserve
// (space.reserve) is not whole: the disk has no room for it, or shows some and refuses it.
struct LocalDirectory {
  enum class Standing { kOnline, kLow, kFull, kOffline, kReserveWithoutRoom, kReserveRefused };
  std::string path;
  Standing standing = Standing::kOnline;
  uint64_t free_bytes = 0;    // kReserve...: what there is of the reserve
  uint64_t wanted_bytes = 0;  // kReserve...: with how much free it is made again
};

// The quorum as this node's own controller sees it.
struct LocalController {
  bool active = false;
  NodeId leader = kNoNode;
  Term term;
  LogIndex commit_index{-1};
  LogIndex last_index{-1};
  bool inquiring = false;  // takes no part at all: raft::DriverStatus::inquiring
  std::string waits_for;   // before it votes; empty: it votes, or is no voter
};

// What a node's directories and its configuration say of it, before it is part of anything.
struct NodeIdentity {
  std::string cluster_id;
  NodeId id = kNoNode;
  Uuid disk_id;
  std::string controller_address;  // where other controllers reach it; empty: it is none
};

// Whether the node can do its work; `reason` says why not.
struct Readiness {
  bool ready = false;
  std::string reason;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual NodeId node_id() const = 0;
  virtual NodeIdentity Identity() const = 0;
  virtual const Clock& clock() const = 0;
  virtual void RunAfter(int64_t delay_ms, std::function<void()> task) = 0;
  virtual const ConfigValues& config() const = 0;  // of the server's file
  virtual metadata::ImagePtr Image() const = 0;
  // False while the node starts: its image may lack what the cluster has had for long.
  virtual bool KnowsCluster() const = 0;
  // done(true) once this node has applied the metadata up to `index`, done(false) after the
  // timeout.
  virtual void WhenApplied(LogIndex index, int64_t timeout_ms,
                           std::function<void(bool applied)> done) = 0;
  virtual Readiness Ready() const = 0;
  virtual std::vector<LocalPartition> Partitions() const = 0;
  virtual std::vector<LocalDirectory> Directories() const = 0;
  virtual std::optional<LocalController> Controller() const = 0;  // nullopt on a node that is none
  // Since a controller that a majority had confirmed was heard; nullopt where that is not known.
  virtual std::optional<int64_t> ControllerHeardMsAgo() const = 0;

  // To the active controller, wherever it is; kTimeout when there is none in time.
  virtual void CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                            Done<controller::CreateTopicsResponse> done) = 0;
  virtual void DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                            Done<controller::DeleteTopicsResponse> done) = 0;
  virtual void CreatePartitions(controller::CreatePartitionsRequest request, int64_t timeout_ms,
                                Done<controller::CreatePartitionsResponse> done) = 0;
  virtual void AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                            Done<controller::AlterConfigsResponse> done) = 0;
  virtual void AlterPartitionReassignments(
      controller::AlterPartitionReassignmentsRequest request, int64_t timeout_ms,
      Done<controller::AlterPartitionReassignmentsResponse> done) = 0;
  virtual void ElectLeaders(controller::ElectLeadersRequest request, int64_t timeout_ms,
                            Done<controller::ElectLeadersResponse> done) = 0;
  virtual void ChangeBroker(controller::ChangeBrokerRequest request, int64_t timeout_ms,
                            Done<controller::ChangeBrokerResponse> done) = 0;
  // To the admin service of the partition's leader, which may be this node.
  virtual void DeleteRecords(NodeId leader, DeleteRecordsRequest request, int64_t timeout_ms,
                             Done<DeleteRecordsResponse> done) = 0;
  virtual void DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                              Done<controller::DescribeQuorumResponse> done) = 0;
  virtual void ChangeQuorum(controller::ChangeQuorumRequest request, int64_t timeout_ms,
                            Done<controller::ChangeQuorumResponse> done) = 0;
  virtual void TransferController(controller::TransferControllerRequest request, int64_t timeout_ms,
                                  Done<controller::TransferControllerResponse> done) = 0;

  // Which node coordinates a group: kNotFound while the cluster keeps no groups at all,
  // kUnavailable while there is none.
  virtual Result<NodeId> CoordinatorOf(const std::string& group) const = 0;
  // To the admin service of `node`, which may be this one, about what that node itself coordinates
  // or leads.
  virtual void ListOffsets(NodeId node, ListOffsetsRequest request, int64_t timeout_ms,
                           Done<ListOffsetsResponse> done) = 0;
  virtual void ListGroups(NodeId node, ListGroupsRequest request, int64_t timeout_ms,
                          Done<ListGroupsResponse> done) = 0;
  virtual void DescribeGroup(NodeId node, DescribeGroupRequest request, int64_t timeout_ms,
                             Done<DescribeGroupResponse> done) = 0;
  virtual void DeleteGroup(NodeId node, DeleteGroupRequest request, int64_t timeout_ms,
                           Done<DeleteGroupResponse> done) = 0;
  virtual void GetGroupOffsets(NodeId node, GetGroupOffsetsRequest request, int64_t timeout_ms,
                               Done<GetGroupOffsetsResponse> done) = 0;
  // To the admin service of another node, about its own logs.
  virtual void ListReplicas(NodeId node, ListReplicasRequest request, int64_t timeout_ms,
                            Done<ListReplicasResponse> done) = 0;
  // Only what `offsets` says, and only with `execute`.
  virtual void ResetGroupOffsets(NodeId node, ResetGroupOffsetsRequest request, int64_t timeout_ms,
                                 Done<ResetGroupOffsetsResponse> done) = 0;
};

}  // namespace sluice::admin
