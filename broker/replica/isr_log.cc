#include "broker/replica/isr_log.h"

#include <utility>

namespace sluice::broker {

void IsrLog::NoteJoined(const storage::TopicPartition& partition, NodeId broker) {
  std::lock_guard lock(mutex_);
  Note(partition, joined_[broker]);
}

void IsrLog::NoteRefused(const storage::TopicPartition& partition, NodeId broker) {
  std::lock_guard lock(mutex_);
  Note(partition, refused_[broker]);
}

void IsrLog::NoteLeaves(const storage::TopicPartition& partition, NodeId broker) {
  std::lock_guard lock(mutex_);
  Note(partition, leaves_[broker]);
}

void IsrLog::Note(const storage::TopicPartition& partition, Burst& burst) {
  ++burst.count;
  if (burst.named.size() < kNamedMax) burst.named.push_back(partition.ToString());
}

void IsrLog::Describe(const ByBroker& bursts, const std::string& verb, std::string& text) {
  for (const auto& [broker, burst] : bursts) {
    text += (text.empty() ? "" : "; ") + std::string("broker ") + std::to_string(broker.value()) +
            verb + std::to_string(burst.count) +
            (burst.count == 1 ? " partition: " : " partitions: ");
    for (size_t i = 0; i < burst.named.size(); ++i) text += (i == 0 ? "" : ", ") + burst.named[i];
    if (burst.count > burst.named.size())
      text += " and " + std::to_string(burst.count - burst.named.size()) + " more";
  }
}

std::string IsrLog::TakeSummary() {
  ByBroker joined, refused, leaves;
  {
    std::lock_guard lock(mutex_);
    joined.swap(joined_);
    refused.swap(refused_);
    leaves.swap(leaves_);
  }
  std::string text;
  Describe(leaves, " is to leave the ISR of ", text);
  Describe(joined, " has joined the ISR of ", text);
  Describe(refused, " has all there is, and is refused by the controller in the ISR of ", text);
  return text;
}

}  // namespace sluice::broker
