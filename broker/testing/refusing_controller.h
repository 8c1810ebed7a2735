#pragma once
// RefusingController: a ControllerClient that answers nothing but that it does not: tests give it
// what they need.
//
// Thread rule: as ControllerClient.

#include "broker/controller_client.h"

namespace sluice::broker::testing {

class RefusingController : public ControllerClient {
 public:
  void RegisterBroker(controller::RegisterBrokerRequest, int64_t,
                      Done<controller::RegisterBrokerResponse> done) override {
    done(Refusal());
  }
  void Heartbeat(controller::HeartbeatRequest, int64_t,
                 Done<controller::HeartbeatResponse> done) override {
    done(Refusal());
  }
  void AlterPartition(controller::AlterPartitionRequest, int64_t,
                      Done<controller::AlterPartitionResponse> done) override {
    done(Refusal());
  }
  void AssignReplicasToDirs(controller::AssignReplicasToDirsRequest, int64_t,
                            Done<controller::AssignReplicasToDirsResponse> done) override {
    done(Refusal());
  }
  void AllocateProducerIds(controller::AllocateProducerIdsRequest, int64_t,
                           Done<controller::AllocateProducerIdsResponse> done) override {
    done(Refusal());
  }
  void CreateTopics(controller::CreateTopicsRequest, int64_t,
                    Done<controller::CreateTopicsResponse> done) override {
    done(Refusal());
  }
  void DeleteTopics(controller::DeleteTopicsRequest, int64_t,
                    Done<controller::DeleteTopicsResponse> done) override {
    done(Refusal());
  }
  void CreatePartitions(controller::CreatePartitionsRequest, int64_t,
                        Done<controller::CreatePartitionsResponse> done) override {
    done(Refusal());
  }
  void AlterConfigs(controller::AlterConfigsRequest, int64_t,
                    Done<controller::AlterConfigsResponse> done) override {
    done(Refusal());
  }
  void AlterPartitionReassignments(
      controller::AlterPartitionReassignmentsRequest, int64_t,
      Done<controller::AlterPartitionReassignmentsResponse> done) override {
    done(Refusal());
  }
  void ElectLeaders(controller::ElectLeadersRequest, int64_t,
                    Done<controller::ElectLeadersResponse> done) override {
    done(Refusal());
  }
  void UnregisterBroker(controller::UnregisterBrokerRequest, int64_t,
                        Done<controller::UnregisterBrokerResponse> done) override {
    done(Refusal());
  }
  void ChangeQuorum(controller::ChangeQuorumRequest, int64_t,
                    Done<controller::ChangeQuorumResponse> done) override {
    done(Refusal());
  }
  void DescribeQuorum(controller::DescribeQuorumRequest, int64_t,
                      Done<controller::DescribeQuorumResponse> done) override {
    done(Refusal());
  }

 private:
  static Status Refusal() {
    return Status::Unsupported("this test's controller does not answer that");
  }
};

}  // namespace sluice::broker::testing
