#include "broker/replica/follower_session.h"

#include <limits>

namespace sluice::broker {

void FollowerSession::Set(const PartitionKey& key, const Position& position) {
  const auto [found, added] = wanted_.try_emplace(key, position);
  if (!added && found->second == position && known_.contains(key)) return;
  found->second = position;
  changed_.insert(key);
  forgotten_.erase(key);
}

void FollowerSession::Remove(const PartitionKey& key) {
  if (wanted_.erase(key) == 0) return;
  changed_.erase(key);
  if (known_.contains(key)) forgotten_.insert(key);
}

void FollowerSession::Fill(kafka::FetchRequest& request, int32_t partition_bytes_max) {
  request.session_id = id_;
  request.session_epoch = epoch_;
  const auto add = [&](const PartitionKey& key, const Position& position) {
    if (request.topics.empty() || request.topics.back().topic_id != key.topic_id) {
      request.topics.emplace_back().topic_id = key.topic_id;
    }
    auto& partition = request.topics.back().partitions.emplace_back();
    partition.partition = key.partition.value();
    partition.current_leader_epoch = position.current_epoch.value();
    partition.last_fetched_epoch = position.last_fetched_epoch.value();
    partition.fetch_offset = position.fetch_offset.value();
    partition.log_start_offset = position.log_start_offset.value();
    partition.partition_max_bytes = partition_bytes_max;
  };
  if (epoch_ == 0) {
    known_.clear();
    for (const auto& [key, position] : wanted_) {
      add(key, position);
      known_.insert(key);
    }
  } else {
    for (const PartitionKey& key : changed_) {
      add(key, wanted_.at(key));
      known_.insert(key);
    }
    for (const PartitionKey& key : forgotten_) {
      auto& topics = request.forgotten_topics_data;
      if (topics.empty() || topics.back().topic_id != key.topic_id)
        topics.emplace_back().topic_id = key.topic_id;
      topics.back().partitions.push_back(key.partition.value());
      known_.erase(key);
    }
  }
  changed_.clear();
  forgotten_.clear();
}

bool FollowerSession::OnResponse(const kafka::FetchResponse& response) {
  if (response.error_code != 0) {
    Reset();
    return false;
  }
  if (epoch_ == 0) id_ = response.session_id;
  // A leader whose session cache is full gives 0: every request is then a full one.
  if (id_ == 0) {
    epoch_ = 0;
  } else {
    epoch_ = epoch_ == std::numeric_limits<int32_t>::max() ? 1 : epoch_ + 1;
  }
  return true;
}

void FollowerSession::Reset() {
  // The old id goes along with epoch 0, so that the leader can drop that session.
  epoch_ = 0;
  known_.clear();
  changed_.clear();
  forgotten_.clear();
}

}  // namespace sluice::broker
