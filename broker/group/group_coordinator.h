#pragma once
// GroupCoordinator: what the API handlers know of consumer groups. It finds the partition of
// __consumer_offsets that a group belongs to, and has its shard answer where this broker leads it;
// keeps the views of all partitions that this broker holds (offsets_view.h); writes what shards
// decide into the log, and answers once that is durable.
//
// Partitions are pinned to the loops; all that is queued for one when its turn comes becomes one
// batch, without waiting for more. Nothing here waits for a write.
//
// Thread rule: every method from any thread. `done` runs once, on a loop or on the caller's thread,
// with no lock held.

#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/config.h"
#include "base/event_loop.h"
#include "base/random.h"
#include "broker/broker_state.h"
#include "broker/group/group_config.h"
#include "broker/group/group_types.h"
#include "broker/group/offsets_view.h"
#include "broker/metadata_cache.h"
#include "broker/parked_requests.h"
#include "broker/replica/replica_manager.h"

namespace sluice::broker {

// Bounds what a coordinator keeps for clients that ask faster than it can write; beyond them they
// are asked to come again (COORDINATOR_LOAD_IN_PROGRESS).
struct GroupCoordinatorLimits {
  size_t queued_requests_max = 100000;            // of a loop
  size_t parked_requests_max = 200000;            // of a partition
  size_t unwritten_bytes_max = size_t{32} << 20;  // of a partition: appended or to be appended
};

struct GroupCoordinatorOptions {
  const BrokerState* state = nullptr;  // none of these is owned; all outlive the coordinator
  MetadataCache* metadata = nullptr;
  ReplicaManager* replicas = nullptr;
  std::vector<EventLoop*> loops;         // they may wait for the disk
  EventLoop* background_loop = nullptr;  // flushes of the store
  const Clock* clock = nullptr;
  Random random{0};
  OffsetsStore store;
  GroupConfig config;
  int64_t write_timeout_ms = 5000;              // offsets.commit.timeout.ms
  const ConfigValues* server_config = nullptr;  // as ReplicaManagerOptions has it
  int64_t store_flush_interval_ms = 30000;
  GroupCoordinatorLimits limits;
};

// Of a table that holds the keys of ServerConfigKeys().
GroupConfig ReadGroupConfig(const ConfigValues& values);

class GroupCoordinator {
 public:
  using Done = std::function<void(GroupResponse)>;

  // Registers itself as a listener of the metadata cache: to be made after the replica manager,
  // whose observer of kOffsetsTopic is to call OnReplicaChanged.
  static std::unique_ptr<GroupCoordinator> Create(GroupCoordinatorOptions options);
  virtual ~GroupCoordinator() = default;

  // `caller.token` is given here. `client`: as long as it is there the request is worth answering;
  // used until the call returns; null = nobody who could go.
  virtual void Handle(GroupCaller caller, GroupRequest request, ParkedRequests* client,
                      Done done) = 0;
  virtual void OnReplicaChanged(const PartitionKey& key) = 0;
  // Whoever waits is answered; later requests are refused.
  virtual void Stop() = 0;
};

}  // namespace sluice::broker
