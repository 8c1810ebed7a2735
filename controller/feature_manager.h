#pragma once
// FeatureManager: what a new cluster starts with: its id, the finalised feature levels, and the
// cluster-wide min.insync.replicas. A feature is finalised only when all of it works:
// transaction.version waits for its parts.
//
// Thread rule: pure.

#include "controller/decision.h"

namespace sluice::controller {

// metadata.version of Apache Kafka 4.3-IV0.
inline constexpr int32_t kMetadataVersionLevel = 30;

// The records that a cluster without metadata needs; none when it has them.
Records BootstrapRecords(const metadata::Image& image, const std::string& cluster_id,
                         const ConfigValues& server);

}  // namespace sluice::controller
