#pragma once
// ConnectedFollowers: which brokers have a connection here by which they fetch. One whose process
// ends loses it at once, long before the image tells; librdkafka 2.0.2, sent to read from such a
// one, tries to connect there for minutes and asks nobody else.
//
// Thread rule: thread-safe.

#include <map>
#include <memory>
#include <mutex>

#include "base/ids.h"
#include "metadata/image.h"

namespace sluice::broker {

class ConnectedFollowers {
 public:
  // `follower` fetches by this connection, which holds the object for as long as it is open. Nobody
  // is remembered whom `image` does not know: clients may call themselves by any id.
  void Note(NodeId follower, const std::weak_ptr<const void>& connection,
            const metadata::Image& image);
  // Who never fetched counts as gone.
  bool IsConnected(NodeId follower) const;

 private:
  mutable std::mutex mutex_;  // guards connections_
  std::map<NodeId, std::weak_ptr<const void>> connections_;
};

}  // namespace sluice::broker
