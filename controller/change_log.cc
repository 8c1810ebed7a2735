#include "controller/change_log.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/log_text.h"

namespace sluice::controller {
namespace {

constexpr size_t kNamedMax = 3;
constexpr size_t kClientBytesMax = 160;
constexpr size_t kValueBytesMax = 100;
constexpr size_t kSettingsMax = 10;

std::string Plural(size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// "a, b, c and 22 more".
std::string FirstOf(const std::vector<std::string>& items, size_t named_max) {
  std::string text;
  for (size_t i = 0; i < std::min(items.size(), named_max); ++i)
    text += (i == 0 ? "" : ", ") + items[i];
  if (items.size() > named_max)
    text += " and " + std::to_string(items.size() - named_max) + " more";
  return text;
}

std::string AskedBy(const Sender& sender) {
  return "; asked for " +
         (sender.client().empty() ? "" : "by " + LogText(sender.client(), kClientBytesMax) + " ") +
         "through node " + std::to_string(sender.node_id());
}

// What was done to all that was not refused.
struct Done {
  std::vector<std::string> names;
  size_t partitions = 0;
  TopicOutcome last;
};

template <typename Outcomes>
Done DoneTo(const Outcomes& outcomes) {
  Done done;
  for (const TopicOutcome& outcome : outcomes) {
    if (outcome.error_code() != 0) continue;
    done.names.push_back(outcome.name());
    done.partitions += static_cast<size_t>(outcome.partition_count());
    done.last = outcome;
  }
  return done;
}

std::string SettingOf(const std::string& key, bool has_value, const std::string& value) {
  return has_value ? key + "=" + LogText(value, kValueBytesMax) : key + " unset";
}

// "topic orders", "all brokers".
std::string WhoseConfig(const metadata::ConfigRecord& config) {
  const std::string name = LogText(config.name(), kValueBytesMax);
  switch (config.type()) {
    case metadata::CONFIG_RESOURCE_TYPE_TOPIC: return "topic " + name;
    case metadata::CONFIG_RESOURCE_TYPE_GROUP: return "group " + name;
    default: return config.name().empty() ? "all brokers" : "broker " + name;
  }
}

// By the name that the log gives partitions, who leads them by the records.
std::map<std::string, int32_t> ElectedBy(const metadata::Image& before, const Records& records) {
  std::map<std::string, int32_t> leaders;
  for (const metadata::MetadataRecord& record : records) {
    const auto& change = record.partition_change();
    if (!record.has_partition_change() || !change.has_leader()) continue;
    const auto topic = before.FindTopic(TopicId::FromBytes(change.topic_id()));
    if (topic == nullptr) continue;
    leaders[topic->name + "-" + std::to_string(change.partition())] = change.leader();
  }
  return leaders;
}

}  // namespace

std::string LineOf(const metadata::Image&, const CreateTopicsRequest& request,
                   const Decision<CreateTopicsResponse>& decision) {
  const Done done = DoneTo(decision.response.topics());
  if (done.names.size() != 1) {
    return std::to_string(done.names.size()) + " topics are created, with " +
           Plural(done.partitions, "partition") + ": " + FirstOf(done.names, kNamedMax) +
           AskedBy(request.sender());
  }
  std::vector<std::string> facts = {
      Plural(done.partitions, "partition"),
      "replication factor " + std::to_string(done.last.replication_factor())};
  for (const metadata::MetadataRecord& record : decision.records) {
    if (record.has_config())
      facts.push_back(SettingOf(record.config().key(), true, record.config().value()));
  }
  return "topic " + done.last.name() + " is created: " + FirstOf(facts, kSettingsMax) +
         AskedBy(request.sender());
}

std::string LineOf(const metadata::Image&, const DeleteTopicsRequest& request,
                   const Decision<DeleteTopicsResponse>& decision) {
  const Done done = DoneTo(decision.response.topics());
  return (done.names.size() == 1
              ? "topic " + done.last.name() + " is deleted, with "
              : std::to_string(done.names.size()) + " topics are deleted, with ") +
         Plural(done.partitions, "partition") +
         (done.names.size() == 1
              ? " of replication factor " + std::to_string(done.last.replication_factor())
              : ": " + FirstOf(done.names, kNamedMax)) +
         AskedBy(request.sender());
}

std::string LineOf(const metadata::Image& before, const CreatePartitionsRequest& request,
                   const Decision<CreatePartitionsResponse>& decision) {
  const Done done = DoneTo(decision.response.topics());
  if (done.names.size() != 1) {
    return std::to_string(done.names.size()) +
           " topics have more partitions now: " + FirstOf(done.names, kNamedMax) +
           AskedBy(request.sender());
  }
  const auto topic = before.FindTopic(done.last.name());
  const size_t had = topic == nullptr ? 0 : topic->partitions.size();
  return "topic " + done.last.name() + " has " + Plural(done.partitions, "partition") + " now, " +
         std::to_string(had) + " before" + AskedBy(request.sender());
}

std::string LineOf(const metadata::Image&, const AlterConfigsRequest& request,
                   const Decision<AlterConfigsResponse>& decision) {
  std::vector<std::string> whose, settings;
  for (const metadata::MetadataRecord& record : decision.records) {
    if (!record.has_config()) continue;  // an election that a new min.insync.replicas asks for
    const metadata::ConfigRecord& config = record.config();
    const std::string name = WhoseConfig(config);
    if (whose.empty() || whose.back() != name) whose.push_back(name);
    settings.push_back(SettingOf(config.key(), config.has_value(), config.value()));
  }
  if (whose.empty()) return "";
  if (whose.size() == 1) {
    return "configs of " + whose.front() + " are changed: " + FirstOf(settings, kSettingsMax) +
           AskedBy(request.sender());
  }
  return Plural(settings.size(), "config") + " are changed, of " + FirstOf(whose, kNamedMax) +
         AskedBy(request.sender());
}

std::string LineOf(const metadata::Image& before, const ElectLeadersRequest& request,
                   const Decision<ElectLeadersResponse>& decision) {
  std::vector<std::string> elected;
  for (const auto& [partition, leader] : ElectedBy(before, decision.records))
    elected.push_back(partition + " (broker " + std::to_string(leader) + ")");
  if (elected.empty()) return "";
  return (elected.size() == 1 ? "1 partition has"
                              : std::to_string(elected.size()) + " partitions have") +
         std::string(request.unclean() ? " a leader by an unclean election: "
                                       : " the preferred leader again: ") +
         FirstOf(elected, kNamedMax) + AskedBy(request.sender());
}

}  // namespace sluice::controller
