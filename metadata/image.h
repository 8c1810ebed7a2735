#pragma once
// Image: the cluster's metadata at one index, immutable. Controllers and brokers build the next
// image by replaying committed records on the one before (metadata/replay.h); parts that did not
// change are shared.
//
// Invariants (asserted by CheckImage in metadata/invariants.h after each applied entry):
//   1. A partition's leader is in its ISR, or -1.     2. ISR, ELR and last known ELR are subsets
//   of the replicas; ELR and ISR are disjoint.
//   3. No fenced or shutting-down broker is in an ISR, and no replica in an offline directory.  4.
//   |ISR| >= min ISR implies that the ELR is empty.
//   5. Topic name <-> id is a bijection.              6. A broker's epoch is the index of its
//   registration.
//   7. Adding and removing replicas are replicas, and disjoint. While there are any, some replica
//   that is to stay is not in the ISR: else the move would be done (metadata/reassignment.h).
//   8. Only a move that adds replicas has a rate.
//   9. Each replica has a directory (zero: not assigned), or none has.
//
// Thread rule: immutable; share by shared_ptr<const Image> among all threads.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/shared_map.h"
#include "base/uuid.h"
#include "metadata/node_list.h"

namespace sluice::metadata {

struct EndpointImage {
  std::string listener;
  std::string host;
  int32_t port = 0;
  std::string security_protocol;
  friend bool operator==(const EndpointImage&, const EndpointImage&) = default;
};

// What operators want of a broker. All but kServe: it leads only where nobody else may, and gets no
// new replicas.
enum class BrokerGoal { kServe, kDrain, kDecommission };

struct BrokerImage {
  NodeId id = kNoNode;
  BrokerEpoch epoch{-1};
  Uuid incarnation_id;
  Uuid directory_id;
  std::vector<EndpointImage> endpoints;
  std::string rack;  // empty = none
  std::string grpc_address;
  std::string http_address;
  std::string boot_id;
  std::string version;
  int64_t session_timeout_ms = 0;  // how long it may lead without a lease; 0 = not told
  bool is_controller = false;
  bool fenced = true;
  bool in_controlled_shutdown = false;
  // Why it is fenced: its host refused connections, and was not silent. Whoever was connected to it
  // knows.
  bool process_gone = false;
  BrokerGoal goal = BrokerGoal::kServe;  // outlives its incarnations
  std::vector<Uuid> log_directories;     // online; empty: directory_id is the only one
  bool keeps_epoch = false;              // its directories hold its epoch before it is in service
  // By directory the last epoch in which it was in service with it, and kept that.
  std::map<Uuid, BrokerEpoch> served;
  // What it held when it knew this entry, of topics that were fsync then, it has flushed since.
  LogIndex synced_index{0};
  // May lead and be in an ISR.
  bool active() const { return !fenced && !in_controlled_shutdown; }
  bool yields() const { return goal != BrokerGoal::kServe; }
  // Of a replica's directory; one that is not assigned yet counts as online.
  bool HasOnline(const Uuid& directory) const;
  friend bool operator==(const BrokerImage&, const BrokerImage&) = default;
};

struct PartitionImage {
  NodeList replicas;
  NodeList isr;
  NodeList elr;
  NodeList last_known_elr;
  // A reassignment under way: which of the replicas are new, and which go at its end.
  NodeList adding;
  NodeList removing;
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch{0};
  PartitionEpoch partition_epoch{0};
  // That each broker copies at most for the reassignment; 0 = no limit. In KiB it fits where there
  // was room.
  uint32_t move_kib_per_second = 0;
  // By replica, zero = not assigned; empty = none is. Brokers with one directory assign none.
  std::vector<Uuid> directories;
  Uuid DirectoryOf(NodeId replica) const;  // zero when not assigned
  bool moving() const { return !adding.empty() || !removing.empty(); }
  // How many copies the partition is to have: while it moves, as many as before.
  size_t replication_factor() const { return replicas.size() - adding.size(); }
  friend bool operator==(const PartitionImage&, const PartitionImage&) = default;
};
// A cluster may have a million.
static_assert(sizeof(PartitionImage) == 6 * sizeof(NodeList) + 16 + sizeof(std::vector<Uuid>));

// What the rest of an immutable thing hashes to, once somebody asked; 0 = nobody did. A copy is
// made in order to be changed, so it begins anew, and no two differ by it.
class KnownHash {
 public:
  KnownHash() = default;
  KnownHash(const KnownHash&) {}
  KnownHash& operator=(const KnownHash&) {
    value_ = 0;
    return *this;
  }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }
  void Set(uint64_t value) const { value_.store(value, std::memory_order_relaxed); }
  friend bool operator==(const KnownHash&, const KnownHash&) { return true; }

