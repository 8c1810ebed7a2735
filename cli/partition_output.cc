#include "cli/partition_output.h"

#include <vector>

#include "base/config.h"

namespace sluice::cli {

namespace {

std::vector<int32_t> Ids(const google::protobuf::RepeatedField<int32_t>& ids) {
  return {ids.begin(), ids.end()};
}

}  // namespace

nlohmann::json PartitionAsJson(const admin::Partition& p) {
  return {{"partition", p.partition()},
          {"leader", p.leader()},
          {"leader_epoch", p.leader_epoch()},
          {"partition_epoch", p.partition_epoch()},
          {"replicas", Ids(p.replicas())},
          {"isr", Ids(p.isr())},
          {"elr", Ids(p.elr())},
          {"adding", Ids(p.adding())},
          {"removing", Ids(p.removing())},
          {"move_bytes_per_second", p.move_bytes_per_second()}};
}

std::string JoinIds(const google::protobuf::RepeatedField<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text.empty() ? "-" : text;
}

Result<std::optional<int64_t>> ParseThrottle(const std::string& text) {
  if (text.empty()) return std::optional<int64_t>();
  static constexpr ConfigKey kThrottle{
      .name = "--throttle", .type = ConfigType::kLong, .unit = ConfigUnit::kBytes, .min = 0};
  SLUICE_ASSIGN_OR_RETURN(const std::string bytes, CheckConfigValue(kThrottle, text));
  return std::optional<int64_t>(std::stoll(bytes));
}

std::string LeaderOf(const admin::Partition& partition) {
  return partition.leader() < 0 ? "none" : std::to_string(partition.leader());
}

}  // namespace sluice::cli
