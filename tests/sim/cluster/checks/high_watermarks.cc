// Rules 4 and 6 of replication: within a leader epoch, a replica's high watermark never goes back,
// and it never lies beyond the log's end.
#include <map>
#include <utility>

#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class HighWatermarks final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    for (const NodeId id : cluster.ids()) {
      for (const broker::PartitionStatus& status : cluster.StatusesOf(id)) {
        if (!status.error.empty()) continue;
        if (cluster.MayHoldVoid(id, status.key)) {
          seen_.erase({id, status.key});
          continue;
        }
        const std::string who =
            status.name.ToString() + " on node " + std::to_string(id.value()) + ": ";
        if (status.high_watermark > status.log_end_offset)
          return who + "the high watermark lies beyond the end";
        Seen& seen = seen_[{id, status.key}];
        if (seen.epoch == status.leader_epoch && status.high_watermark < seen.high_watermark) {
          return who + "the high watermark goes back from " +
                 std::to_string(seen.high_watermark.value()) + " to " +
                 std::to_string(status.high_watermark.value());
        }
        seen = {status.leader_epoch, status.high_watermark};
      }
    }
    return "";
  }
  void OnProcessChange(NodeId id) override {
    std::erase_if(seen_, [id](const auto& entry) { return entry.first.first == id; });
  }

 private:
  struct Seen {
    LeaderEpoch epoch = kNoEpoch;
    Offset high_watermark{0};
  };
  std::map<std::pair<NodeId, broker::PartitionKey>, Seen> seen_;
};

}  // namespace

std::unique_ptr<Check> NewHighWatermarkCheck() { return std::make_unique<HighWatermarks>(); }

}  // namespace sluice::sim