 private:
  mutable std::atomic<uint64_t> value_ = 0;  // whoever asks first: all find the same
};

struct TopicImage {
  std::string name;
  TopicId id;
  std::vector<PartitionImage> partitions;  // by partition index, without gaps
  KnownHash hash;                          // StateHash's, of all the above
  friend bool operator==(const TopicImage&, const TopicImage&) = default;
};

struct ControllerImage {
  NodeId id = kNoNode;
  Uuid directory_id;
  std::string address;  // of its gRPC server, host:port; empty for first voters: as configured
  bool learner = false;
  friend bool operator==(const ControllerImage&, const ControllerImage&) = default;
};

using TopicsByName = SharedMap<std::string, std::shared_ptr<const TopicImage>>;
using TopicsById = SharedMap<TopicId, std::shared_ptr<const TopicImage>>;

// Since which entry fsync is in force without interruption (metadata/fsync_since.h); 0 = always.
struct FsyncSince {
  LogIndex cluster{0};                      // where the default holds, and is fsync
  SharedMap<std::string, LogIndex> topics;  // not those of 0, nor replicated ones
  LogIndex latest{0};                       // that any of the above has or had; never goes back
  friend bool operator==(const FsyncSince&, const FsyncSince&) = default;
};

using ConfigMap = std::map<std::string, std::string>;
using ConfigsByName = SharedMap<std::string, ConfigMap, 16>;

// An admin request that was carried out, and what it was answered: a retry after a failover gets
// the same answer.
struct RequestImage {
  int64_t time_ms = 0;
  std::string response;  // serialised, of the request's own type
  friend bool operator==(const RequestImage&, const RequestImage&) = default;
};
using RequestMap = std::map<Uuid, std::shared_ptr<const RequestImage>>;

struct Image {
  LogIndex last_index{-1};  // of the last entry applied
  Term last_term{0};
  std::string cluster_id;
  std::map<NodeId, std::shared_ptr<const BrokerImage>> brokers;
  // An image that changes none of a table shares it with its predecessor, else all but what it
  // changes.
  std::shared_ptr<const TopicsByName> topics_by_name;
  std::shared_ptr<const TopicsById> topics_by_id;
  std::shared_ptr<const ConfigsByName> topic_configs;   // explicitly set ones, by topic name
  std::shared_ptr<const ConfigsByName> broker_configs;  // dynamic ones, by id or "" for all
  std::shared_ptr<const ConfigsByName> group_configs;   // of consumer groups, by group id
  // Null: not known; so it was in versions of old.
  std::shared_ptr<const FsyncSince> fsync_since;
  std::map<std::string, int32_t> features;
  int64_t next_producer_id = 0;
  // The members of the quorum; empty before they first change: then they are those configured.
  std::vector<ControllerImage> controllers;
  std::shared_ptr<const RequestMap>
      requests;  // of the last minutes (metadata/replay.h says how many)

  const BrokerImage* FindBroker(NodeId id) const;
  std::shared_ptr<const TopicImage> FindTopic(const std::string& name) const;
  std::shared_ptr<const TopicImage> FindTopic(TopicId id) const;
  // Null when the topic or the index does not exist.
  const PartitionImage* FindPartition(TopicId id, PartitionIndex partition) const;
  // What is set explicitly on the topic; empty when nothing is.
  const ConfigMap& TopicConfigs(const std::string& name) const;
  const ConfigMap& GroupConfigs(const std::string& id) const;
};

bool InIsr(const PartitionImage& partition, NodeId replica);
// Whether `replica` is in the ISR, and not alone: it can leave without taking the partition along.
bool OthersInSync(const PartitionImage& partition, NodeId replica);
// Whether the replica may lead and be in the ISR: its broker is active, and its directory online.
bool ReplicaActive(const Image& image, const PartitionImage& partition, NodeId replica);
// Whether the replica's broker is to lead only where nobody else may.
bool Yields(const Image& image, NodeId replica);
// How many in-sync replicas the topic wants before acks=all is acknowledged: the topic's own
// min.insync.replicas, else the cluster's dynamic default (the first controller writes it from its
// configuration), else 1. Never more than the partition's replication factor.
int32_t EffectiveMinIsr(const Image& image, const std::string& topic,
                        const PartitionImage& partition);

// Where the voters are; `configured` holds for those that did not say so when they joined.
using ControllerAddresses = std::map<NodeId, std::string>;
ControllerAddresses AddressesOfControllers(const Image& image,
                                           const ControllerAddresses& configured);
// The voters first; then whoever else is configured, for the image may be old.
std::vector<std::string> WhomToAsk(const ControllerAddresses& voters,
                                   const ControllerAddresses& configured);

using ImagePtr = std::shared_ptr<const Image>;

// The image of a cluster that has no metadata yet.
ImagePtr EmptyImage();

}  // namespace sluice::metadata
