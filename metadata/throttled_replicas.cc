#include "metadata/throttled_replicas.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

namespace sluice::metadata {
namespace {

std::optional<int32_t> ParseId(std::string_view text) {
  int32_t id = -1;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), id);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || id < 0)
    return std::nullopt;
  return id;
}

}  // namespace

Result<ThrottledReplicas> ThrottledReplicas::Parse(std::string_view text) {
  ThrottledReplicas parsed;
  if (text == "*") {
    parsed.all = true;
    return parsed;
  }
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    const size_t colon = word.find(':');
    const auto partition = ParseId(word.substr(0, colon));
    const auto broker =
        colon == std::string_view::npos ? std::nullopt : ParseId(word.substr(colon + 1));
    if (!partition.has_value() || !broker.has_value()) {
      return Status::InvalidArgument("'" + std::string(word) +
                                     "' is no throttled replica: expected *, or a list of "
                                     "PARTITION:BROKER");
    }
    parsed.replicas.emplace_back(PartitionIndex(*partition), NodeId(*broker));
  }
  std::sort(parsed.replicas.begin(), parsed.replicas.end());
  return parsed;
}

bool ThrottledReplicas::Has(PartitionIndex partition, NodeId broker) const {
  return all ||
         std::binary_search(replicas.begin(), replicas.end(), std::make_pair(partition, broker));
}

}  // namespace sluice::metadata
