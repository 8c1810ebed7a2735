#include "cli/partition_output.h"

#include <vector>

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
          {"removing", Ids(p.removing())}};
}

std::string JoinIds(const google::protobuf::RepeatedField<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text.empty() ? "-" : text;
}

std::string LeaderOf(const admin::Partition& partition) {
  return partition.leader() < 0 ? "none" : std::to_string(partition.leader());
}

}  // namespace sluice::cli
