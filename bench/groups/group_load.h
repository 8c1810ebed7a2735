#pragma once
// What the modes of bench_groups share: where groups are coordinated, times, how figures are told.
//
// Thread rule: as WireClient.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bench/groups/wire_client.h"

namespace sluice::bench {

using SteadyTime = std::chrono::steady_clock::time_point;
inline SteadyTime Now() { return std::chrono::steady_clock::now(); }
inline double MsBetween(SteadyTime begin, SteadyTime end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

// "host:port" of the coordinator of each group; asks until all have one.
std::vector<std::string> FindCoordinators(WireClient& client, const std::string& bootstrap,
                                          const std::vector<std::string>& groups);
std::string GroupName(int64_t number);
// {"p50": ..., "p99": ..., "max": ...}; null of none.
std::string Quantiles(std::vector<double> values);

struct CommitLoad {
  std::string bootstrap;
  std::string topic;
  int64_t groups = 0;
  int64_t in_flight = 1;   // of each group's connection
  int32_t partitions = 1;  // of each commit
  int64_t seconds = 0;
};
// A simple consumer for each group, with a connection of its own, that commits again once it is
// answered.
int RunCommits(const CommitLoad& load);

struct FillLoad {
  std::string bootstrap;
  std::string topic;
  int64_t groups = 0;
  int64_t members = 0;  // of each group; 0: none has members
  int32_t offsets = 0;  // of each group
};
// Groups of the classic protocol whose members have their assignment, with offsets.
int RunFill(const FillLoad& load);

struct ProbeLoad {
  std::vector<std::string> addresses;
  std::string topic;
  int64_t group = 0;  // the number of one that RunFill made
  int64_t seconds = 0;
};
// How long a broker that becomes the coordinator takes until its first answers.
int RunProbe(const ProbeLoad& load);

struct MembersLoad {
  std::string bootstrap;
  std::string topic;
  int64_t members = 0;
  int64_t quiet_seconds = 0;
};
// Members of the consumer protocol, well-behaved: how long rebalances take.
int RunMembers(const MembersLoad& load);

}  // namespace sluice::bench
