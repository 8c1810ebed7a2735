#pragma once
// ConfigOptions: what a node's configuration says for its voter, in the terms of the parts that it
// is made of.
//
// Thread rule: pure functions of their arguments.

#include <string>

#include "base/random.h"
#include "controller/controller.h"
#include "metadata/server_config.h"
#include "raft/config.h"

namespace sluice::controller {

raft::RaftConfig ToRaftConfig(const metadata::ServerConfig& config);

// `config` outlives the controller that is made with them.
ControllerOptions ToControllerOptions(const metadata::ServerConfig& config, std::string cluster_id,
                                      Random random);

}  // namespace sluice::controller
