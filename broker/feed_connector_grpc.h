#pragma once
// The FeedConnector that speaks gRPC.
//
// Thread rule: as FeedConnector.

#include <memory>

#include "broker/feed_connector.h"

namespace sluice::broker {

std::unique_ptr<FeedConnector> NewGrpcFeedConnector();

}  // namespace sluice::broker
