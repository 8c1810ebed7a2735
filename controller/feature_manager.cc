#include "controller/feature_manager.h"

namespace sluice::controller {

namespace {

metadata::MetadataRecord Feature(const std::string& name, int32_t level) {
  metadata::MetadataRecord record;
  record.mutable_feature_level()->set_name(name);
  record.mutable_feature_level()->set_level(level);
  return record;
}

}  // namespace

Records BootstrapRecords(const metadata::Image& image, const std::string& cluster_id,
                         const ConfigValues& server) {
  if (!image.cluster_id.empty()) return {};
  Records records;
  metadata::MetadataRecord cluster;
  cluster.mutable_cluster()->set_cluster_id(cluster_id);
  records.push_back(std::move(cluster));
  records.push_back(Feature("metadata.version", kMetadataVersionLevel));
  records.push_back(Feature("eligible.leader.replicas.version", 1));
  records.push_back(Feature("group.version", 1));  // the consumer protocol (KIP-848)
  // Elections depend on it, so all controllers and brokers must read one value: from here on it is
  // metadata.
  metadata::MetadataRecord min_isr;
  min_isr.mutable_config()->set_type(metadata::CONFIG_RESOURCE_TYPE_BROKER);
  min_isr.mutable_config()->set_key("min.insync.replicas");
  min_isr.mutable_config()->set_value(server.GetString("min.insync.replicas"));
  records.push_back(std::move(min_isr));
  return records;
}

}  // namespace sluice::controller
