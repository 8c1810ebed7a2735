#pragma once
// Moves of partitions as a file, of the JSON form that kafka-reassign-partitions reads and writes:
//
//   {"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [4, 5, 6]}]}
//
// More fields are left alone, so that the plan of `sluice cluster rebalance plan -o json` is such a
// file too; but none that would change what the move is.
//
// Thread rule: pure functions.

#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "proto/admin.pb.h"

namespace sluice::cli {

// Adds the moves to `request`. kInvalidArgument says what is wrong, of which partition.
Status ParseMoves(const std::string& text, admin::MovePartitionsRequest& request);

// The same of a file; what is wrong is told with its name.
Status ReadMoves(FileSystem& fs, const std::string& path, admin::MovePartitionsRequest& request);

}  // namespace sluice::cli
