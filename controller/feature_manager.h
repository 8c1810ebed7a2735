#pragma once
// FeatureManager: what a new cluster starts with: its id, the finalised feature levels, and the
// settings that all its nodes read alike. A feature is finalised only when all of it works:
// transaction.version waits for its parts.
//
// Thread rule: pure.

#include <string_view>

#include "controller/decision.h"

namespace sluice::controller {

// metadata.version of Apache Kafka 4.3-IV0.
inline constexpr int32_t kMetadataVersionLevel = 30;

// Whether the setting has one default for all brokers and controllers, which is metadata from the
// cluster's first start on: who acknowledges, who flushes and who judges what a crash has cost must
// not read different files.
bool IsClusterWide(std::string_view key);

// The records that a cluster without metadata needs, or one of a version that knew fewer of the
// cluster-wide settings, or nothing of the durability that topics had; none when it has them. The
// settings are those of the node that is active first.
Records BootstrapRecords(const metadata::Image& image, const std::string& cluster_id,
                         const ConfigValues& server);

}  // namespace sluice::controller
