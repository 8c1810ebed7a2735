#include "metadata/broker_record.h"

#include <string>

namespace sluice::metadata {

void AddServed(const BrokerImage& broker, RegisterBrokerRecord& record) {
  for (const auto& [directory, epoch] : broker.served) {
    RegisterBrokerRecord::Served& served = *record.add_served();
    served.set_directory(std::string(directory.view()));
    served.set_broker_epoch(epoch.value());
  }
}

}  // namespace sluice::metadata
