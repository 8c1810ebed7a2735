#pragma once
// ReplicaManager: all partitions this broker holds. It turns image changes into leaders and
// followers, serves appends and reads to the API handlers, and drives followers' fetching, ISR
// changes and high watermarks (the ten rules of reliability.md 3.1).
//
// Thread rule: every public method from any thread; each partition is guarded by its own mutex
// (order in docs/THREADS.md). Callbacks run once, on the calling thread or on a flusher, fetch or
// timer thread, with no lock held.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/event_loop.h"
#include "base/file_system.h"
#include "base/random.h"
#include "broker/broker_state.h"
#include "broker/cold_reads.h"
#include "broker/controller_client.h"
#include "broker/metadata_cache.h"
#include "broker/parked_requests.h"
#include "broker/replica/partition_watch.h"
#include "broker/replica/peer_client.h"
#include "kafka/error_code.h"
#include "kafka/records.h"
#include "storage/compaction/compactor.h"
#include "storage/flusher.h"
#include "storage/log_directories.h"

namespace sluice::broker {

struct PartitionKey {
  TopicId topic_id;
  PartitionIndex partition;
  friend auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

// Who leads now, sent along with NOT_LEADER and epoch errors (KIP-951).
struct LeaderHint {
  NodeId leader = kNoNode;
  LeaderEpoch epoch = kNoEpoch;
};

struct RecordErrorDetail {
  int32_t batch_index = 0;
  std::string message;
};

struct ProduceEntry {
  PartitionKey key;
  kafka::Records records;
  LeaderEpoch leader_epoch = kNoEpoch;  // the only one to append in; kNoEpoch: whatever it is
};
struct ProduceRequestParams {
  int16_t acks = -1;  // 0, 1 or -1
  int16_t api_version = 0;
  int32_t timeout_ms = 30000;
  std::vector<ProduceEntry> entries;
  ParkedRequests* client = nullptr;  // told, before the call returns, when the request waits
  bool slowed_by_disk = true;        // the answer waits while room on the disk gets short
};
struct ProduceEntryResult {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  std::string message;
  Offset base_offset{-1};
  int64_t log_append_time_ms = -1;
  Offset log_start_offset{-1};
  std::vector<RecordErrorDetail> record_errors;
  LeaderHint leader;
};

struct FetchEntry {
  PartitionKey key;
  Offset fetch_offset;
  LeaderEpoch current_leader_epoch = kNoEpoch;  // kNoEpoch = not checked
  LeaderEpoch last_fetched_epoch = kNoEpoch;    // of a follower or a v12+ consumer
  Offset log_start_offset{-1};                  // the follower's
  int32_t size_bytes_max = 0;
};
struct FetchRequestParams {
  NodeId replica_id = kNoNode;  // kNoNode = a consumer
  BrokerEpoch replica_epoch{-1};
  bool flushed = false;  // of a replica: what lies below its fetch offsets is on its disk
  std::weak_ptr<const void> connection;  // of a replica: lives as long as its connection
  int32_t wait_ms_max = 0;
  int32_t size_bytes_min = 0;
  int32_t size_bytes_max = 0;
  bool read_committed = false;
  // Of a consumer that may be sent to, and served by, a follower in its rack (KIP-392); else "".
  std::string rack;
  std::string listener;              // where its connection came in
  std::vector<FetchEntry> entries;   // in the order to serve them, no partition twice
  ParkedRequests* client = nullptr;  // told, before the call returns, when the request waits
};
struct FetchEntryResult {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  Offset high_watermark{-1};
  Offset last_stable_offset{-1};
  Offset log_start_offset{-1};
  std::vector<FileSlice> records;
  size_t size_bytes = 0;
  // Of a read_committed fetch: the aborted transactions that `records` may hold records of.
  std::vector<storage::AbortedTransaction> aborted;
  std::optional<storage::EpochEndOffset> diverging;
  LeaderHint leader;
  NodeId preferred = kNoNode;  // nothing was read: this replica is nearer to the consumer
  bool throttled = false;      // `size_bytes` count for the leader's quota
  bool slowed = false;         // and for the one that moves have here
  bool nearby = false;         // a consumer's, of a follower in its rack
  // Nothing once the answer is complete: to be brought in before the log is asked again.
  storage::Lacking lacking;
  // Nothing is readable at the offset, yet: this leader's high watermark may still be lower than
  // what the last one told, so that this is not known to be the end.
  bool end_unknown = false;
};

struct ListOffsetsEntry {
  PartitionKey key;
  LeaderEpoch current_leader_epoch = kNoEpoch;
  int64_t timestamp_ms = -1;    // >= 0, or Kafka's specials: -1 latest, -2 earliest, -3 max
                                // timestamp, -4 local earliest, -5 last tiered
  bool read_committed = false;  // nothing above the last stable offset
};
struct ListOffsetsResult {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  storage::TimestampOffset found;
};

struct EpochEndEntry {
  PartitionKey key;
  LeaderEpoch current_leader_epoch = kNoEpoch;
  LeaderEpoch asked = kNoEpoch;
};
struct EpochEndResult {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  storage::EpochEndOffset end;
};

struct DeleteRecordsEntry {
  PartitionKey key;
  Offset before{-1};  // the log's new start; -1 = the high watermark
};
struct DeleteRecordsParams {
  int32_t timeout_ms = 0;
  std::vector<DeleteRecordsEntry> entries;
  ParkedRequests* client = nullptr;  // told, before the call returns, when the request waits
};
struct DeleteRecordsResult {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  Offset low_watermark{-1};  // the lowest log start among the live replicas; -1 = not known
};

// A replica of this broker that is to lie in another of its log directories.
struct AlterLogDirEntry {
  storage::TopicPartition name;
  std::string path;
};

// The copy of a log that moves to another log directory.
struct FutureLogStatus {
  storage::DirectoryPtr directory;
  Offset log_end_offset;
  uint64_t size_bytes = 0;
};

// For metrics, `partition list` and health.
struct PartitionStatus {
  storage::TopicPartition name;
  PartitionKey key;
  bool is_leader = false;
  LeaderEpoch leader_epoch = kNoEpoch;
  Offset log_start_offset;
  Offset log_end_offset;
  Offset high_watermark;
  uint64_t size_bytes = 0;
  // Bytes a second while it leads: from producers, to consumers (partition_traffic.h).
  int64_t in_rate = 0;
  int64_t out_rate = 0;
  storage::DirectoryPtr directory;  // null when it was not placed
  std::string error;                // empty unless offline or damaged
  // It is offline for its directory's sake, or for want of room: nothing says that it is damaged.
  bool disk_away = false;
  std::optional<FutureLogStatus> future;
};

// The cleaner of compacted topics.
struct CompactionOptions {
  std::vector<EventLoop*> loops;  // one for each of its threads; empty: nothing is compacted
  FileSystem* file_system = nullptr;
  Random random{0};
  uint64_t dedupe_buffer_bytes = 134217728;
  double dedupe_load_factor = 0.9;
  double io_bytes_per_second_max = 1.7976931348623157e308;
  int64_t backoff_ms = 15000;
  // As storage::CompactorOptions has it: where the view of a partition is durable.
  std::function<std::optional<Offset>(const storage::TopicPartition&)> tombstones_stay_from;
};

struct ReplicaManagerOptions {
  BrokerState* state = nullptr;  // none of these is owned; all outlive the manager
  MetadataCache* metadata = nullptr;
  storage::LogDirectories* logs = nullptr;
  // The flushers report to ReplicaManager::OnFlushed.
  std::function<storage::Flusher&(const storage::DirectoryState&)> flusher_of;
  ControllerClient* controller = nullptr;
  PeerConnector* peers = nullptr;
  EventLoop* loop = nullptr;  // timers, ISR upkeep, fetchers' logic
  EventLoop* background_loop =
      nullptr;  // checkpoints, retention, deletions: work that waits for the disk; null = loop
  // Where reads wait for the disk; null: on the thread that asks.
  ColdReads* cold_reads = nullptr;
  const Clock* clock = nullptr;
  const ConfigValues* server_config =
      nullptr;                         // of metadata::ServerConfigKeys(): what topics inherit
  std::string inter_broker_listener;   // whose endpoint of a peer to dial; empty = its first
  int64_t replica_lag_ms_max = 10000;  // replica.lag.time.max.ms
  int32_t replica_fetch_wait_ms = 500;
  int32_t replica_fetch_bytes = 1048576;  // per partition
  int32_t replica_fetch_response_bytes = 10485760;
  int64_t high_watermark_checkpoint_interval_ms = 5000;
  int64_t retention_check_interval_ms = 300000;  // log.retention.check.interval.ms
  int64_t space_check_interval_ms = 500;
  // The log directory whose failure is the node's, for the metadata is in it; empty = none.
  std::string vital_directory;
  CompactionOptions compaction;
  // Whose replicas here `observer` follows; empty: none.
  std::string observed_topic;
  PartitionObserver observer;
  // Told once when the vital directory or the last one has failed (a write or an fsync): the node
  // should then stop. May run on any thread.
  std::function<void(const sluice::Status&)> on_storage_failure;
};

class ReplicaManager {
 public:
  // Registers itself as a listener of the metadata cache. Roles are taken only from images that
  // hold this broker's present registration (state->broker_epoch): an older image may still call it
  // leader of an epoch whose unsynced tail it lost.
  static std::unique_ptr<ReplicaManager> Create(ReplicaManagerOptions options);
  virtual ~ReplicaManager() = default;
  // Replicas were flushed together; what follows from it for all of them is done once.
  static void OnFlushed(std::span<const storage::Flushed> group);

