#include "tests/sim/cluster/acknowledgement.h"

#include <utility>

#include "metadata/topic_config.h"
#include "tests/sim/cluster/process.h"

namespace sluice::sim {

void NoteAcknowledgement(Process& leader, Acknowledgement asked,
                         const kafka::ProduceResponse& response, Log& log) {
  const auto& answer = response.responses.at(0).partition_responses.at(0);
  if (answer.error_code != 0) return;
  const metadata::ImagePtr image = leader.metadata().Current();
  const metadata::PartitionImage* partition =
      image->FindPartition(asked.topic_id, asked.place.partition);
  if (partition == nullptr) return;
  const metadata::TopicConfigScope scope{*image, leader.host().config.values, leader.id()};
  asked.leader = leader.id();
  asked.first_offset = answer.base_offset;
  asked.last_offset += answer.base_offset;
  asked.fsync =
      metadata::EffectiveTopicConfig(scope, asked.place.topic, "durability").value == "fsync";
  asked.min_isr = metadata::EffectiveMinIsr(*image, asked.place.topic, *partition);
  log.acknowledgements.push_back(std::move(asked));
}

}  // namespace sluice::sim
