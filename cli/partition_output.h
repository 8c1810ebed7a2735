#pragma once
// Output of partitions, as `sluice topic` and `sluice partition` show them.
//
// Thread rule: pure.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/status.h"
#include "proto/admin.pb.h"

namespace sluice::cli {

nlohmann::json PartitionAsJson(const admin::Partition& partition);
// "1,2,3", or "-" for none.
std::string JoinIds(const google::protobuf::RepeatedField<int32_t>& ids);
// What --throttle says, "50MiB", in bytes a second; nullopt when it is not given.
Result<std::optional<int64_t>> ParseThrottle(const std::string& text);
inline constexpr char kThrottleHelp[] =
    "what each broker may send, and fetch, in a second for moves: 50MiB; 0 = no limit. It is "
    "gone when the moves are";
// "none" where there is none.
std::string LeaderOf(const admin::Partition& partition);

}  // namespace sluice::cli
