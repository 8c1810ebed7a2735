#pragma once
// partition.metadata: the id of the topic that a partition's directory belongs to, so that a
// directory left over from a deleted topic of the same name is not taken for the new one.
//
// Thread rule: pure functions.

#include <string>
#include <string_view>

#include "base/status.h"
#include "base/uuid.h"

namespace sluice::storage {

// "version: 0\ntopic_id: <22 characters>", without a newline at the end.
std::string FormatPartitionMetadata(TopicId topic_id);
// Written and never synced before a power cut: without bytes, cut short, or with zeros for bytes.
// As good as absent.
bool PartitionMetadataIsBlank(std::string_view text);
Result<TopicId> ParsePartitionMetadata(std::string_view text);

}  // namespace sluice::storage
