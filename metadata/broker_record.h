#pragma once
// What a broker's image and its registration record have in common.
//
// Thread rule: pure.

#include "metadata/image.h"
#include "proto/metadata.pb.h"

namespace sluice::metadata {

// The epochs in which it was in service with its directories.
void AddServed(const BrokerImage& broker, RegisterBrokerRecord& record);

}  // namespace sluice::metadata
