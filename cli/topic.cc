// `sluice topic`: create, list, describe, alter and delete topics through the admin service of any
// node.

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "cli/admin_client.h"
#include "cli/partition_output.h"
#include "metadata/topic_rules.h"

namespace sluice::cli {

namespace {

struct TopicArguments {
  std::string name;
  int32_t partitions = 0;
  int32_t replication_factor = 0;
  std::vector<std::string> configs;
  std::vector<std::string> unset;
  std::string prefix;
  bool validate_only = false;
  int32_t partition = 0;
  int64_t before_offset = -1;
};

using Configs = google::protobuf::Map<std::string, std::string>;

Status ParseConfigs(const std::vector<std::string>& texts, Configs& configs) {
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos)
      return Status::InvalidArgument("'" + text + "' is not of the form key=value");
    const std::string key = text.substr(0, equals);
    if (configs.contains(key))
      return Status::InvalidArgument(key + " is given two values, " + configs[key] + " and " +
                                     text.substr(equals + 1));
    configs[key] = text.substr(equals + 1);
  }
  return Status::Ok();
}

nlohmann::json TopicAsJson(const admin::Topic& topic) {
  nlohmann::json partitions = nlohmann::json::array();
  for (const admin::Partition& partition : topic.partitions())
    partitions.push_back(PartitionAsJson(partition));
  return {{"name", topic.name()},
          {"topic_id", topic.topic_id()},
          {"partitions", partitions},
          {"configs",
           std::map<std::string, std::string>(topic.configs().begin(), topic.configs().end())}};
}

