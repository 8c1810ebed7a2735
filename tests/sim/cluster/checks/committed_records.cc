// ConsistentRead, LeaderCompleteness and ReplicationQuorumSuperset: what lies below the high
// watermark of some replica is there for ever. Whoever leads has all of it when its epoch begins,
// every replica that shows it shows the same, and every member of the ISR or the ELR that runs has
// it. An unclean election makes an end of that, for whoever is not in the ISR.
#include <algorithm>
#include <map>
#include <utility>

#include "base/crc32c.h"
#include "kafka/record_batch.h"
#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/replica_walk.h"
#include "tests/sim/cluster/contents.h"

namespace sluice::sim {
namespace {

class CommittedRecords final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    const std::string wrong = LookAtReplicas(
        cluster,
        [&](NodeId id, const auto& status) {
          ForgetVoid(cluster, status.key);
          return Look(cluster, id, status);
        },
        [&](NodeId, const auto& key) { ForgetVoid(cluster, key); });
    return wrong.empty() ? CheckMembers(cluster) : wrong;
  }
  void OnProcessChange(NodeId id) override {
    std::erase_if(seen_, [id](const auto& entry) { return entry.first.first == id; });
  }

 private:
  struct Seen {
    Offset checked{0};           // below it the replica agrees with what is known
    LeaderEpoch led = kNoEpoch;  // the last epoch that it was found leading in
  };
  // By the last offset of each batch: its first one, its epoch and a checksum of its bytes.
  struct Batch {
    int64_t base = 0;
    int32_t epoch = 0;
    uint32_t crc = 0;
    friend bool operator==(const Batch&, const Batch&) = default;
  };
  using Committed = std::map<int64_t, Batch>;

  // After an unclean election it is committed what its leader has.
  void ForgetVoid(Cluster& cluster, const broker::PartitionKey& key) {
    const int elections = cluster.unclean_elections(key);
    if (elections == 0 || std::exchange(unclean_[key], elections) == elections) return;
    committed_.erase(key);
    std::erase_if(seen_, [&key](const auto& entry) { return entry.first.second == key; });
  }

  static Offset EndOf(const Committed& committed) {
    return Offset(committed.empty() ? 0 : committed.rbegin()->first + 1);
  }

  std::string Look(Cluster& cluster, NodeId id, const broker::PartitionStatus& status) {
    Seen& seen = seen_[{id, status.key}];
    Committed& committed = committed_[status.key];
    // One that hears late of an epoch that is over may have begun without what came since.
    const metadata::PartitionImage* partition =
        cluster.NewestImage()->FindPartition(status.key.topic_id, status.key.partition);
    const bool begins = status.is_leader && seen.led != status.leader_epoch &&
                        partition != nullptr && partition->leader_epoch == status.leader_epoch;
    if (begins) {
      seen.led = status.leader_epoch;
      seen.checked = Offset(0);
      if (status.log_end_offset < EndOf(committed)) {
        return "it leads in epoch " + std::to_string(status.leader_epoch.value()) + " up to " +
               std::to_string(status.log_end_offset.value()) + ", though " +
               std::to_string(EndOf(committed).value()) + " is committed";
      }
    }
    // Truncated: what comes in its place is looked at again.
    seen.checked = std::min(seen.checked, status.log_end_offset);
    const Offset upto =
        begins ? std::max(status.high_watermark, EndOf(committed)) : status.high_watermark;
    if (seen.checked >= upto) return "";
    const std::string bytes =
        StoredBytes(*cluster.process(id), {status.name.topic, status.name.partition},
                    seen.checked.value(), upto.value());
    kafka::BatchIterator batches(bytes);
    for (;;) {
      const auto batch = batches.Next();
      if (!batch.ok()) return "it holds what is no batch: " + batch.status().ToString();
      if (!batch->has_value()) break;
      const Batch found{(*batch)->base_offset().value(), (*batch)->partition_leader_epoch().value(),
                        Crc32c((*batch)->bytes())};
      const int64_t last = (*batch)->last_offset().value();
      if (last >= upto.value()) break;
      std::string wrong = Compare(committed, found, last, status.high_watermark);
      if (!wrong.empty()) return wrong;
      seen.checked = Offset(last + 1);
    }
    return "";
  }

  static std::string Compare(Committed& committed, const Batch& found, int64_t last,
                             Offset high_watermark) {
    const auto known = committed.lower_bound(found.base);
    if (known == committed.end()) {
      if (last < high_watermark.value()) committed.emplace(last, found);
      return "";
    }
    if (known->first == last && known->second == found) return "";
    return "it has another batch at " + std::to_string(found.base) + ", of epoch " +
           std::to_string(found.epoch) + ", than was committed there in epoch " +
           std::to_string(known->second.epoch);
  }

  std::string CheckMembers(Cluster& cluster) {
    const metadata::ImagePtr& image = cluster.NewestImage();
    for (const NodeId id : cluster.ids()) {
      const metadata::BrokerImage* broker = image->FindBroker(id);
      const auto process = cluster.process(id);
      if (broker == nullptr || process == nullptr) continue;
      if (process->broker_state().broker_epoch != broker->epoch.value()) continue;
      for (const broker::PartitionStatus& status : cluster.StatusesOf(id)) {
        const metadata::PartitionImage* partition =
            image->FindPartition(status.key.topic_id, status.key.partition);
        if (partition == nullptr || !status.error.empty()) continue;
        const bool in_isr = std::ranges::find(partition->isr, id) != partition->isr.end();
        const bool in_elr = std::ranges::find(partition->elr, id) != partition->elr.end();
        if (!in_isr && !in_elr) continue;
        const Offset end = EndOf(committed_[status.key]);
        if (status.log_end_offset >= end) continue;
        return status.name.ToString() + " on node " + std::to_string(id.value()) + " is in the " +
               (in_isr ? "ISR" : "ELR") + " and ends at " +
               std::to_string(status.log_end_offset.value()) + ", though " +
               std::to_string(end.value()) + " is committed";
      }
    }
    return "";
  }

  std::map<std::pair<NodeId, broker::PartitionKey>, Seen> seen_;
  std::map<broker::PartitionKey, Committed> committed_;
  std::map<broker::PartitionKey, int> unclean_;  // elections that are known here
};

}  // namespace

std::unique_ptr<Check> NewCommittedRecordsCheck() { return std::make_unique<CommittedRecords>(); }

}  // namespace sluice::sim
