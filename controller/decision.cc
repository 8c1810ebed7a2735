#include "controller/decision.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::Image;

SenderCheck CheckBrokerSender(const Image& image, const Sender& sender) {
  const metadata::BrokerImage* broker = image.FindBroker(NodeId(sender.node_id()));
  const std::string name = "broker " + std::to_string(sender.node_id());
  if (broker == nullptr) return {ErrorCode::kBrokerIdNotRegistered, name + " is not registered"};
  if (broker->epoch.value() != sender.broker_epoch()) {
    return {ErrorCode::kStaleBrokerEpoch,
            name + " has epoch " + std::to_string(broker->epoch.value()) +
                ", the request comes from epoch " + std::to_string(sender.broker_epoch())};
  }
  if (IsUuid(sender.directory_id()) && sender.directory_id() != broker->directory_id.view()) {
    return {ErrorCode::kInvalidRegistration,
            name + " is registered with log directory " + broker->directory_id.ToString() +
                ", the request comes from " + Uuid::FromBytes(sender.directory_id()).ToString()};
  }
  return {};
}

}  // namespace sluice::controller
