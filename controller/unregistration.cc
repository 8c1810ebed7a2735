#include "controller/unregistration.h"

#include <algorithm>
#include <string>

namespace sluice::controller {

using kafka::ErrorCode;

namespace {

// Partitions with a replica there, in words; empty when there are none.
std::string ReplicasOn(const metadata::Image& image, NodeId broker) {
  size_t count = 0;
  std::string first;
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      const std::vector<NodeId>& replicas = topic->partitions[i].replicas;
      if (std::find(replicas.begin(), replicas.end(), broker) == replicas.end()) continue;
      if (++count == 1) first = name + "-" + std::to_string(i);
    }
  }
  if (count == 0) return "";
  return count == 1 ? first : std::to_string(count) + " partitions, among them " + first;
}

}  // namespace

Decision<UnregisterBrokerResponse> UnregisterBroker(const HandleContext& context,
                                                    const UnregisterBrokerRequest& request) {
  Decision<UnregisterBrokerResponse> decision;
  const NodeId id(request.broker_id());
  const std::string name = "broker " + std::to_string(request.broker_id());
  const metadata::BrokerImage* broker = context.image->FindBroker(id);
  const auto refuse = [&](ErrorCode error, const std::string& why) {
    SetError(*decision.response.mutable_outcome(), error, why);
    return decision;
  };
  if (broker == nullptr)
    return refuse(ErrorCode::kBrokerIdNotRegistered, name + " is not registered");
  if (!broker->fenced) return refuse(ErrorCode::kInvalidRequest, name + " runs: stop it first");
  if (const std::string held = ReplicasOn(*context.image, id); !held.empty()) {
    return refuse(ErrorCode::kInvalidRequest,
                  name + " holds replicas of " + held + ": move them to others first");
  }
  decision.records.emplace_back().mutable_unregister_broker()->set_broker_id(id.value());
  return decision;
}

}  // namespace sluice::controller
