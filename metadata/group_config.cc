#include "metadata/group_config.h"

#include <array>

namespace sluice::metadata {

namespace {

// In the order of their names.
constexpr ConfigKey kKeys[] = {
    {.name = kGroupHeartbeatIntervalKey,
     .type = ConfigType::kInt,
     .unit = ConfigUnit::kMs,
     .default_value = "5000",
     .min = 1,
     .dynamic = true,
     .doc = "How often the group's members of the consumer protocol are told to send heartbeats."},
    {.name = kGroupSessionTimeoutKey,
     .type = ConfigType::kInt,
     .unit = ConfigUnit::kMs,
     .default_value = "45000",
     .min = 1,
     .dynamic = true,
     .doc = "A member of the consumer protocol that is silent for longer is taken out of the "
            "group."},
};

struct Limits {
  std::string_view key;
  std::string_view server_key;
  std::string_view min_key;
  std::string_view max_key;
};

constexpr std::array<Limits, 2> kLimits{
    Limits{kGroupHeartbeatIntervalKey, "group.consumer.heartbeat.interval.ms",
           "group.consumer.min.heartbeat.interval.ms", "group.consumer.max.heartbeat.interval.ms"},
    Limits{kGroupSessionTimeoutKey, "group.consumer.session.timeout.ms",
           "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms"}};

// The value of each of kLimits that a group would have, and what a message calls it.
struct Setting {
  std::string_view name;
  int64_t value = 0;
  std::string ToString() const { return std::string(name) + "=" + std::to_string(value); }
};

Status CheckSettings(const std::array<Setting, kLimits.size()>& settings,
                     const ConfigValues& server) {
  for (size_t i = 0; i < kLimits.size(); ++i) {
    const Setting min{kLimits[i].min_key, server.GetInt(kLimits[i].min_key)};
    const Setting max{kLimits[i].max_key, server.GetInt(kLimits[i].max_key)};
    if (settings[i].value < min.value)
      return Status::InvalidArgument(settings[i].ToString() + " is below " + min.ToString());
    if (settings[i].value > max.value)
      return Status::InvalidArgument(settings[i].ToString() + " is above " + max.ToString());
  }
  const auto& [heartbeat, session] = settings;
  if (heartbeat.value < session.value) return Status::Ok();
  return Status::InvalidArgument(heartbeat.ToString() + " is not below " + session.ToString() +
                                 ": members would expire between two heartbeats");
}

}  // namespace

ConfigTable GroupConfigKeys() { return kKeys; }

std::string_view ServerKeyOfGroupKey(std::string_view key) {
  for (const Limits& limits : kLimits) {
    if (limits.key == key) return limits.server_key;
  }
  CHECK(false) << "no group config " << key;
  return {};
}

Status CheckGroupConfigs(const ConfigMap& values, const ConfigValues& server) {
  std::array<Setting, kLimits.size()> settings;
  for (size_t i = 0; i < kLimits.size(); ++i) {
    const auto set = values.find(std::string(kLimits[i].key));
    settings[i] = set != values.end()
                      ? Setting{kLimits[i].key, std::stoll(set->second)}
                      : Setting{kLimits[i].server_key, server.GetInt(kLimits[i].server_key)};
  }
  return CheckSettings(settings, server);
}

EffectiveConfig EffectiveGroupConfig(const TopicConfigScope& scope, const std::string& group,
                                     std::string_view key) {
  const ConfigMap& values = scope.image.GroupConfigs(group);
  if (const auto set = values.find(std::string(key)); set != values.end())
    return {set->second, ConfigSource::kGroup};
  return EffectiveServerConfig(scope, ServerKeyOfGroupKey(key));
}

std::optional<int32_t> GroupConfigNumber(const Image& image, const std::string& group,
                                         std::string_view key) {
  const ConfigMap& values = image.GroupConfigs(group);
  if (values.empty()) return std::nullopt;  // as it nearly always is
  const auto set = values.find(std::string(key));
  if (set == values.end()) return std::nullopt;
  return std::stoi(set->second);  // checked when it was set
}

}  // namespace sluice::metadata
