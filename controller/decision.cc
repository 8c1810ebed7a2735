#include "controller/decision.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::Image;

SenderCheck CheckBrokerSender(const Image& image, const Sender& sender) {
  const metadata::BrokerImage* broker = image.FindBroker(NodeId(sender.node_id()));
  const std::string name = "broker " + std::to_string(sender.node_id());
  if (broker == nullptr) return {ErrorCode::kBrokerIdNotRegistered, name + " is not registered"};
  if (broker->epoch.value() == sender.broker_epoch()) return {};
  return {ErrorCode::kStaleBrokerEpoch,
          name + " has epoch " + std::to_string(broker->epoch.value()) +
              ", the request comes from epoch " + std::to_string(sender.broker_epoch())};
}

}  // namespace sluice::controller
