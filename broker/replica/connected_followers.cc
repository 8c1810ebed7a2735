#include "broker/replica/connected_followers.h"

namespace sluice::broker {

void ConnectedFollowers::Note(NodeId follower, const std::weak_ptr<const void>& connection,
                              const metadata::Image& image) {
  if (image.FindBroker(follower) == nullptr) return;
  std::lock_guard lock(mutex_);
  connections_[follower] = connection;
}

bool ConnectedFollowers::IsConnected(NodeId follower) const {
  std::lock_guard lock(mutex_);
  const auto found = connections_.find(follower);
  return found != connections_.end() && !found->second.expired();
}

}  // namespace sluice::broker
