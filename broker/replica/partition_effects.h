#pragma once
// PartitionEffects: what has to happen once a partition's mutex is free: answers to send, parked
// fetches to wake, flushes and ISR changes to start. Partition methods add to it; the caller runs
// it, after all partitions of one request, so that a follower's answer carries all of them.
//
// Thread rule: one owner; Run with no lock held.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/broker_state.h"
#include "broker/metadata_cache.h"
#include "broker/replica/connected_followers.h"
#include "broker/replica/fetch_waiters.h"
#include "broker/replica/isr_log.h"
#include "broker/replica/partition_watch.h"
#include "broker/replica/produce_operation.h"
#include "broker/replica/replication_quota.h"
#include "metadata/topic_config.h"
#include "storage/flusher.h"
#include "storage/log_directories.h"

namespace sluice::broker {

class Partition;

// What the log obeys of a topic's settings.
storage::LogConfig LogConfigOf(const metadata::TopicConfig& topic);

// What an image of the cluster says of a partition. The controller decides on an ISR by the
// configuration that it knows, so both take effect at once.
struct PartitionUpdate {
  const metadata::PartitionImage* partition;            // null: as it was
  std::shared_ptr<const metadata::TopicConfig> config;  // null: as it was
  LogIndex index;                                       // of the image
};

// An ISR that the leader asks the controller for.
//
// A try that had no answer may be read much later, by a controller of another term even, and is
// carried out then if the partition's epoch is still the same. Whatever a later try is told, the
// change may come as long as that has not risen.
struct IsrProposal {
  struct Member {
    NodeId id;
    BrokerEpoch broker_epoch;
  };
  std::shared_ptr<Partition> partition;
  PartitionKey key;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::vector<Member> isr;
  bool unanswered = false;  // some try of it was
  // Refused, with an earlier try unanswered: now it asks for the ISR that is, with which the epoch
  // rises, and no earlier try can be carried out any more.
  bool settles = false;
};

// A log directory that can no longer be trusted.
struct StorageFailure {
  storage::DirectoryPtr directory;
  Status status;
};

// A produce request that waits for the high watermark.
struct AckWaiter {
  Offset last_offset;
  int64_t deadline_ms;
  std::shared_ptr<ProduceOperation> operation;
  size_t entry;
};

// Who waits until the log is durable up to an offset.
struct FlushWaiter {
  Offset upto;
  std::function<void()> done;
};

// What partitions need of their surroundings; shared by all of them. Nothing is owned.
struct PartitionContext {
  const Clock* clock = nullptr;
  const BrokerState* state = nullptr;
  const MetadataCache* metadata = nullptr;
  ConnectedFollowers followers;
  int64_t replica_lag_ms_max = 0;
  std::shared_ptr<ReplicationThrottles> throttles;
  std::shared_ptr<IsrLog> isr_log;
  std::function<void(IsrProposal)> propose_isr;                       // thread-safe
  std::function<void(const StorageFailure&)> report_storage_failure;  // thread-safe
  // That a replica is damaged, or no more. Thread-safe; called under its mutex, so that nothing
  // comes after its removal.
  std::function<void(const PartitionKey&, bool)> note_damage;
  std::function<void(const std::shared_ptr<Partition>&)> follow_again;  // thread-safe
  std::string observed_topic;                                           // empty: none
  PartitionObserver observer;
};

struct PartitionEffects {
  struct Acknowledgement {
    std::shared_ptr<ProduceOperation> operation;
    size_t entry;
    kafka::ErrorCode error;
  };
  // One for each log directory: what one request, or one group of flushes, has dirtied goes to the
  // disk together.
  struct Flushes {
    storage::Flusher* flusher;
    std::vector<storage::FlushablePtr> partitions;
  };
  std::vector<Flushes> flushes;
  std::vector<Acknowledgement> acknowledgements;
  std::vector<std::shared_ptr<FetchWaiter>> woken;
  std::vector<std::shared_ptr<FetchWaiter>> nudged;
  std::vector<std::function<void()>> callbacks;
  std::vector<IsrProposal> proposals;
  std::vector<StorageFailure> storage_failures;

  void AddFlush(storage::Flusher& flusher, storage::FlushablePtr partition);
  // Does it all and is empty afterwards. Flushes go first: the disk is the slowest.
  void Run(const PartitionContext& context);
};

}  // namespace sluice::broker
