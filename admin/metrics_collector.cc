#include "admin/metrics_collector.h"

#include <map>

#include "admin/describe.h"
#include "base/version.h"

namespace sluice::admin {
namespace {

using metadata::Image;
using metadata::PartitionImage;

// Calls use(topic, index as text, partition) for every partition of the cluster.
template <typename Use>
void ForEachPartition(const Image& image, Use use) {
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      use(name, std::to_string(i), topic->partitions[i]);
    }
  }
}

bool LedByPreferred(const PartitionImage& partition) {
  return !partition.replicas.empty() && partition.leader == partition.replicas.front();
}

bool IsReplica(const PartitionImage& partition, NodeId node) {
  for (const NodeId replica : partition.replicas) {
    if (replica == node) return true;
  }
  return false;
}

// kafka_server_replicamanager_*: of what this node leads or holds.
void WriteReplicaManager(const Image& image, NodeId self, MetricsText* text) {
  int64_t leaders = 0;
  int64_t replicas = 0;
  int64_t under_replicated = 0;
  int64_t under_min_isr = 0;
  int64_t at_min_isr = 0;
  ForEachPartition(
      image, [&](const std::string& topic, const std::string&, const PartitionImage& partition) {
        replicas += IsReplica(partition, self) ? 1 : 0;
        if (partition.leader != self) return;
        ++leaders;
        under_replicated += IsUnderReplicated(partition) ? 1 : 0;
        under_min_isr += IsUnderMinIsr(image, topic, partition) ? 1 : 0;
        at_min_isr += IsAtMinIsr(image, topic, partition) ? 1 : 0;
      });
  text->Gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.")
      .Add({}, leaders);
  text->Gauge("kafka_server_replicamanager_partitioncount", "Partitions that this broker holds.")
      .Add({}, replicas);
  text->Gauge("kafka_server_replicamanager_underreplicatedpartitions",
              "Partitions led by this broker with replicas out of sync.")
      .Add({}, under_replicated);
  text->Gauge("kafka_server_replicamanager_underminisrpartitioncount",
              "Partitions led by this broker with fewer replicas in sync than min.insync.replicas.")
      .Add({}, under_min_isr);
  text->Gauge("kafka_server_replicamanager_atminisrpartitioncount",
              "Partitions led by this broker with just min.insync.replicas in sync.")
      .Add({}, at_min_isr);
}

// kafka_controller_*: as in Kafka, a controller that is not active tells zeros.
void WriteController(const Image& image, const LocalController& controller, MetricsText* text) {
  int64_t partitions = 0;
  int64_t offline = 0;
  int64_t imbalanced = 0;
  int64_t active_brokers = 0;
  int64_t fenced_brokers = 0;
  if (controller.active) {
    ForEachPartition(image,
                     [&](const std::string&, const std::string&, const PartitionImage& partition) {
                       ++partitions;
                       offline += IsOffline(partition) ? 1 : 0;
                       imbalanced += LedByPreferred(partition) ? 0 : 1;
                     });
    for (const auto& [id, broker] : image.brokers)
      ++(broker->fenced ? fenced_brokers : active_brokers);
  }
  const int64_t topics = controller.active ? static_cast<int64_t>(image.topics_by_name->size()) : 0;
  text->Gauge("kafka_controller_kafkacontroller_activecontrollercount",
              "1 on the active controller, 0 on others.")
      .Add({}, int64_t{controller.active});
  text->Gauge("kafka_controller_kafkacontroller_offlinepartitionscount",
              "Partitions without a leader.")
      .Add({}, offline);
  text->Gauge("kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
              "Partitions led by another than their first replica.")
      .Add({}, imbalanced);
  text->Gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.")
      .Add({}, topics);
  text->Gauge("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster.")
      .Add({}, partitions);
  text->Gauge("kafka_controller_kafkacontroller_activebrokercount",
              "Registered brokers that are not fenced.")
      .Add({}, active_brokers);
  text->Gauge("kafka_controller_kafkacontroller_fencedbrokercount",
              "Registered brokers that are fenced.")
      .Add({}, fenced_brokers);
  text->Gauge("kafka_server_raftmetrics_current_leader",
              "Id of the quorum's leader, -1 when none is known.")
      .Add({}, int64_t{controller.leader.value()});
  text->Gauge("kafka_server_raftmetrics_current_epoch", "Term of the quorum.")
      .Add({}, controller.term.value());
  text->Gauge("kafka_server_raftmetrics_high_watermark",
              "Index up to which the metadata log is committed.")
      .Add({}, controller.commit_index.value());
  text->Gauge("kafka_server_raftmetrics_log_end_offset",
              "Last index of this controller's metadata log.")
      .Add({}, controller.last_index.value());
}

