#pragma once
// Output of partitions, as `sluice topic` and `sluice partition` show them.
//
// Thread rule: pure.

#include <nlohmann/json.hpp>
#include <string>

#include "proto/admin.pb.h"

namespace sluice::cli {

nlohmann::json PartitionAsJson(const admin::Partition& partition);
// "1,2,3", or "-" for none.
std::string JoinIds(const google::protobuf::RepeatedField<int32_t>& ids);
// "none" where there is none.
std::string LeaderOf(const admin::Partition& partition);

}  // namespace sluice::cli
