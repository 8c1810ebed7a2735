#include "storage/partition_metadata.h"

namespace sluice::storage {
namespace {

constexpr std::string_view kHead = "version: 0\ntopic_id: ";
constexpr size_t kIdLength = 22;

}  // namespace

std::string FormatPartitionMetadata(TopicId topic_id) {
  return std::string(kHead) + topic_id.ToString();
}

bool PartitionMetadataIsBlank(std::string_view text) {
  // find_last_not_of gives npos when all are zeros, and npos + 1 is 0.
  text = text.substr(0, text.find_last_not_of('\0') + 1);
  return text.size() < kHead.size() + kIdLength && kHead.starts_with(text.substr(0, kHead.size()));
}

Result<TopicId> ParsePartitionMetadata(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.substr(0, kHead.size()) != kHead) {
    return Status::Corruption(
        "partition.metadata does not begin with \"version: 0\" and \"topic_id: \"");
  }
  return Uuid::Parse(text.substr(kHead.size()));
}

}  // namespace sluice::storage
