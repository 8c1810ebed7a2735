#include "storage/meta_properties.h"

#include <charconv>
#include <map>
#include <optional>

namespace sluice::storage {
namespace {

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::map<std::string, std::string> ParseProperties(std::string_view text) {
  std::map<std::string, std::string> properties;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t separator = line.find_first_of("=:");
    if (line.empty() || line[0] == '#' || line[0] == '!' || separator == std::string_view::npos)
      continue;
    properties[std::string(Trim(line.substr(0, separator)))] =
        std::string(Trim(line.substr(separator + 1)));
  }
  return properties;
}

}  // namespace

std::string FormatMetaProperties(const DirectoryIdentity& identity) {
  return "#\ncluster.id=" + identity.cluster_id +
         "\ndirectory.id=" + identity.directory_id.ToString() +
         "\nnode.id=" + std::to_string(identity.node_id.value()) + "\nversion=1\n";
}

Result<DirectoryIdentity> ParseMetaProperties(std::string_view text) {
  auto properties = ParseProperties(text);
  for (const char* key : {"version", "cluster.id", "node.id", "directory.id"}) {
    if (!properties.contains(key))
      return Status::Corruption(std::string(kMetaPropertiesName) + " lacks " + key);
  }
  if (properties["version"] != "1") {
    return Status::Unsupported(std::string(kMetaPropertiesName) + " has version " +
                               properties["version"] + "; only version 1 is understood");
  }
  DirectoryIdentity identity;
  identity.cluster_id = properties["cluster.id"];
  const std::string& node = properties["node.id"];
  int32_t id = -1;
  const auto [end, error] = std::from_chars(node.data(), node.data() + node.size(), id);
  if (error != std::errc() || end != node.data() + node.size() || id < 0) {
    return Status::Corruption(std::string(kMetaPropertiesName) + " has node.id=" + node);
  }
  identity.node_id = NodeId(id);
  SLUICE_ASSIGN_OR_RETURN(identity.directory_id, Uuid::Parse(properties["directory.id"]));
  return identity;
}

}  // namespace sluice::storage
