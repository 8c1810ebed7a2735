#pragma once
// SimCluster: brokers' replica managers on simulated disks, clocks and network, with a
// SimController. Real code: replica/, storage/, the Fetch codec and metadata/; simulated:
// everything below and beside. Nodes heartbeat by themselves, are fenced when they are silent, and
// register anew when they start.
//
//   SimCluster cluster({.nodes = 3, .seed = 7});
//   const TopicId topic = cluster.CreateTopic("orders", {.min_isr = 2});
//   auto sent = cluster.Produce(NodeId(1), topic, "a");
//   cluster.RunUntil([&] { return sent->answered; });
//   cluster.PowerCut(NodeId(1));
//
// Thread rule: one thread.

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/testing/sim_event_loop.h"
#include "base/testing/sim_file_system.h"
#include "broker/replica/replica_manager.h"
#include "broker/testing/sim_controller.h"
#include "broker/testing/sim_fetch_server.h"
#include "metadata/server_config.h"

namespace sluice::broker::testing {

struct SimClusterOptions {
  int nodes = 3;  // ids from 1
  uint64_t seed = 1;
  int64_t network_ms_max = 2;
  int64_t flush_ms_max = 3;
  int64_t replica_lag_ms_max = 2000;
  // What a broker with topics in replicated mode says of itself after a power cut.
  bool unclean_after_power_cut = false;
  int alter_loss_percent = 0;  // answers to AlterPartition that get lost
  int64_t image_lag_ms = 0;    // that images come later than answers of the same time
  int directories = 1;         // log directories of each node: "/data", "/data2" and so on
  storage::SpaceMarks marks;
  // As CompactionOptions has it, for each node; not owned.
  const std::function<std::optional<Offset>(NodeId, const storage::TopicPartition&)>*
      tombstones_stay_from = nullptr;
  // Called between the opening of a replica's log and its appearance: by then much may have
  // happened. Not owned.
  const std::function<void(NodeId, const storage::DirectoryState&)>* placing = nullptr;
  // Whose replicas `observer` follows, which is told at which node; empty: none. Not owned.
  std::string_view observed_topic;
  const std::function<void(NodeId, const PartitionKey&)>* observer = nullptr;
};

struct SimTopicOptions {
  int partitions = 1;
  std::vector<NodeId> replicas;  // of every partition; empty = all nodes, rotated
  int min_isr = 1;
  bool fsync = true;
  metadata::ConfigMap configs;
};

struct SimProduce {
  bool answered = false;
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  Offset offset{-1};
  bool acknowledged() const { return answered && error == kafka::ErrorCode::kNone; }
};

struct SimRecord {
  int64_t offset = 0;
  int32_t epoch = 0;
  std::string value;
  friend bool operator==(const SimRecord&, const SimRecord&) = default;
};
std::ostream& operator<<(std::ostream& out, const SimRecord& record);

class SimCluster {
 public:
  struct Process;
  struct Call;

  explicit SimCluster(SimClusterOptions options);
  ~SimCluster();

  ::sluice::testing::SimScheduler& scheduler() { return scheduler_; }
  SimController& controller() { return controller_; }
  Random& random() { return random_; }
  ::sluice::testing::SimFileSystem& disk(NodeId id) { return *nodes_.at(id).disk; }
  std::vector<NodeId> ids() const;

  // Topics and time.
  TopicId CreateTopic(const std::string& name, const SimTopicOptions& options);
  void RunFor(int64_t ms) { scheduler_.RunForMs(ms); }
  // False when `limit_ms` passed first.
  bool RunUntil(const std::function<bool()>& done, int64_t limit_ms = 20000) {
    return scheduler_.RunUntil(done, limit_ms);
  }

  // Faults.
  void Start(NodeId id);
  void Kill(NodeId id);      // the process; the page cache survives
  void PowerCut(NodeId id);  // the machine
  bool alive(NodeId id) const { return nodes_.at(id).process != nullptr; }
  void Cut(NodeId a, NodeId b) { cuts_.insert(std::minmax(a, b)); }
  void Heal() { cuts_.clear(); }
  // The node's n-th log directory, from 0; of a live node.
  storage::DirectoryPtr directory(NodeId id, size_t n) const;
  storage::LogDirectories& logs(NodeId id);
  // How often a broker of that node gave up altogether.
  int storage_failures(NodeId id) const { return nodes_.at(id).storage_failures; }
  // Leaders' requests for ISRs have no answer, and stay on their way until ReadLateAlters, which
  // says how many there were.
  void set_alters_late(bool on) { alters_late_ = on; }
  size_t ReadLateAlters();
  // From the controller and from every other node.
  void Isolate(NodeId id);
  // No session ends meanwhile: for scenarios that choose the leaders themselves.
  void set_auto_fence(bool on) { auto_fence_ = on; }

