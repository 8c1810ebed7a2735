#include "controller/feature_manager.h"

#include <algorithm>
#include <array>

namespace sluice::controller {

namespace {

constexpr std::array<std::string_view, 2> kClusterWide{"durability", "min.insync.replicas"};

metadata::MetadataRecord Feature(const std::string& name, int32_t level) {
  metadata::MetadataRecord record;
  record.mutable_feature_level()->set_name(name);
  record.mutable_feature_level()->set_level(level);
  return record;
}

}  // namespace

Records BootstrapRecords(const metadata::Image& image, const std::string& cluster_id,
                         const ConfigValues& server) {
  Records records;
  if (image.cluster_id.empty()) {
    metadata::MetadataRecord cluster;
    cluster.mutable_cluster()->set_cluster_id(cluster_id);
    records.push_back(std::move(cluster));
    records.push_back(Feature("metadata.version", kMetadataVersionLevel));
    records.push_back(Feature("eligible.leader.replicas.version", 1));
    records.push_back(Feature("group.version", 1));  // the consumer protocol (KIP-848)
  }
  // Before the settings: what durability topics had follows from there on.
  if (image.fsync_since == nullptr) {
    metadata::ClusterRecord& cluster = *records.emplace_back().mutable_cluster();
    cluster.set_cluster_id(image.cluster_id.empty() ? cluster_id : image.cluster_id);
    cluster.mutable_fsync_since();
  }
  const auto known = image.broker_configs->find("");
  for (const std::string_view key : kClusterWide) {
    if (known != image.broker_configs->end() && known->second.contains(std::string(key))) continue;
    metadata::MetadataRecord record;
    record.mutable_config()->set_type(metadata::CONFIG_RESOURCE_TYPE_BROKER);
    record.mutable_config()->set_key(std::string(key));
    record.mutable_config()->set_value(server.GetString(key));
    records.push_back(std::move(record));
  }
  return records;
}

bool IsClusterWide(std::string_view key) {
  return std::ranges::find(kClusterWide, key) != kClusterWide.end();
}

}  // namespace sluice::controller
