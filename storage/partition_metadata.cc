#include "storage/partition_metadata.h"

namespace sluice::storage {
namespace {

constexpr std::string_view kHead = "version: 0\ntopic_id: ";

}  // namespace

std::string FormatPartitionMetadata(TopicId topic_id) {
  return std::string(kHead) + topic_id.ToString();
}

bool PartitionMetadataIsBlank(std::string_view text) {
  return text.find_first_not_of('\0') == std::string_view::npos;
}

Result<TopicId> ParsePartitionMetadata(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.substr(0, kHead.size()) != kHead) {
    return Status::Corruption("partition.metadata does not begin with \"version: 0\" and \"topic_id: \"");
  }
  return Uuid::Parse(text.substr(kHead.size()));
}

}  // namespace sluice::storage
