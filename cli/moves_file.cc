#include "cli/moves_file.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace sluice::cli {

namespace {

using nlohmann::json;

constexpr int kVersion = 1;

Status OfAnotherForm() {
  return Status::InvalidArgument(
      "is not of the form {\"version\":1,\"partitions\":[{\"topic\":...,\"partition\":...,"
      "\"replicas\":[...]}]}");
}

std::optional<int32_t> AsId(const json& value) {
  if (!value.is_number_integer()) return std::nullopt;
  const auto id = value.get<int64_t>();
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) return std::nullopt;
  return static_cast<int32_t>(id);
}

// "any" is Kafka's word for: wherever the broker likes.
Status CheckLogDirs(const json& move, const std::string& name) {
  if (!move.contains("log_dirs")) return Status::Ok();
  const json& directories = move["log_dirs"];
  if (!directories.is_array() || directories.size() != move["replicas"].size()) {
    return Status::InvalidArgument("names for " + name +
                                   " not as many log_dirs as replicas: one for each, or none");
  }
  for (const json& directory : directories) {
    if (directory == "any") continue;
    return Status::InvalidArgument(
        "wants a replica of " + name + " in log directory " + directory.dump() +
        ", and this command moves between nodes only: write \"any\" or leave log_dirs out, and let "
        "kafka-reassign-partitions move replicas between the directories of a node");
  }
  return Status::Ok();
}

Status ParseMove(const json& move, admin::MovePartitionsRequest& request) {
  const bool sound = move.is_object() && move.contains("topic") && move["topic"].is_string() &&
                     move.contains("partition") && AsId(move["partition"]) &&
                     move.contains("replicas") && move["replicas"].is_array();
  if (!sound) return OfAnotherForm();
  admin::PartitionMove& out = *request.add_moves();
  out.set_topic(move["topic"].get<std::string>());
  out.set_partition(*AsId(move["partition"]));
  for (const json& replica : move["replicas"]) {
    const std::optional<int32_t> id = AsId(replica);
    if (!id) return OfAnotherForm();
    out.add_replicas(*id);
  }
  return CheckLogDirs(move, out.topic() + "-" + std::to_string(out.partition()));
}

}  // namespace

Status ParseMoves(const std::string& text, admin::MovePartitionsRequest& request) {
  const json plan = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!plan.is_object() || !plan.contains("partitions") || !plan["partitions"].is_array())
    return OfAnotherForm();
  if (plan.contains("version") && plan["version"] != kVersion) {
    return Status::InvalidArgument("is of version " + plan["version"].dump() + ", known is " +
                                   std::to_string(kVersion));
  }
  for (const json& move : plan["partitions"]) SLUICE_RETURN_IF_ERROR(ParseMove(move, request));
  return Status::Ok();
}

Status ReadMoves(FileSystem& fs, const std::string& path, admin::MovePartitionsRequest& request) {
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path));
  const Status parsed = ParseMoves(text, request);
  return parsed.ok() ? parsed : Status(parsed.code(), path + " " + parsed.message());
}

}  // namespace sluice::cli
