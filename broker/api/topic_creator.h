#pragma once
// TopicCreator: creates topics that clients ask for without having made them
// (auto.create.topics.enable), and topics of the brokers' own when they are first needed. One
// request for each name is under way at a time, however many
// clients ask.
//
// Thread rule: thread-safe.

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "metadata/image.h"

namespace sluice::broker {

class TopicCreator {
 public:
  // Neither is owned.
  TopicCreator(const BrokerState& state, ControllerClient& controller)
      : state_(state), controller_(controller) {}
  // Returns at once; who asked learns of the topic by asking again.
  void Create(const std::vector<std::string>& names);
  struct Topic {
    std::string name;
    int32_t partitions = -1;  // -1: the default, as below
    int32_t replicas = -1;
    metadata::ConfigMap configs;
  };
  void Create(const std::vector<Topic>& topics);

 private:
  // Outlives the creator, for answers that come late.
  struct UnderWay {
    std::mutex mutex;  // guards names
    std::set<std::string> names;
  };

  const BrokerState& state_;
  ControllerClient& controller_;
  const std::shared_ptr<UnderWay> under_way_ = std::make_shared<UnderWay>();
};

}  // namespace sluice::broker
