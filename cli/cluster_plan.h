#pragma once
// ClusterPlan: what every node of a new quorum must agree on before it starts: the cluster's id,
// and the first voters with the ids of their disks. `sluice cluster init` makes it once and formats
// each node's directories from it; `sluice dev` does the same for its own nodes.
//
// Thread rule: values.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/status.h"
#include "base/uuid.h"
#include "metadata/server_config.h"

namespace sluice::cli {

struct ClusterPlan {
  struct Voter {
    NodeId id = kNoNode;
    std::string address;  // host:port of its CONTROLLER listener
    Uuid disk_id;
  };
  std::string cluster_id;
  std::vector<Voter> voters;

  static ClusterPlan Generate(const std::vector<std::pair<NodeId, std::string>>& voter_addresses,
                              Random& random);
  // kInvalidArgument when two voters have one id or one address.
  Status Check() const;
  nlohmann::json ToJson() const;
  static Result<ClusterPlan> FromJson(const std::string& text);
};

// Formats the node's directories: meta.properties, and for a voter the metadata log with its
// bootstrap entry. kAlreadyExists when they hold a node already; kInvalidArgument when the
// configuration's voters are not the plan's.
Status FormatNode(FileSystem& fs, Random& random, const metadata::ServerConfig& config,
                  const ClusterPlan& plan);

// The same for a node that joins a cluster which runs. A controller's metadata log is empty: it
// takes part once `sluice quorum add` has made it a member, under the id of this disk, which is
// returned and never given again. (Of a node that is none: the id of its log directory.)
Result<Uuid> FormatNodeToJoin(FileSystem& fs, Random& random, const metadata::ServerConfig& config,
                              const std::string& cluster_id);

}  // namespace sluice::cli
