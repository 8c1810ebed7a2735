#pragma once
// BrokerServices: what API handlers work with, gathered by the composition root, which owns all of
// it.
//
// Thread rule: the pointers are constant; each part says how it may be used.

#include <functional>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "broker/api/api_metrics.h"
#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "broker/metadata_cache.h"
#include "broker/producer_id_allocator.h"
#include "broker/replica/replica_manager.h"
#include "metadata/server_config.h"
#include "storage/directory_state.h"

namespace sluice::broker {

class FetchSessionCache;
class GroupCoordinator;
class TopicCreator;

struct BrokerServices {
  const BrokerState* state = nullptr;
  MetadataCache* metadata = nullptr;
  ReplicaManager* replicas = nullptr;
  ControllerClient* controller = nullptr;
  ProducerIdAllocator* producer_ids = nullptr;
  FetchSessionCache* fetch_sessions = nullptr;
  TopicCreator* topic_creator = nullptr;
  GroupCoordinator* groups = nullptr;
  const metadata::ServerConfig* config = nullptr;
  std::vector<storage::DirectoryPtr> directories;
  const Clock* clock = nullptr;
  EventLoop* loop = nullptr;  // timers of parked requests
  ApiMetrics* metrics = nullptr;
  std::function<bool()> knows_cluster;  // thread-safe; empty: it does
};

}  // namespace sluice::broker
