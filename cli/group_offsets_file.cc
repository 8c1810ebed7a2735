#include "cli/group_offsets_file.h"

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

namespace sluice::cli {
namespace {

using nlohmann::ordered_json;

bool IsIndex(const ordered_json& json, const char* key) {
  return json.contains(key) && json[key].is_number_integer() && json[key] >= 0 &&
         json[key] <= INT32_MAX;
}

Result<admin::GroupOffset> ParseOffset(const ordered_json& json) {
  const auto wrong = [&](const std::string& what) {
    return Status::InvalidArgument(what + " in " + json.dump().substr(0, 200));
  };
  if (!json.is_object() || !json.contains("topic") || !json["topic"].is_string())
    return wrong("\"topic\" is missing or no text");
  if (!IsIndex(json, "partition")) return wrong("\"partition\" is missing or no number of one");
  if (!json.contains("offset")) return wrong("\"offset\" is missing");
  admin::GroupOffset offset;
  offset.set_topic(json["topic"].get<std::string>());
  offset.set_partition(json["partition"].get<int32_t>());
  offset.set_leader_epoch(IsIndex(json, "leader_epoch") ? json["leader_epoch"].get<int32_t>() : -1);
  if (json.contains("metadata") && json["metadata"].is_string())
    offset.set_metadata(json["metadata"].get<std::string>());
  if (json["offset"].is_null()) return offset;
  if (!json["offset"].is_number_integer() || json["offset"] < 0)
    return wrong("\"offset\" is neither null nor 0 or more");
  offset.set_offset(json["offset"].get<int64_t>());
  return offset;
}

}  // namespace

std::string FormatOffsetsFile(const OffsetsFile& file, const std::string& saved) {
  ordered_json offsets = ordered_json::array();
  for (const admin::GroupOffset& offset : file.offsets) {
    ordered_json one = {{"topic", offset.topic()}, {"partition", offset.partition()}};
    one["offset"] = offset.has_offset() ? ordered_json(offset.offset()) : ordered_json();
    one["leader_epoch"] = offset.has_offset() ? offset.leader_epoch() : -1;
    one["metadata"] = offset.metadata();
    offsets.push_back(std::move(one));
  }
  return ordered_json{{"group", file.group}, {"saved", saved}, {"offsets", offsets}}.dump(1) + "\n";
}

Result<OffsetsFile> ReadOffsetsFile(FileSystem& fs, const std::string& path) {
  std::string text;
  if (path == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    SLUICE_ASSIGN_OR_RETURN(text, ReadFile(fs, path));
  }
  const ordered_json json = ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("group") || !json["group"].is_string() ||
      !json.contains("offsets") || !json["offsets"].is_array())
    return Status::InvalidArgument(path + R"( is not JSON with "group" and "offsets")");
  OffsetsFile file;
  file.group = json["group"].get<std::string>();
  std::set<std::pair<std::string, int32_t>> seen;
  for (const ordered_json& each : json["offsets"]) {
    SLUICE_ASSIGN_OR_RETURN(admin::GroupOffset offset, ParseOffset(each));
    if (!seen.emplace(offset.topic(), offset.partition()).second) {
      return Status::InvalidArgument(offset.topic() + "-" + std::to_string(offset.partition()) +
                                     " stands in " + path + " twice");
    }
    file.offsets.push_back(std::move(offset));
  }
  if (file.offsets.empty()) return Status::InvalidArgument(path + " has no offsets");
  return file;
}

Status WriteNewFile(FileSystem& fs, const std::string& path, const std::string& text) {
  if (fs.Exists(path)) return Status::AlreadyExists(path + " is there already");
  return WriteFileAtomically(fs, path, text);
}

}  // namespace sluice::cli