  // Clients.
  std::shared_ptr<SimProduce> Produce(NodeId at, const PartitionKey& key, const std::string& value,
                                      int16_t acks = -1, int32_t timeout_ms = 30000);
  std::shared_ptr<SimProduce> ProduceBatch(NodeId at, const PartitionKey& key, std::string batch,
                                           int16_t acks = -1, int32_t timeout_ms = 30000);
  ReplicaManager* replicas(NodeId id);
  // Of a live node: they go with its process.
  BrokerState& state(NodeId id);
  MetadataCache& cache(NodeId id);
  // Runs until they are there.
  std::vector<ListOffsetsResult> ListOffsets(NodeId at, std::vector<ListOffsetsEntry> entries);
  // Of a live node; nullopt when it holds no such replica.
  std::optional<PartitionStatus> StatusOf(NodeId id, const PartitionKey& key);
  const metadata::PartitionImage& ImageOf(const PartitionKey& key) const;
  NodeId LeaderOf(const PartitionKey& key) const { return ImageOf(key).leader; }
  // One line for each node: for the messages of failed tests.
  std::string Describe(const PartitionKey& key);
  size_t IsrSize(const PartitionKey& key) const { return ImageOf(key).isr.size(); }
  // The node's log up to `upto` (exclusive), or to its end.
  std::vector<SimRecord> ReadLog(NodeId id, const PartitionKey& key,
                                 Offset upto = Offset(INT64_MAX));
  // What a consumer gets from `from` on.
  std::vector<SimRecord> Consume(NodeId at, const PartitionKey& key, Offset from,
                                 kafka::ErrorCode* error = nullptr);

  static constexpr NodeId kController{1000};

 private:
  friend class SimControllerClient;
  friend class SimPeerClient;
  struct Node {
    Uuid directory;
    std::unique_ptr<::sluice::testing::SimFileSystem> disk;
    std::shared_ptr<Process> process;  // null = down
    int64_t last_contact_ms = 0;
    bool unclean = false;
    int boots = 1;  // of the machine
    int storage_failures = 0;
  };

  bool Linked(NodeId a, NodeId b) const { return !cuts_.contains(std::minmax(a, b)); }
  int64_t Delay() { return random_.Between(0, options_.network_ms_max); }
  int64_t NowMs() { return scheduler_.clock().SteadyMs(); }
  void End(NodeId id);
  void Heartbeat(NodeId id);
  void CheckSessions();
  void SpreadImage();
  void SendImage(NodeId id);
  void SendFetch(const std::shared_ptr<Call>& call, std::string bytes);
  static void FinishCall(const std::shared_ptr<Call>& call, Result<kafka::FetchResponse> response);

  const SimClusterOptions options_;
  Random random_;
  ::sluice::testing::SimScheduler scheduler_;
  ::sluice::testing::SimEventLoop network_;
  ConfigValues server_config_;
  SimController controller_;
  std::map<NodeId, Node> nodes_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::vector<std::weak_ptr<Call>> calls_;
  bool auto_fence_ = true;
  bool alters_late_ = false;
  std::vector<controller::AlterPartitionRequest> late_alters_;
};

// Remembers what was committed and fails when it ever changes: every record below some replica's
// high watermark is for ever.
class CommitChecker {
 public:
  CommitChecker(SimCluster& cluster, PartitionKey key) : cluster_(cluster), key_(key) {}
  // Compares what every live replica holds below its high watermark. False after the first
  // contradiction, told in error().
  bool Check();
  const std::string& error() const { return error_; }
  const std::map<int64_t, std::string>& committed() const { return committed_; }

 private:
  SimCluster& cluster_;
  const PartitionKey key_;
  std::map<int64_t, std::string> committed_;
  std::string error_;
};

}  // namespace sluice::broker::testing
