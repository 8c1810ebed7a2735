// Log matching (rule 3 of replication): where two logs of a partition have a batch of the same
// leader epoch at the same offset, that batch is the same, and so is the one before it; hence all
// that lies before. It holds above the high watermark too, where committed_records.cc sees nothing.
// What a log has lost of late is compared as well: its epoch had one leader, who wrote it once.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/crc32c.h"
#include "kafka/record_batch.h"
#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/checks/replica_walk.h"
#include "tests/sim/cluster/contents.h"

namespace sluice::sim {
namespace {

class LogMatching final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    return LookAtReplicas(
        cluster, [&](NodeId id, const auto& status) { return Look(cluster, id, status); },
        [&](NodeId id, const auto& key) {
          seen_.erase({id, key});
        });
  }
  void OnProcessChange(NodeId id) override {
    std::erase_if(seen_, [id](const auto& entry) { return entry.first.first == id; });
  }

 private:
  // Which batch of a partition: who wrote it, and where.
  struct Place {
    int32_t epoch = 0;
    int64_t base = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Batch {
    uint32_t crc = 0;
    std::optional<Place> before;  // none: a log was first seen to begin with it
  };
  struct Seen {
    std::optional<Place> last;  // the log's last batch when it was looked at
    Offset end{0};
  };

  std::string Look(Cluster& cluster, NodeId id, const broker::PartitionStatus& status) {
    Seen& seen = seen_[{id, status.key}];
    if (seen.end == status.log_end_offset) return "";
    const Offset from =
        std::max(status.log_start_offset, Offset(seen.last.has_value() ? seen.last->base : 0));
    const std::string bytes =
        StoredBytes(*cluster.process(id), {status.name.topic, status.name.partition}, from.value(),
                    status.log_end_offset.value());
    // A log that cannot be read now is looked at with its next change of status.
    if (bytes.empty() && from < status.log_end_offset) return "";
    // The last batch is read again: another one in its place tells of a truncation, and all that
    // is there now is looked at anew.
    if (seen.last.has_value() && FirstOf(bytes) != seen.last) {
      seen = {};
      return Look(cluster, id, status);
    }
    seen.end = status.log_end_offset;
    return Compare(known_[status.key], bytes, seen);
  }

  static Place PlaceOf(const kafka::RecordBatchView& batch) {
    return {batch.partition_leader_epoch().value(), batch.base_offset().value()};
  }
  static std::optional<Place> FirstOf(const std::string& bytes) {
    kafka::BatchIterator batches(bytes);
    const auto batch = batches.Next();
    if (!batch.ok() || !batch->has_value()) return std::nullopt;
    return PlaceOf(**batch);
  }

  static std::string Compare(std::map<Place, Batch>& known, const std::string& bytes, Seen& seen) {
    kafka::BatchIterator batches(bytes);
    std::optional<Place> before;
    for (;;) {
      const auto batch = batches.Next();
      if (!batch.ok()) return "it holds what is no batch: " + batch.status().ToString();
      if (!batch->has_value()) return "";
      const Place place = PlaceOf(**batch);
      const Batch found{Crc32c((*batch)->bytes()), before};
      const auto [there, added] = known.try_emplace(place, found);
      const std::string which = "its batch at " + std::to_string(place.base) + " of epoch " +
                                std::to_string(place.epoch) + " ";
      if (there->second.crc != found.crc) return which + "is another one than in another log";
      if (!there->second.before.has_value()) there->second.before = before;
      if (before.has_value() && there->second.before != before)
        return which + "follows another one than in another log";
      before = place;
      seen.last = place;
    }
  }

  std::map<std::pair<NodeId, broker::PartitionKey>, Seen> seen_;
  std::map<broker::PartitionKey, std::map<Place, Batch>> known_;
};

}  // namespace

std::unique_ptr<Check> NewLogMatchingCheck() { return std::make_unique<LogMatching>(); }

}  // namespace sluice::sim
