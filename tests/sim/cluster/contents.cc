#include "tests/sim/cluster/contents.h"

#include "base/output_chain.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {

std::string StoredBytes(Process& process, const history::Place& place, int64_t from, int64_t to) {
  const auto log = process.logs().Find({place.topic, place.partition});
  std::string bytes;
  if (log == nullptr) return bytes;
  Offset at = std::max(log->log_start_offset(), Offset(from));
  const Offset end = std::min(log->log_end_offset(), Offset(to));
  while (at < end) {
    const Result<storage::ReadResult> read = log->Read(at, 1 << 20, end, true);
    if (!read.ok() || read->size_bytes == 0) return "";
    OutputChain chain;
    for (const FileSlice& slice : read->slices) chain.Add(slice);
    const Result<std::string> part = Flatten(chain);
    if (!part.ok()) return "";
    kafka::BatchIterator batches(*part);
    for (;;) {
      const auto batch = batches.Next();
      if (!batch.ok() || !batch->has_value()) break;
      at = Offset((*batch)->last_offset().value() + 1);
    }
    bytes += part->substr(0, batches.position());
  }
  return bytes;
}

std::string CompareReplicas(Cluster& cluster, const std::vector<history::Place>& places) {
  const metadata::ImagePtr image = cluster.ActiveImage();
  if (image == nullptr) return "no controller is active";
  for (const history::Place& place : places) {
    const auto topic = image->FindTopic(place.topic);
    if (topic == nullptr) return "topic " + place.topic + " is gone";
    const metadata::PartitionImage& partition =
        topic->partitions.at(static_cast<size_t>(place.partition.value()));
    std::optional<std::string> first;
    for (const NodeId id : partition.replicas) {
      const auto process = cluster.process(id);
      if (process == nullptr) return "node " + std::to_string(id.value()) + " is down";
      std::string bytes = StoredBytes(*process, place, 0, INT64_MAX);
      if (!first.has_value())
        first = std::move(bytes);
      else if (*first != bytes)
        return "the replicas of " + place.topic + "-" + std::to_string(place.partition.value()) +
               " differ";
    }
  }
  return "";
}

}  // namespace sluice::sim
