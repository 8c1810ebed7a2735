#pragma once
// What replicas hold, read from their logs.
//
// Thread rule: one thread, as all of the simulator.

#include <string>
#include <vector>

#include "tests/support/history/history.h"

namespace sluice::sim {

class Cluster;
class Process;

// The batches of one replica's log from `from` to below `to`, as they are stored; empty where the
// process has no such replica, or its log is not whole.
std::string StoredBytes(Process& process, const history::Place& place, int64_t from, int64_t to);
// Empty, or which replicas of these partitions differ.
std::string CompareReplicas(Cluster& cluster, const std::vector<history::Place>& places);

}  // namespace sluice::sim
