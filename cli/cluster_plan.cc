#include "cli/cluster_plan.h"

#include <algorithm>
#include <set>

#include "controller/format.h"
#include "storage/log_manager.h"

namespace sluice::cli {

ClusterPlan ClusterPlan::Generate(
    const std::vector<std::pair<NodeId, std::string>>& voter_addresses, Random& random) {
  ClusterPlan plan;
  plan.cluster_id = Uuid::Generate(random).ToString();
  for (const auto& [id, address] : voter_addresses)
    plan.voters.push_back({id, address, Uuid::Generate(random)});
  return plan;
}

nlohmann::json ClusterPlan::ToJson() const {
  nlohmann::json list = nlohmann::json::array();
  for (const Voter& voter : voters) {
    list.push_back({{"id", voter.id.value()},
                    {"address", voter.address},
                    {"disk_id", voter.disk_id.ToString()}});
  }
  return {{"cluster_id", cluster_id}, {"voters", list}};
}

Status ClusterPlan::Check() const {
  std::set<NodeId> ids;
  std::set<std::string> addresses;
  std::set<Uuid> disk_ids;
  for (const Voter& voter : voters) {
    const std::string id = std::to_string(voter.id.value());
    if (!ids.insert(voter.id).second)
      return Status::InvalidArgument("voter " + id + " is named twice");
    if (!addresses.insert(voter.address).second)
      return Status::InvalidArgument("voter " + id + " has the address of another, " +
                                     voter.address);
    if (!disk_ids.insert(voter.disk_id).second)
      return Status::InvalidArgument("voter " + id + " has the disk id of another");
  }
  if (voters.empty()) return Status::InvalidArgument("there is no voter");
  return Status::Ok();
}

Result<ClusterPlan> ClusterPlan::FromJson(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  const auto is_text = [](const nlohmann::json& object, const char* key) {
    return object.is_object() && object.contains(key) && object[key].is_string();
  };
  if (!is_text(json, "cluster_id") || !json.contains("voters") || !json["voters"].is_array())
    return Status::InvalidArgument("the plan is no JSON object with cluster_id and voters");
  ClusterPlan plan;
  plan.cluster_id = json["cluster_id"].get<std::string>();
  SLUICE_RETURN_IF_ERROR(Uuid::Parse(plan.cluster_id).status());
  for (const nlohmann::json& voter : json["voters"]) {
    if (!is_text(voter, "disk_id") || !is_text(voter, "address") || !voter.contains("id") ||
        !voter["id"].is_number_integer()) {
      return Status::InvalidArgument("a voter of the plan lacks id, address or disk_id: " +
                                     voter.dump());
    }
    SLUICE_ASSIGN_OR_RETURN(const Uuid disk_id, Uuid::Parse(voter["disk_id"].get<std::string>()));
    plan.voters.push_back(
        {NodeId(voter["id"].get<int32_t>()), voter["address"].get<std::string>(), disk_id});
  }
  SLUICE_RETURN_IF_ERROR(plan.Check());
  return plan;
}

namespace {

std::string Describe(const std::vector<ClusterPlan::Voter>& voters) {
  std::string text;
  for (const ClusterPlan::Voter& voter : voters) {
    text += (text.empty() ? "" : ",") + std::to_string(voter.id.value()) + "@" + voter.address;
  }
  return text;
}

Status CheckVoters(const metadata::ServerConfig& config, const ClusterPlan& plan) {
  std::vector<ClusterPlan::Voter> configured;
  for (const metadata::VoterAddress& voter : config.voters)
    configured.push_back({voter.id, voter.address.ToString(), Uuid()});
  if (Describe(configured) == Describe(plan.voters)) return Status::Ok();
  return Status::InvalidArgument("controller.quorum.voters is " + Describe(configured) +
                                 ", but the plan's voters are " + Describe(plan.voters));
}

// The metadata log first: a directory with meta.properties counts as formatted. Log directories get
// ids that were never given before, for what they held is lost.
Status FormatAs(FileSystem& fs, Random& random, const metadata::ServerConfig& config,
                const controller::FormatOptions& voter, Uuid directory_id) {
  // Before anything is written: a metadata log whose votes are gone is not begun anew.
  for (const std::string& directory : {config.metadata_directory, config.log_directory}) {
    SLUICE_RETURN_IF_ERROR(storage::LogManager::CheckFormattable(fs, directory));
  }
  const storage::DirectoryIdentity identity{voter.cluster_id, config.node_id, directory_id};
  if (config.is_controller) {
    SLUICE_RETURN_IF_ERROR(controller::FormatController(fs, voter));
    const bool apart = std::ranges::count(config.log_directories, config.metadata_directory) == 0;
    if (apart) {
      storage::DirectoryIdentity metadata = identity;
      metadata.directory_id = Uuid::Generate(random);
      SLUICE_RETURN_IF_ERROR(storage::LogManager::Format(fs, config.metadata_directory, metadata));
    }
  }
  return storage::LogManager::Format(fs, config.log_directory, identity);
}

}  // namespace

Status FormatNode(FileSystem& fs, Random& random, const metadata::ServerConfig& config,
                  const ClusterPlan& plan) {
  SLUICE_RETURN_IF_ERROR(CheckVoters(config, plan));
  controller::FormatOptions voter{.directory = config.metadata_directory,
                                  .cluster_id = plan.cluster_id};
  for (const ClusterPlan::Voter& planned : plan.voters) {
    voter.voters.push_back({planned.id, planned.disk_id});
    if (planned.id == config.node_id) voter.self = voter.voters.back();
  }
  return FormatAs(fs, random, config, voter, Uuid::Generate(random));
}

Result<Uuid> FormatNodeToJoin(FileSystem& fs, Random& random, const metadata::ServerConfig& config,
                              const std::string& cluster_id) {
  const controller::FormatOptions voter{.directory = config.metadata_directory,
                                        .cluster_id = cluster_id,
                                        .self = {config.node_id, Uuid::Generate(random)}};
  const Uuid directory_id = Uuid::Generate(random);
  SLUICE_RETURN_IF_ERROR(FormatAs(fs, random, config, voter, directory_id));
  return config.is_controller ? voter.self.disk_id : directory_id;
}

}  // namespace sluice::cli
