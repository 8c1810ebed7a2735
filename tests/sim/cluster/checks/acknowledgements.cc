// Rule 7 of replication, at each answer to a producer: what acks=all says yes to is on the disks of
// min.insync.replicas hosts, synced there, or with durability=replicated written. The disks say so,
// not the brokers.
#include <algorithm>
#include <utility>

#include "storage/file_names.h"
#include "tests/sim/cluster/checks/all_checks.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {
namespace {

class Acknowledgements final : public Check {
 public:
  std::string AfterInstant(Cluster& cluster) override {
    std::string wrong;
    for (Log* log : {&cluster.log(), &cluster.scratch()}) {
      for (const Acknowledgement& given : std::exchange(log->acknowledgements, {})) {
        if (wrong.empty()) wrong = Judge(cluster, given);
      }
    }
    return wrong;
  }

 private:
  static std::string Judge(Cluster& cluster, const Acknowledgement& given) {
    const std::string what =
        given.place.topic + "-" + std::to_string(given.place.partition.value()) + ": node " +
        std::to_string(given.leader.value()) + " acknowledges offset " +
        std::to_string(given.last_offset) + " with acks=" + std::to_string(given.acks) + ", ";
    const metadata::ImagePtr& image = cluster.NewestImage();
    const metadata::PartitionImage* partition =
        image->FindPartition(given.topic_id, given.place.partition);
    if (given.acks != -1 || partition == nullptr) return "";
    const auto holders =
        std::ranges::count_if(cluster.ids(), [&](NodeId id) { return Holds(cluster, id, given); });
    // Who was dropped while the answer was on its way has deleted its copy: the partition is to
    // have fewer replicas.
    const auto factor = static_cast<int64_t>(partition->replication_factor());
    const int64_t wanted = std::min<int64_t>(given.min_isr, factor);
    if (holders >= wanted) return "";
    return what + "and " + std::to_string(holders) + " of " + std::to_string(wanted) +
           " disks have it";
  }

  // One that is down may have it, and one whose disk fails just now: they cannot be asked.
  static bool Holds(Cluster& cluster, NodeId id, const Acknowledgement& given) {
    const auto process = cluster.process(id);
    if (process == nullptr || MayHaveLostIt(cluster, *process, given)) return true;
    // Not what the broker says of its replicas: one that has just begun knows none.
    const auto log = process->logs().Find({given.place.topic, given.place.partition});
    if (log == nullptr && HasFailed(cluster, id, given)) return true;
    if (log == nullptr || log->log_end_offset().value() <= given.last_offset) return false;
    if (log->log_start_offset().value() > given.first_offset || !given.fsync) return true;
    const Result<storage::ReadResult> read =
        log->Read(Offset(given.first_offset), 1, Offset(given.last_offset + 1), true);
    if (!read.ok()) return false;
    const std::string path = PathOf(cluster.host(id), given);
    return std::ranges::all_of(read->slices, [&](const FileSlice& slice) {
      return cluster.host(id).disk.Durable(path, slice.offset, slice.size_bytes);
    });
  }

  // The process ends for it.
  static bool HasFailed(Cluster& cluster, NodeId id, const Acknowledgement& given) {
    return std::ranges::any_of(cluster.StatusesOf(id), [&](const auto& status) {
      return status.name.topic == given.place.topic &&
             status.name.partition == given.place.partition && status.disk_away;
    });
  }

  // It had it when it said so, and has another disk since, or has lost its host's power: the
  // answer was under way to the leader. Whoever is in the ISR again has all of it again.
  static bool MayHaveLostIt(Cluster& cluster, const Process& process,
                            const Acknowledgement& given) {
    const Host& host = process.host();
    if (!host.disk_replaced && (given.fsync || host.boots == 1)) return false;
    const metadata::ImagePtr& image = cluster.NewestImage();
    const metadata::BrokerImage* broker = image->FindBroker(host.id);
    const auto* partition = image->FindPartition(given.topic_id, given.place.partition);
    return broker == nullptr || broker->epoch.value() != process.broker_state().broker_epoch ||
           std::ranges::find(partition->isr, host.id) == partition->isr.end();
  }

  // Of the segment that holds it.
  static std::string PathOf(Host& host, const Acknowledgement& given) {
    const std::string directory = host.config.log_directory + "/" + given.place.topic + "-" +
                                  std::to_string(given.place.partition.value());
    const auto names = host.disk.List(directory);
    std::string segment;
    if (!names.ok()) return segment;
    for (const std::string& name : *names) {
      const auto base = storage::ParseOffsetFileName(name, storage::kLogSuffix);
      if (base.has_value() && base->value() <= given.first_offset) segment = name;
    }
    return directory + "/" + segment;
  }
};

}  // namespace

std::unique_ptr<Check> NewAcknowledgementCheck() { return std::make_unique<Acknowledgements>(); }

}  // namespace sluice::sim
