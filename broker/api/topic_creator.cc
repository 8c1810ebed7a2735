#include "broker/api/topic_creator.h"

#include <glog/logging.h>

#include <utility>

#include "broker/sender.h"

namespace sluice::broker {

namespace {

constexpr int64_t kTimeoutMs = 30000;

}  // namespace

void TopicCreator::Create(const std::vector<std::string>& names) {
  std::vector<Topic> topics;
  for (const std::string& name : names) topics.push_back({.name = name, .configs = {}});
  Create(topics);
}

void TopicCreator::Create(const std::vector<Topic>& topics) {
  controller::CreateTopicsRequest request;
  *request.mutable_sender() = MakeSender(state_);
  request.mutable_sender()->set_client("whoever needs it first");
  std::vector<std::string> taken;
  {
    std::lock_guard lock(under_way_->mutex);
    for (const Topic& wanted : topics) {
      if (!under_way_->names.insert(wanted.name).second) continue;
      taken.push_back(wanted.name);
      controller::CreatableTopic* topic = request.add_topics();
      topic->set_name(wanted.name);
      topic->set_partition_count(wanted.partitions);
      topic->set_replication_factor(wanted.replicas);
      topic->mutable_configs()->insert(wanted.configs.begin(), wanted.configs.end());
    }
  }
  if (taken.empty()) return;
  controller_.CreateTopics(
      std::move(request), kTimeoutMs,
      [under_way = under_way_, taken](const Result<controller::CreateTopicsResponse>& response) {
        if (!response.ok()) {
          LOG(WARNING) << "topic " << taken.front() << " was asked for and could not be created: "
                       << response.status().message();
        } else {
          for (const controller::TopicOutcome& topic : response->topics()) {
            LOG_IF(WARNING, topic.error_code() != 0)
                << "topic " << topic.name()
                << " was asked for and could not be created: " << topic.message();
          }
        }
        std::lock_guard lock(under_way->mutex);
        for (const std::string& name : taken) under_way->names.erase(name);
      });
}

}  // namespace sluice::broker