  // Appends in the order of entries before returning, so that a connection's produce order is the
  // log's order; `done` comes when each entry has what `acks` asks for, or failed, or timed out.
  virtual void Produce(ProduceRequestParams params,
                       std::function<void(std::vector<ProduceEntryResult>)> done) = 0;
  // Long poll of kafka-features.md 3.2. Also records a follower's progress.
  virtual void Fetch(FetchRequestParams params,
                     std::function<void(std::vector<FetchEntryResult>)> done) = 0;
  // A look-up by time may have to wait for the disk; then `done` comes on a worker. `client`, whom
  // it is for, is used until the call returns; null = nobody who could go.
  virtual void ListOffsets(std::vector<ListOffsetsEntry> entries, ParkedRequests* client,
                           std::function<void(std::vector<ListOffsetsResult>)> done) = 0;
  virtual std::vector<EpochEndResult> OffsetsForLeaderEpoch(
      const std::vector<EpochEndEntry>& entries) = 0;

  // Moves the starts of logs that this broker leads; `done` comes when all live replicas have, or
  // the time is up.
  virtual void DeleteRecords(DeleteRecordsParams params,
                             std::function<void(std::vector<DeleteRecordsResult>)> done) = 0;

  // Moves replicas between the log directories of this broker; the error of each entry. They have
  // begun then. One that is not here yet will be made in that directory, and is told to be none.
  virtual std::vector<kafka::ErrorCode> AlterLogDirs(
      const std::vector<AlterLogDirEntry>& entries) = 0;

  // For the observer of `observed_topic` (partition_watch.h). The look arms the next call; nullopt
  // when there is no such replica here, any more.
  virtual std::optional<LocalState> TakeLocalState(const PartitionKey& key) = 0;
  // Records of a replica in any role, below its high watermark. May wait for the disk, holding up
  // nobody else; so not on a reactor.
  virtual LocalRead ReadLocal(const PartitionKey& key, Offset from, size_t size_bytes_max) = 0;

  // Writes the epoch of this broker's registration into every log directory; a directory that
  // cannot take it has failed. `done` comes on the background loop, and never where the node ends
  // of such a failure.
  virtual void KeepBrokerEpoch(BrokerEpoch epoch, std::function<void()> done) = 0;

  virtual std::vector<PartitionStatus> Status() const = 0;
  virtual storage::CompactorStats CompactionStats() const = 0;
  // Clean stop: no more appends, all flushed; afterwards the caller closes the logs with
  // these high watermarks.
  virtual std::map<storage::TopicPartition, Offset> Stop() = 0;
};

}  // namespace sluice::broker
