#pragma once
// NodeBackend: Backend for a real node, put together by the composition root from the node's parts,
// which admin/ must not know.
//
// Thread rule: as Backend. Stop from the owner, before the parts go; afterwards no callback runs.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "admin/backend.h"
#include "base/event_loop.h"
#include "base/random.h"
#include "rpc/gate.h"
#include "rpc/leader_client.h"

namespace sluice::admin {

struct NodeBackendOptions {
  NodeId node_id = kNoNode;
  std::string cluster_id;
  Uuid directory_id;
  const ConfigValues* config = nullptr;  // none of these is owned; all outlive the backend
  EventLoop* loop = nullptr;             // timers and the controller's answers
  std::vector<std::string> voters;       // gRPC addresses of the controllers
  std::function<metadata::ImagePtr()> image;
  std::function<bool()> knows_cluster;
  std::function<void(LogIndex, std::function<void()>)> when_applied;
  std::function<Readiness()> ready;
  std::function<std::vector<LocalPartition>()> partitions;   // empty on a node without a broker
  std::function<std::vector<LocalDirectory>()> directories;  // likewise
  std::function<void(const DeleteRecordsRequest&, int64_t timeout_ms, Done<DeleteRecordsResponse>)>
      delete_records;  // likewise; of a partition that this node leads
  std::function<std::optional<LocalController>()>
      controller;  // empty on a node without a controller
};

class NodeBackend final : public Backend {
 public:
  NodeBackend(NodeBackendOptions options, Random random);
  ~NodeBackend() override;

  NodeId node_id() const override { return options_.node_id; }
  const ConfigValues& config() const override { return *options_.config; }
  metadata::ImagePtr Image() const override { return options_.image(); }
  bool KnowsCluster() const override { return options_.knows_cluster(); }
  void WhenApplied(LogIndex index, int64_t timeout_ms, std::function<void(bool)> done) override;
  Readiness Ready() const override { return options_.ready(); }
  std::vector<LocalPartition> Partitions() const override;
  std::vector<LocalDirectory> Directories() const override;
  std::optional<LocalController> Controller() const override;

  void CreateTopics(controller::CreateTopicsRequest request, int64_t timeout_ms,
                    Done<controller::CreateTopicsResponse> done) override;
  void DeleteTopics(controller::DeleteTopicsRequest request, int64_t timeout_ms,
                    Done<controller::DeleteTopicsResponse> done) override;
  void CreatePartitions(controller::CreatePartitionsRequest request, int64_t timeout_ms,
                        Done<controller::CreatePartitionsResponse> done) override;
  void AlterConfigs(controller::AlterConfigsRequest request, int64_t timeout_ms,
                    Done<controller::AlterConfigsResponse> done) override;
  void DeleteRecords(NodeId leader, DeleteRecordsRequest request, int64_t timeout_ms,
                     Done<DeleteRecordsResponse> done) override;
  void DescribeQuorum(controller::DescribeQuorumRequest request, int64_t timeout_ms,
                      Done<controller::DescribeQuorumResponse> done) override;

  void Stop();

 private:
  template <typename Request, typename Response>
  void Send(rpc::LeaderClient::Method<Request, Response> method, Request request,
            int64_t timeout_ms, Done<Response> done);
  std::string NewRequestId();

  NodeBackendOptions options_;
  std::shared_ptr<rpc::Gate> gate_ = std::make_shared<rpc::Gate>();
  std::mutex mutex_;  // guards random_
  Random random_;
  rpc::LeaderClient leader_;
};

}  // namespace sluice::admin
