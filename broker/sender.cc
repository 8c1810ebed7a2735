#include "broker/sender.h"

#include <string>

namespace sluice::broker {

controller::Sender MakeSender(const BrokerState& state) {
  controller::Sender sender;
  sender.set_cluster_id(state.cluster_id);
  sender.set_node_id(state.node_id.value());
  sender.set_directory_id(std::string(state.directory_id.view()));
  sender.set_broker_epoch(state.broker_epoch.load());
  return sender;
}

}  // namespace sluice::broker
