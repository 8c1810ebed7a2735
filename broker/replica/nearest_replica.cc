#include "broker/replica/nearest_replica.h"

#include <algorithm>
#include <tuple>

namespace sluice::broker {
namespace {

bool Offers(const NearestReplicaInput& input, const RemoteReplica& replica) {
  if (!input.replicas.InIsr(replica.id) || !replica.fetched_in_epoch()) return false;
  if (replica.log_end_offset < input.offset || replica.log_start_offset > input.offset)
    return false;
  const metadata::BrokerImage* broker = input.image.FindBroker(replica.id);
  if (broker == nullptr || broker->rack != input.reader_rack) return false;
  const bool reachable =
      std::any_of(broker->endpoints.begin(), broker->endpoints.end(),
                  [&](const auto& endpoint) { return endpoint.listener == input.listener; });
  return reachable && metadata::ReplicaActive(input.image, input.partition, replica.id) &&
         input.followers.IsConnected(replica.id);
}

}  // namespace

NodeId NearestReplica(const NearestReplicaInput& input) {
  if (input.reader_rack.empty() || input.reader_rack == input.leader_rack) return kNoNode;
  const RemoteReplica* best = nullptr;
  const auto merit = [](const RemoteReplica& replica) {
    return std::make_tuple(replica.log_end_offset, replica.last_caught_up_ms, replica.id);
  };
  for (const RemoteReplica& replica : input.replicas.remotes()) {
    if (!Offers(input, replica)) continue;
    if (best == nullptr || merit(replica) > merit(*best)) best = &replica;
  }
  return best == nullptr ? kNoNode : best->id;
}

}  // namespace sluice::broker
