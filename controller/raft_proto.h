#pragma once
// Between raft::Message and its protobuf.
//
// Thread rule: pure functions.

#include "base/status.h"
#include "proto/raft.pb.h"
#include "raft/types.h"

namespace sluice::controller {

raftpb::RaftMessage ToProto(raft::Message message);
// kInvalidArgument when a field has an impossible value; what Raft itself refuses (another cluster,
// an unknown voter) passes.
Result<raft::Message> FromProto(raftpb::RaftMessage proto);

}  // namespace sluice::controller
