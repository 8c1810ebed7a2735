#pragma once
// The rows of the dispatch table, one per API file.
//
// Thread rule: constants.

#include "broker/api/handler.h"

namespace sluice::broker {

extern const ApiHandler kProduceApi;                      // produce.cc
extern const ApiHandler kFetchApi;                        // fetch.cc
extern const ApiHandler kListOffsetsApi;                  // list_offsets.cc
extern const ApiHandler kMetadataApi;                     // metadata.cc
extern const ApiHandler kOffsetCommitApi;                 // offset_commit.cc
extern const ApiHandler kOffsetFetchApi;                  // offset_fetch.cc
extern const ApiHandler kFindCoordinatorApi;              // find_coordinator.cc
extern const ApiHandler kJoinGroupApi;                    // join_group.cc
extern const ApiHandler kHeartbeatApi;                    // heartbeat.cc
extern const ApiHandler kLeaveGroupApi;                   // leave_group.cc
extern const ApiHandler kSyncGroupApi;                    // sync_group.cc
extern const ApiHandler kDescribeGroupsApi;               // describe_groups.cc
extern const ApiHandler kListGroupsApi;                   // list_groups.cc
extern const ApiHandler kDeleteGroupsApi;                 // delete_groups.cc
extern const ApiHandler kOffsetDeleteApi;                 // offset_delete.cc
extern const ApiHandler kConsumerGroupHeartbeatApi;       // consumer_group_heartbeat.cc
extern const ApiHandler kConsumerGroupDescribeApi;        // consumer_group_describe.cc
extern const ApiHandler kApiVersionsApi;                  // api_versions.cc
extern const ApiHandler kCreateTopicsApi;                 // create_topics.cc
extern const ApiHandler kDeleteTopicsApi;                 // delete_topics.cc
extern const ApiHandler kDeleteRecordsApi;                // delete_records.cc
extern const ApiHandler kInitProducerIdApi;               // init_producer_id.cc
extern const ApiHandler kOffsetForLeaderEpochApi;         // offset_for_leader_epoch.cc
extern const ApiHandler kDescribeConfigsApi;              // describe_configs.cc
extern const ApiHandler kCreatePartitionsApi;             // create_partitions.cc
extern const ApiHandler kIncrementalAlterConfigsApi;      // incremental_alter_configs.cc
extern const ApiHandler kListConfigResourcesApi;          // list_config_resources.cc
extern const ApiHandler kAlterReplicaLogDirsApi;          // alter_replica_log_dirs.cc
extern const ApiHandler kDescribeLogDirsApi;              // describe_log_dirs.cc
extern const ApiHandler kElectLeadersApi;                 // elect_leaders.cc
extern const ApiHandler kAlterPartitionReassignmentsApi;  // alter_partition_reassignments.cc
extern const ApiHandler kListPartitionReassignmentsApi;   // list_partition_reassignments.cc
extern const ApiHandler kDescribeClusterApi;              // describe_cluster.cc
extern const ApiHandler kDescribeTopicPartitionsApi;      // describe_topic_partitions.cc
extern const ApiHandler kDescribeQuorumApi;               // describe_quorum.cc
extern const ApiHandler kUnregisterBrokerApi;             // unregister_broker.cc
extern const ApiHandler kUpdateFeaturesApi;               // update_features.cc
extern const ApiHandler kAddRaftVoterApi;                 // raft_voters.cc
extern const ApiHandler kRemoveRaftVoterApi;              // raft_voters.cc

// The answer to ApiVersions in a version that is not served (KIP-511): version 0, error 35, and the
// versions of ApiVersions itself, so that the client tries again with one of them.
OutputChain ApiVersionsFallback(int32_t correlation_id);

}  // namespace sluice::broker