// kafka_cluster_partition_*: of what this node leads.
void WriteLedPartitions(const Image& image, NodeId self, MetricsText* text) {
  const auto write = [&](std::string_view name, std::string_view help, auto value) {
    MetricsText::Family family = text->Gauge(name, help);
    ForEachPartition(image, [&](const std::string& topic, const std::string& index,
                                const PartitionImage& partition) {
      if (partition.leader != self) return;
      family.Add({{"topic", topic}, {"partition", index}},
                 static_cast<int64_t>(value(topic, partition)));
    });
  };
  write("kafka_cluster_partition_underminisr",
        "1 when fewer replicas are in sync than min.insync.replicas.",
        [&](const std::string& topic, const PartitionImage& p) {
          return IsUnderMinIsr(image, topic, p);
        });
  write("kafka_cluster_partition_atminisr", "1 when just min.insync.replicas are in sync.",
        [&](const std::string& topic, const PartitionImage& p) {
          return IsAtMinIsr(image, topic, p);
        });
  write("kafka_cluster_partition_replicascount", "Replicas of the partition.",
        [](const std::string&, const PartitionImage& p) { return p.replicas.size(); });
  write("kafka_cluster_partition_insyncreplicascount", "Replicas in sync.",
        [](const std::string&, const PartitionImage& p) { return p.isr.size(); });
  write("kafka_topic_partition_leader", "Id of the partition's leader.",
        [](const std::string&, const PartitionImage& p) { return p.leader.value(); });
  write("kafka_topic_partition_leader_is_preferred", "1 when the first replica leads.",
        [](const std::string&, const PartitionImage& p) { return LedByPreferred(p); });
  write("kafka_topic_partition_replicas", "Replicas of the partition.",
        [](const std::string&, const PartitionImage& p) { return p.replicas.size(); });
  write("kafka_topic_partition_in_sync_replica", "Replicas in sync.",
        [](const std::string&, const PartitionImage& p) { return p.isr.size(); });
  write("kafka_topic_partition_under_replicated_partition", "1 when replicas are out of sync.",
        [](const std::string&, const PartitionImage& p) { return IsUnderReplicated(p); });
}

// Of the logs on this node's disk.
void WriteLogs(const std::vector<LocalPartition>& partitions, MetricsText* text) {
  const auto write = [&](std::string_view name, std::string_view help, bool led_only, auto value) {
    MetricsText::Family family = text->Gauge(name, help);
    for (const LocalPartition& local : partitions) {
      if (led_only && !local.is_leader) continue;
      family.Add({{"topic", local.topic}, {"partition", std::to_string(local.partition.value())}},
                 static_cast<int64_t>(value(local)));
    }
  };
  write("kafka_log_log_size", "Bytes of the partition's log on this broker.", false,
        [](const LocalPartition& p) { return p.size_bytes; });
  write("kafka_log_log_logstartoffset", "First offset of the log on this broker.", false,
        [](const LocalPartition& p) { return p.log_start_offset.value(); });
  write("kafka_log_log_logendoffset", "Next offset of the log on this broker.", false,
        [](const LocalPartition& p) { return p.log_end_offset.value(); });
  write("kafka_topic_partition_current_offset", "High watermark of the partition.", true,
        [](const LocalPartition& p) { return p.high_watermark.value(); });
  write("kafka_topic_partition_oldest_offset", "First offset of the partition.", true,
        [](const LocalPartition& p) { return p.log_start_offset.value(); });
  int64_t offline = 0;
  for (const LocalPartition& local : partitions) offline += local.offline ? 1 : 0;
  text->Gauge("kafka_server_replicamanager_offlinereplicacount",
              "Replicas of this broker that are offline.")
      .Add({}, offline);
}

void WriteCluster(const Image& image, MetricsText* text) {
  int64_t active = 0;
  for (const auto& [id, broker] : image.brokers) active += broker->active() ? 1 : 0;
  text->Gauge("kafka_brokers", "Brokers in service.").Add({}, active);
  MetricsText::Family family = text->Gauge("kafka_topic_partitions", "Partitions of the topic.");
  for (const auto& [name, topic] : *image.topics_by_name) {
    family.Add({{"topic", name}}, static_cast<int64_t>(topic->partitions.size()));
  }
}

}  // namespace

std::string MetricsCollector::Collect() const {
  const metadata::ImagePtr image = backend_.Image();
  MetricsText text;
  text.Gauge("sluice_build_info", "Always 1; the version is the label.")
      .Add({{"version", kVersion}}, int64_t{1});
  text.Gauge("sluice_ready", "1 when the node can do its work.")
      .Add({}, int64_t{backend_.Ready().ready});
  text.Gauge("sluice_metadata_applied_index",
             "Index up to which this node has applied the cluster's metadata.")
      .Add({}, image->last_index.value());
  WriteCluster(*image, &text);
  if (const auto controller = backend_.Controller(); controller.has_value()) {
    WriteController(*image, *controller, &text);
  }
  WriteReplicaManager(*image, backend_.node_id(), &text);
  WriteLedPartitions(*image, backend_.node_id(), &text);
  WriteLogs(backend_.Partitions(), &text);
  for (const Source& source : sources_) source(text);
  return text.Take();
}

}  // namespace sluice::admin
