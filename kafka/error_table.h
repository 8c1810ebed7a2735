#pragma once
// The wire's error codes: constant, name on the wire, code, whether a client may simply try again,
// and our sentence for a person. The one table from which kafka/error_code.h makes everything else.
//
// Thread rule: constants.

#define SLUICE_KAFKA_ERRORS(X)                                                                     \
  X(kUnknownServerError, UNKNOWN_SERVER_ERROR, -1, false,                                          \
    "something unexpected failed on the server")                                                   \
  X(kNone, NONE, 0, false, "no error")                                                             \
  X(kOffsetOutOfRange, OFFSET_OUT_OF_RANGE, 1, false,                                              \
    "the offset is outside what the partition holds")                                              \
  X(kCorruptMessage, CORRUPT_MESSAGE, 2, true,                                                     \
    "a record batch is damaged or breaks the format's rules")                                      \
  X(kUnknownTopicOrPartition, UNKNOWN_TOPIC_OR_PARTITION, 3, true,                                 \
    "this broker does not know that topic or partition")                                           \
  X(kInvalidFetchSize, INVALID_FETCH_SIZE, 4, false, "the fetch size makes no sense")              \
  X(kLeaderNotAvailable, LEADER_NOT_AVAILABLE, 5, true,                                            \
    "the partition has no leader at the moment")                                                   \
  X(kNotLeaderOrFollower, NOT_LEADER_OR_FOLLOWER, 6, true,                                         \
    "this broker does not lead the partition or holds no replica of it")                           \
  X(kRequestTimedOut, REQUEST_TIMED_OUT, 7, true,                                                  \
    "the request did not finish in the time it was given")                                         \
  X(kBrokerNotAvailable, BROKER_NOT_AVAILABLE, 8, false, "the broker is not available")            \
  X(kReplicaNotAvailable, REPLICA_NOT_AVAILABLE, 9, true,                                          \
    "the replica is not available on this broker")                                                 \
  X(kMessageTooLarge, MESSAGE_TOO_LARGE, 10, false,                                                \
    "a record batch is larger than the topic allows")                                              \
  X(kStaleControllerEpoch, STALE_CONTROLLER_EPOCH, 11, false,                                      \
    "the request comes from an older controller")                                                  \
  X(kOffsetMetadataTooLarge, OFFSET_METADATA_TOO_LARGE, 12, false,                                 \
    "the metadata stored with an offset is too long")                                              \
  X(kNetworkException, NETWORK_EXCEPTION, 13, true, "the connection broke before the answer came") \
  X(kCoordinatorLoadInProgress, COORDINATOR_LOAD_IN_PROGRESS, 14, true,                            \
    "the coordinator is still loading its state")                                                  \
  X(kCoordinatorNotAvailable, COORDINATOR_NOT_AVAILABLE, 15, true,                                 \
    "the coordinator is not available at the moment")                                              \
  X(kNotCoordinator, NOT_COORDINATOR, 16, true, "this broker is not the coordinator")              \
  X(kInvalidTopicException, INVALID_TOPIC_EXCEPTION, 17, false,                                    \
    "the topic name is not allowed, or the topic may not be used like that")                       \
  X(kRecordListTooLarge, RECORD_LIST_TOO_LARGE, 18, false,                                         \
    "the records are larger than a segment may be")                                                \
  X(kNotEnoughReplicas, NOT_ENOUGH_REPLICAS, 19, true,                                             \
    "fewer replicas are in sync than the topic demands; nothing was written")                      \
  X(kNotEnoughReplicasAfterAppend, NOT_ENOUGH_REPLICAS_AFTER_APPEND, 20, true,                     \
    "the records were written, but to fewer replicas than the topic demands")                      \
  X(kInvalidRequiredAcks, INVALID_REQUIRED_ACKS, 21, false, "acks must be -1, 0 or 1")             \
  X(kIllegalGeneration, ILLEGAL_GENERATION, 22, false,                                             \
    "the member speaks of a generation that is not the group's")                                   \
  X(kInconsistentGroupProtocol, INCONSISTENT_GROUP_PROTOCOL, 23, false,                            \
    "the member's protocol type or protocols do not fit those of the group")                       \
  X(kInvalidGroupId, INVALID_GROUP_ID, 24, false, "the group id is not allowed")                   \
  X(kUnknownMemberId, UNKNOWN_MEMBER_ID, 25, false, "the group has no such member")                \
  X(kInvalidSessionTimeout, INVALID_SESSION_TIMEOUT, 26, false,                                    \
    "the session timeout is outside the range that the broker allows")                             \
  X(kRebalanceInProgress, REBALANCE_IN_PROGRESS, 27, false,                                        \
    "the group is rebalancing; join again")                                                        \
  X(kInvalidCommitOffsetSize, INVALID_COMMIT_OFFSET_SIZE, 28, false,                               \
    "the offsets to commit take more room than allowed")                                           \
  X(kTopicAuthorizationFailed, TOPIC_AUTHORIZATION_FAILED, 29, false,                              \
    "not allowed to do this with the topic")                                                       \
  X(kGroupAuthorizationFailed, GROUP_AUTHORIZATION_FAILED, 30, false,                              \
    "not allowed to do this with the group")                                                       \
  X(kClusterAuthorizationFailed, CLUSTER_AUTHORIZATION_FAILED, 31, false,                          \
    "not allowed to do this with the cluster")                                                     \
  X(kInvalidTimestamp, INVALID_TIMESTAMP, 32, false,                                               \
    "a record's timestamp is outside the accepted range")                                          \
  X(kUnsupportedSaslMechanism, UNSUPPORTED_SASL_MECHANISM, 33, false,                              \
    "the broker does not offer that SASL mechanism")                                               \
  X(kIllegalSaslState, ILLEGAL_SASL_STATE, 34, false,                                              \
    "this request does not fit the state of the SASL exchange")                                    \
  X(kUnsupportedVersion, UNSUPPORTED_VERSION, 35, false,                                           \
    "this version of the API is not supported")                                                    \
  X(kTopicAlreadyExists, TOPIC_ALREADY_EXISTS, 36, false, "a topic of that name exists already")   \
  X(kInvalidPartitions, INVALID_PARTITIONS, 37, false, "the number of partitions is not possible") \
  X(kInvalidReplicationFactor, INVALID_REPLICATION_FACTOR, 38, false,                              \
    "the replication factor is not possible with the brokers at hand")                             \
  X(kInvalidReplicaAssignment, INVALID_REPLICA_ASSIGNMENT, 39, false,                              \
    "the replica assignment is not possible")                                                      \
  X(kInvalidConfig, INVALID_CONFIG, 40, false, "a configuration value is not allowed")             \
  X(kNotController, NOT_CONTROLLER, 41, true, "this node is not the active controller")            \
  X(kInvalidRequest, INVALID_REQUEST, 42, false,                                                   \
    "the request contradicts itself or misses something")                                          \
  X(kUnsupportedForMessageFormat, UNSUPPORTED_FOR_MESSAGE_FORMAT, 43, false,                       \
    "the stored message format does not support this")                                             \
  X(kPolicyViolation, POLICY_VIOLATION, 44, false, "a policy of this cluster forbids it")          \
  X(kOutOfOrderSequenceNumber, OUT_OF_ORDER_SEQUENCE_NUMBER, 45, false,                            \
    "the producer's sequence number does not follow the last one")                                 \
  X(kDuplicateSequenceNumber, DUPLICATE_SEQUENCE_NUMBER, 46, false,                                \
    "a batch with this sequence number was stored before")                                         \
  X(kInvalidProducerEpoch, INVALID_PRODUCER_EPOCH, 47, false,                                      \
    "the producer's epoch is older than the current one")                                          \
  X(kInvalidTxnState, INVALID_TXN_STATE, 48, false,                                                \
    "the transaction is not in a state that allows this")                                          \
  X(kInvalidProducerIdMapping, INVALID_PRODUCER_ID_MAPPING, 49, false,                             \
    "the producer id is not the one of this transactional id")                                     \
  X(kInvalidTransactionTimeout, INVALID_TRANSACTION_TIMEOUT, 50, false,                            \
    "the transaction timeout is longer than the broker allows")                                    \
  X(kConcurrentTransactions, CONCURRENT_TRANSACTIONS, 51, true,                                    \
    "the previous transaction of this producer is still being completed")                          \
  X(kTransactionCoordinatorFenced, TRANSACTION_COORDINATOR_FENCED, 52, false,                      \
    "a newer transaction coordinator has taken over")                                              \
  X(kTransactionalIdAuthorizationFailed, TRANSACTIONAL_ID_AUTHORIZATION_FAILED, 53, false,         \
    "not allowed to use this transactional id")                                                    \
  X(kSecurityDisabled, SECURITY_DISABLED, 54, false, "this cluster has no authorizer")             \
  X(kOperationNotAttempted, OPERATION_NOT_ATTEMPTED, 55, false,                                    \
    "not tried, because another part of the request failed")                                       \
  X(kKafkaStorageError, KAFKA_STORAGE_ERROR, 56, true,                                             \
    "the broker's disk failed for this partition")                                                 \
  X(kLogDirNotFound, LOG_DIR_NOT_FOUND, 57, false, "the broker has no such log directory")         \
  X(kSaslAuthenticationFailed, SASL_AUTHENTICATION_FAILED, 58, false,                              \
    "the credentials were not accepted")                                                           \
  X(kUnknownProducerId, UNKNOWN_PRODUCER_ID, 59, false,                                            \
    "the broker holds no state of this producer id any more")                                      \
  X(kReassignmentInProgress, REASSIGNMENT_IN_PROGRESS, 60, false,                                  \
    "a reassignment of these partitions is under way")                                             \
  X(kDelegationTokenAuthDisabled, DELEGATION_TOKEN_AUTH_DISABLED, 61, false,                       \
    "delegation tokens are switched off")                                                          \
  X(kDelegationTokenNotFound, DELEGATION_TOKEN_NOT_FOUND, 62, false,                               \
    "there is no such delegation token")                                                           \
  X(kDelegationTokenOwnerMismatch, DELEGATION_TOKEN_OWNER_MISMATCH, 63, false,                     \
    "only the token's owner or a renewer may do this")                                             \
  X(kDelegationTokenRequestNotAllowed, DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, 64, false,            \
    "delegation tokens need an authenticated connection that was not made with one")               \
  X(kDelegationTokenAuthorizationFailed, DELEGATION_TOKEN_AUTHORIZATION_FAILED, 65, false,         \
    "not allowed to do this with the delegation token")                                            \
  X(kDelegationTokenExpired, DELEGATION_TOKEN_EXPIRED, 66, false,                                  \
    "the delegation token has expired")                                                            \
  X(kInvalidPrincipalType, INVALID_PRINCIPAL_TYPE, 67, false,                                      \
    "this type of principal is not supported here")                                                \
  X(kNonEmptyGroup, NON_EMPTY_GROUP, 68, false, "the group still has members")                     \
  X(kGroupIdNotFound, GROUP_ID_NOT_FOUND, 69, false, "there is no group of that id")               \
  X(kFetchSessionIdNotFound, FETCH_SESSION_ID_NOT_FOUND, 70, true,                                 \
    "the broker does not know this fetch session")                                                 \
  X(kInvalidFetchSessionEpoch, INVALID_FETCH_SESSION_EPOCH, 71, true,                              \
    "the fetch session's epoch is not the expected one")                                           \
  X(kListenerNotFound, LISTENER_NOT_FOUND, 72, true,                                               \
    "the leader has no listener of the name that this client uses")                                \
  X(kTopicDeletionDisabled, TOPIC_DELETION_DISABLED, 73, false, "deleting topics is switched off") \
  X(kFencedLeaderEpoch, FENCED_LEADER_EPOCH, 74, true,                                             \
    "the leader epoch is older than the broker's")                                                 \
  X(kUnknownLeaderEpoch, UNKNOWN_LEADER_EPOCH, 75, true,                                           \
    "the leader epoch is newer than the broker's")                                                 \
  X(kUnsupportedCompressionType, UNSUPPORTED_COMPRESSION_TYPE, 76, false,                          \
    "this compression cannot be used with the API version of the request")                         \
  X(kStaleBrokerEpoch, STALE_BROKER_EPOCH, 77, false, "the broker has registered anew since")      \
  X(kOffsetNotAvailable, OFFSET_NOT_AVAILABLE, 78, true,                                           \
    "the new leader does not know its high watermark yet")                                         \
  X(kMemberIdRequired, MEMBER_ID_REQUIRED, 79, false,                                              \
    "join again with the member id of this answer")                                                \
  X(kPreferredLeaderNotAvailable, PREFERRED_LEADER_NOT_AVAILABLE, 80, true,                        \
    "the preferred replica cannot lead at the moment")                                             \
  X(kGroupMaxSizeReached, GROUP_MAX_SIZE_REACHED, 81, false,                                       \
    "the group has as many members as allowed")                                                    \
  X(kFencedInstanceId, FENCED_INSTANCE_ID, 82, false,                                              \
    "another member has taken over this instance id")                                              \
  X(kEligibleLeadersNotAvailable, ELIGIBLE_LEADERS_NOT_AVAILABLE, 83, true,                        \
    "no replica may become leader at the moment")                                                  \
  X(kElectionNotNeeded, ELECTION_NOT_NEEDED, 84, true, "the wanted leader leads already")          \
  X(kNoReassignmentInProgress, NO_REASSIGNMENT_IN_PROGRESS, 85, false,                             \
    "the partition is not being reassigned")                                                       \
  X(kGroupSubscribedToTopic, GROUP_SUBSCRIBED_TO_TOPIC, 86, false,                                 \
    "the group is subscribed to the topic")                                                        \
  X(kInvalidRecord, INVALID_RECORD, 87, false, "a record did not pass the broker's checks")        \
  X(kUnstableOffsetCommit, UNSTABLE_OFFSET_COMMIT, 88, true,                                       \
    "a transaction that commits these offsets is still open")                                      \
  X(kThrottlingQuotaExceeded, THROTTLING_QUOTA_EXCEEDED, 89, true,                                 \
    "the quota for such changes is used up; try later")                                            \
  X(kProducerFenced, PRODUCER_FENCED, 90, false,                                                   \
    "a newer producer with the same transactional id has taken over")                              \
  X(kResourceNotFound, RESOURCE_NOT_FOUND, 91, false, "there is no such resource")                 \
  X(kDuplicateResource, DUPLICATE_RESOURCE, 92, false,                                             \
    "the resource appears more than once or exists already")                                       \
  X(kUnacceptableCredential, UNACCEPTABLE_CREDENTIAL, 93, false,                                   \
    "the credential does not meet the requirements")                                               \
  X(kInconsistentVoterSet, INCONSISTENT_VOTER_SET, 94, false,                                      \
    "sender and receiver disagree about who votes")                                                \
  X(kInvalidUpdateVersion, INVALID_UPDATE_VERSION, 95, false,                                      \
    "the update is based on an outdated version")                                                  \
  X(kFeatureUpdateFailed, FEATURE_UPDATE_FAILED, 96, false,                                        \
    "the feature level could not be changed")                                                      \
  X(kPrincipalDeserializationFailure, PRINCIPAL_DESERIALIZATION_FAILURE, 97, false,                \
    "the principal of a forwarded request could not be read")                                      \
  X(kSnapshotNotFound, SNAPSHOT_NOT_FOUND, 98, false, "there is no such snapshot")                 \
  X(kPositionOutOfRange, POSITION_OUT_OF_RANGE, 99, false, "the position is outside the snapshot") \
  X(kUnknownTopicId, UNKNOWN_TOPIC_ID, 100, true, "this broker does not know that topic id")       \
  X(kDuplicateBrokerRegistration, DUPLICATE_BROKER_REGISTRATION, 101, false,                       \
    "another broker is alive under this id")                                                       \
  X(kBrokerIdNotRegistered, BROKER_ID_NOT_REGISTERED, 102, false,                                  \
    "no broker is registered under this id")                                                       \
  X(kInconsistentTopicId, INCONSISTENT_TOPIC_ID, 103, true,                                        \
    "the topic id is not the one of the stored topic")                                             \
  X(kInconsistentClusterId, INCONSISTENT_CLUSTER_ID, 104, false,                                   \
    "the request was meant for another cluster")                                                   \
  X(kTransactionalIdNotFound, TRANSACTIONAL_ID_NOT_FOUND, 105, false,                              \
    "there is no such transactional id")                                                           \
  X(kFetchSessionTopicIdError, FETCH_SESSION_TOPIC_ID_ERROR, 106, true,                            \
    "the fetch session mixes requests with and without topic ids")                                 \
  X(kIneligibleReplica, INELIGIBLE_REPLICA, 107, false,                                            \
    "a replica that shall join the in-sync set may not do so")                                     \
  X(kNewLeaderElected, NEW_LEADER_ELECTED, 108, false,                                             \
    "the change made another broker the leader")                                                   \
  X(kOffsetMovedToTieredStorage, OFFSET_MOVED_TO_TIERED_STORAGE, 109, false,                       \
    "the records of that offset are in remote storage now")                                        \
  X(kFencedMemberEpoch, FENCED_MEMBER_EPOCH, 110, false,                                           \
    "the member's epoch is not the coordinator's; leave its partitions and join again")            \
  X(kUnreleasedInstanceId, UNRELEASED_INSTANCE_ID, 111, false,                                     \
    "another member still holds this instance id")                                                 \
  X(kUnsupportedAssignor, UNSUPPORTED_ASSIGNOR, 112, false,                                        \
    "the group coordinator does not offer this assignor")                                          \
  X(kStaleMemberEpoch, STALE_MEMBER_EPOCH, 113, false,                                             \
    "the member's epoch is outdated; fetch the new one and try again")                             \
  X(kMismatchedEndpointType, MISMATCHED_ENDPOINT_TYPE, 114, false,                                 \
    "this request was sent to an endpoint of the wrong kind")                                      \
  X(kUnsupportedEndpointType, UNSUPPORTED_ENDPOINT_TYPE, 115, false,                               \
    "this kind of endpoint is not supported")                                                      \
  X(kUnknownControllerId, UNKNOWN_CONTROLLER_ID, 116, false, "there is no controller of that id")  \
  X(kUnknownSubscriptionId, UNKNOWN_SUBSCRIPTION_ID, 117, false,                                   \
    "the telemetry subscription of the client is outdated")                                        \
  X(kTelemetryTooLarge, TELEMETRY_TOO_LARGE, 118, false,                                           \
    "the telemetry is larger than the broker accepts")                                             \
  X(kInvalidRegistration, INVALID_REGISTRATION, 119, false,                                        \
    "the controller refuses this registration")                                                    \
  X(kTransactionAbortable, TRANSACTION_ABORTABLE, 120, false,                                      \
    "the transaction failed and must be aborted")                                                  \
  X(kInvalidRecordState, INVALID_RECORD_STATE, 121, false,                                         \
    "the record is not in a state that allows this acknowledgement")                               \
  X(kShareSessionNotFound, SHARE_SESSION_NOT_FOUND, 122, true,                                     \
    "the broker does not know this share session")                                                 \
  X(kInvalidShareSessionEpoch, INVALID_SHARE_SESSION_EPOCH, 123, true,                             \
    "the share session's epoch is not the expected one")                                           \
  X(kFencedStateEpoch, FENCED_STATE_EPOCH, 124, false,                                             \
    "the state epoch is older than the share coordinator's")                                       \
  X(kInvalidVoterKey, INVALID_VOTER_KEY, 125, false, "the voter's key is not the receiver's")      \
  X(kDuplicateVoter, DUPLICATE_VOTER, 126, false, "the voter is in the set already")               \
  X(kVoterNotFound, VOTER_NOT_FOUND, 127, false, "the set has no such voter")                      \
  X(kInvalidRegularExpression, INVALID_REGULAR_EXPRESSION, 128, false,                             \
    "the regular expression is not valid")                                                         \
  X(kRebootstrapRequired, REBOOTSTRAP_REQUIRED, 129, false,                                        \
    "start again from the bootstrap addresses")                                                    \
  X(kStreamsInvalidTopology, STREAMS_INVALID_TOPOLOGY, 130, false,                                 \
    "the streams topology is not valid")                                                           \
  X(kStreamsInvalidTopologyEpoch, STREAMS_INVALID_TOPOLOGY_EPOCH, 131, false,                      \
    "the epoch of the streams topology is not valid")                                              \
  X(kStreamsTopologyFenced, STREAMS_TOPOLOGY_FENCED, 132, false,                                   \
    "the streams topology is outdated")                                                            \
  X(kShareSessionLimitReached, SHARE_SESSION_LIMIT_REACHED, 133, true,                             \
    "the broker holds as many share sessions as allowed")
