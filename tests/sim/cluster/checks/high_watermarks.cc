// Rules 4 and 6 of replication: within a leader epoch, a replica's high watermark never goes back,
// and it never lies beyond the log's end.
#include <map>
#include <utility>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/replica_walk.h"

namespace sluice::sim {
namespace {

class HighWatermarks final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    return LookAtReplicas(
        cluster, [&](NodeId id, const auto& status) { return Look(id, status); },
        [&](NodeId id, const auto& key) {
          seen_.erase({id, key});
        });
  }
  void OnProcessChange(NodeId id) override {
    std::erase_if(seen_, [id](const auto& entry) { return entry.first.first == id; });
  }

 private:
  std::string Look(NodeId id, const broker::PartitionStatus& status) {
    if (status.high_watermark > status.log_end_offset)
      return "the high watermark lies beyond the end";
    Seen& seen = seen_[{id, status.key}];
    if (seen.epoch == status.leader_epoch && status.high_watermark < seen.high_watermark) {
      return "the high watermark goes back from " + std::to_string(seen.high_watermark.value()) +
             " to " + std::to_string(status.high_watermark.value());
    }
    seen = {status.leader_epoch, status.high_watermark};
    return "";
  }

  struct Seen {
    LeaderEpoch epoch = kNoEpoch;
    Offset high_watermark{0};
  };
  std::map<std::pair<NodeId, broker::PartitionKey>, Seen> seen_;
};

}  // namespace

std::unique_ptr<Check> NewHighWatermarkCheck() { return std::make_unique<HighWatermarks>(); }

}  // namespace sluice::sim