void PrintTopic(const admin::Topic& topic) {
  std::cout << "topic " << topic.name() << "  id " << topic.topic_id() << "\n";
  for (const auto& [key, value] :
       std::map<std::string, std::string>(topic.configs().begin(), topic.configs().end())) {
    std::cout << "  " << key << "=" << value << "\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (const admin::Partition& p : topic.partitions()) {
    rows.push_back({std::to_string(p.partition()), LeaderOf(p), std::to_string(p.leader_epoch()),
                    JoinIds(p.replicas()), JoinIds(p.isr()), JoinIds(p.elr()), JoinIds(p.adding()),
                    JoinIds(p.removing())});
  }
  PrintTable(
      {"PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "ELIGIBLE", "ADDING", "REMOVING"},
      rows);
}

// Kafka takes it, and so does Sluice: what it counts as is told.
void WarnOfMinIsr(const admin::Topic& topic) {
  const auto set = topic.configs().find("min.insync.replicas");
  if (set == topic.configs().end() || topic.partitions().empty()) return;
  const int replicas = topic.partitions(0).replicas_size();
  if (std::strtoll(set->second.c_str(), nullptr, 10) <= replicas) return;
  std::cerr << "min.insync.replicas=" << set->second << " is above the replication factor of "
            << topic.name() << ", " << replicas << ", and counts as " << replicas
            << ": acks=all then needs every replica in sync. Values from 1 to " << replicas
            << " have an effect of their own" << std::endl;
}

ExitCode Create(const Context& context, const TopicArguments& arguments) {
  AdminClient client(context);
  admin::CreateTopicRequest request;
  request.set_name(arguments.name);
  request.set_partitions(arguments.partitions);
  request.set_replication_factor(arguments.replication_factor);
  request.set_validate_only(arguments.validate_only);
  const std::string what = "topic " + arguments.name + " was not created";
  if (const Status parsed = ParseConfigs(arguments.configs, *request.mutable_configs());
      !parsed.ok())
    return client.Report(what, parsed);
  const auto response = client.Call(&admin::Admin::Stub::CreateTopic, request);
  if (!response.ok()) return client.Report(what, response.status());
  if (arguments.validate_only) {
    std::cerr << "dry run: topic " << arguments.name << " would be created, nothing changed"
              << std::endl;
    if (context.json()) PrintJson({{"name", arguments.name}, {"dry_run", true}});
    return ExitCode::kOk;
  }
  if (context.json()) {
    PrintJson(TopicAsJson(response->topic()));
  } else {
    PrintTopic(response->topic());
    WarnOfMinIsr(response->topic());
  }
  return ExitCode::kOk;
}

ExitCode List(const Context& context, const TopicArguments& arguments) {
  AdminClient client(context);
  admin::ListTopicsRequest request;
  request.set_name_prefix(arguments.prefix);
  const auto response = client.Call(&admin::Admin::Stub::ListTopics, request);
  if (!response.ok()) return client.Report("cannot list topics", response.status());
  nlohmann::json list = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows;
  for (const admin::TopicSummary& topic : response->topics()) {
    list.push_back({{"name", topic.name()},
                    {"topic_id", topic.topic_id()},
                    {"partitions", topic.partitions()},
                    {"replication_factor", topic.replication_factor()},
                    {"partitions_without_leader", topic.partitions_without_leader()},
                    {"partitions_under_replicated", topic.partitions_under_replicated()}});
    rows.push_back({topic.name(), std::to_string(topic.partitions()),
                    std::to_string(topic.replication_factor()),
                    std::to_string(topic.partitions_under_replicated())});
  }
  TellIfRemembered(context, *response);
  if (context.json()) {
    nlohmann::json json = {{"topics", list}};
    MarkIfRemembered(*response, json);
    PrintJson(json);
  } else if (rows.empty()) {
    std::cerr << "No topics yet. Make one:  sluice topic create orders --partitions 3" << std::endl;
  } else {
    PrintTable({"TOPIC", "PARTITIONS", "REPLICAS", "UNDER-REPLICATED"}, rows);
  }
  return ExitCode::kOk;
}

ExitCode Describe(const Context& context, const TopicArguments& arguments) {
  AdminClient client(context);
  admin::DescribeTopicRequest request;
  request.set_name(arguments.name);
  const auto response = client.Call(&admin::Admin::Stub::DescribeTopic, request);
  if (!response.ok())
    return client.Report("cannot describe topic " + arguments.name, response.status());
  TellIfRemembered(context, *response);
  if (!context.json()) WarnOfMinIsr(response->topic());
  nlohmann::json json = TopicAsJson(response->topic());
  MarkIfRemembered(*response, json);
  if (context.json()) {
    PrintJson(json);
  } else {
    PrintTopic(response->topic());
  }
  return ExitCode::kOk;
}

ExitCode AlterConfigs(const TopicArguments& arguments, AdminClient& client) {
  admin::AlterTopicConfigRequest request;
  request.set_name(arguments.name);
  request.set_validate_only(arguments.validate_only);
  const std::string what = "topic " + arguments.name + " was not altered";
  if (const Status parsed = ParseConfigs(arguments.configs, *request.mutable_set()); !parsed.ok())
    return client.Report(what, parsed);
  for (const std::string& key : arguments.unset) request.add_unset(key);
  const auto response = client.Call(&admin::Admin::Stub::AlterTopicConfig, request);
  return response.ok() ? ExitCode::kOk : client.Report(what, response.status());
}

ExitCode AddPartitions(const TopicArguments& arguments, AdminClient& client) {
  admin::AddPartitionsRequest request;
  request.set_name(arguments.name);
  request.set_partitions(arguments.partitions);
  request.set_validate_only(arguments.validate_only);
  const auto response = client.Call(&admin::Admin::Stub::AddPartitions, request);
  return response.ok()
             ? ExitCode::kOk
             : client.Report("topic " + arguments.name + " got no partitions", response.status());
}

ExitCode Alter(const Context& context, const TopicArguments& arguments) {
  AdminClient client(context);
  const bool configs = !arguments.configs.empty() || !arguments.unset.empty();
  if (!configs && arguments.partitions == 0) {
    PrintError("nothing to alter", "neither --config, --unset nor --partitions was given",
               "sluice topic alter --help shows them");
    return ExitCode::kUsage;
  }
  if (arguments.partitions > 0) {
    if (const ExitCode code = AddPartitions(arguments, client); code != ExitCode::kOk) return code;
  }
  if (configs) {
    const ExitCode code = AlterConfigs(arguments, client);
    if (code != ExitCode::kOk) return arguments.partitions > 0 ? ExitCode::kPartlyDone : code;
  }
  if (arguments.validate_only) {
    std::cerr << "dry run: topic " << arguments.name << " would be altered so, nothing changed"
              << std::endl;
    if (context.json()) PrintJson({{"name", arguments.name}, {"dry_run", true}});
    return ExitCode::kOk;
  }
  return Describe(context, arguments);
}

ExitCode Delete(const Context& context, const TopicArguments& arguments) {
  AdminClient client(context);
  admin::DeleteTopicRequest request;
  request.set_name(arguments.name);
  request.set_validate_only(arguments.validate_only);
  const auto response = client.Call(&admin::Admin::Stub::DeleteTopic, request);
  if (!response.ok())
    return client.Report("topic " + arguments.name + " was not deleted", response.status());
  if (arguments.validate_only) {
    std::cerr << "dry run: topic " << arguments.name << " with its " << response->partitions()
              << (response->partitions() == 1 ? " partition" : " partitions")
              << " would be deleted, nothing changed" << std::endl;
    if (context.json()) PrintJson({{"name", arguments.name}, {"dry_run", true}});
    return ExitCode::kOk;
  }
  if (context.json())
    PrintJson({{"name", arguments.name}, {"topic_id", response->topic_id()}});
  else
    std::cerr << "deleted topic " << arguments.name << std::endl;
  return ExitCode::kOk;
}

ExitCode Trim(const Context& context, const TopicArguments& arguments) {
  AdminClient client(context);
  admin::DeleteRecordsRequest request;
  request.set_topic(arguments.name);
  request.set_partition(arguments.partition);
  request.set_before_offset(arguments.before_offset);
  const auto response = client.Call(&admin::Admin::Stub::DeleteRecords, request);
  const std::string partition = arguments.name + "-" + std::to_string(arguments.partition);
  const bool unknown = response.status().code() == StatusCode::kTimeout;
  if (!response.ok())
    return client.Report(
        unknown ? "it is not known whether records of " + partition + " are deleted on all replicas"
                : "no records of " + partition + " were deleted",
        response.status(),
        response.status().code() == StatusCode::kInvalidArgument
            ? "correct what is named above and try again"
            : "sluice topic describe " + arguments.name + " shows the topic");
  if (context.json()) {
    PrintJson({{"name", arguments.name},
               {"partition", arguments.partition},
               {"low_watermark", response->low_watermark()}});
  } else {
    std::cerr << partition << " begins at offset " << response->low_watermark() << std::endl;
  }
  return ExitCode::kOk;
}

using TopicAction = ExitCode (*)(const Context&, const TopicArguments&);

}  // namespace

void AddTopicCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<TopicArguments>();
  CLI::App* topic = app.add_subcommand("topic", "Create, list, describe, alter and delete topics");
  topic->require_subcommand(1);
  topic->footer(
      "Examples:\n  sluice topic create orders --partitions 6 --replication-factor 3 --config "
      "retention.ms=7d\n  sluice topic describe orders -o json");
  const auto add = [&](const char* name, const char* text, TopicAction action) {
    CLI::App* verb = topic->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    return verb;
  };
  CLI::App* create = add("create", "Create a topic", Create);
  CLI::App* list = add("list", "List the topics", List);
  CLI::App* describe = add("describe", "Show a topic's partitions and settings", Describe);
  CLI::App* alter = add("alter", "Change a topic's settings, or add partitions", Alter);
  CLI::App* remove = add("delete", "Delete a topic and its data", Delete);
  CLI::App* trim = add("trim", "Delete a partition's oldest records", Trim);
  for (CLI::App* verb : {create, describe, alter, remove, trim})
    verb->add_option("name", arguments->name, "the topic")->required();
  for (CLI::App* verb : {create, alter})
    verb->add_option("--config", arguments->configs, "setting, key=value; may be given again");
  for (CLI::App* verb : {create, alter, remove})
    verb->add_flag("--dry-run", arguments->validate_only, "check, change nothing");
  create
      ->add_option("--partitions", arguments->partitions,
                   "how many; without it num.partitions of the cluster")
      ->check(CLI::Range(1, metadata::kPartitionsPerRequestMax));
  create
      ->add_option("--replication-factor", arguments->replication_factor,
                   "copies of each; without it default.replication.factor of the cluster")
      ->check(CLI::Range(1, static_cast<int>(INT16_MAX)));
  alter
      ->add_option("--partitions", arguments->partitions,
                   "the new total; partitions can only be added")
      ->check(CLI::Range(1, metadata::kPartitionsPerRequestMax));
  alter->add_option("--unset", arguments->unset,
                    "setting to put back to its default; may be given again");
  trim->add_option("--partition", arguments->partition, "which of the topic's partitions")
      ->required();
  trim->add_option("--before-offset", arguments->before_offset,
                   "records below it go; -1 = all that are replicated")
      ->required();
  list->add_option("--prefix", arguments->prefix, "only names that start with this");
}

}  // namespace sluice::cli
