#include "metadata/fsync_since.h"

#include <algorithm>
#include <utility>

namespace sluice::metadata {

namespace {

const std::string kDurability = "durability";
constexpr LogIndex kAlways{0};

// Of the topic, or of brokers ("" = all).
const std::string* Find(const ConfigsByName& configs, const std::string& name) {
  const auto values = configs.find(name);
  if (values == configs.end()) return nullptr;
  const auto value = values->second.find(kDurability);
  return value == values->second.end() ? nullptr : &value->second;
}

bool IsFsync(const std::string* value) { return value != nullptr && *value == "fsync"; }

std::optional<LogIndex> SinceOfCluster(const Image& image) {
  if (image.fsync_since == nullptr || !IsFsync(Find(*image.broker_configs, "")))
    return std::nullopt;
  return image.fsync_since->cluster;
}

FsyncSincePtr Shared(FsyncSince since) {
  return std::make_shared<const FsyncSince>(std::move(since));
}

void SetTopic(FsyncSince& since, const std::string& name, LogIndex index) {
  since.topics.Set(name, index);
  since.latest = std::max(since.latest, index);
}

void SetCluster(FsyncSince& since, LogIndex index) {
  since.cluster = index;
  since.latest = std::max(since.latest, index);
}

}  // namespace

std::optional<LogIndex> FsyncSinceOfTopic(const Image& image, const std::string& topic) {
  if (image.fsync_since == nullptr) return std::nullopt;
  const auto found = image.fsync_since->topics.find(topic);
  const LogIndex own = found == image.fsync_since->topics.end() ? kAlways : found->second;
  if (const std::string* value = Find(*image.topic_configs, topic); value != nullptr)
    return IsFsync(value) ? std::optional(own) : std::nullopt;
  const std::optional<LogIndex> cluster = SinceOfCluster(image);
  // Its own value may be gone after the default was fsync, or before.
  return cluster ? std::optional(std::max(own, *cluster)) : std::nullopt;
}

bool SyncedMore(const Image& image, LogIndex before, LogIndex now) {
  if (image.fsync_since == nullptr || image.fsync_since->latest <= before || now <= before)
    return false;
  const auto between = [&](LogIndex index) { return index > before && index <= now; };
  return between(image.fsync_since->cluster) ||
         std::any_of(image.fsync_since->topics.begin(), image.fsync_since->topics.end(),
                     [&](const auto& topic) { return between(topic.second); });
}

FsyncSinceRecord ToRecord(const FsyncSince& since) {
  FsyncSinceRecord record;
  record.set_cluster(since.cluster.value());
  record.set_latest(since.latest.value());
  for (const auto& [name, index] : since.topics) {
    FsyncSinceRecord::Topic& topic = *record.add_topics();
    topic.set_name(name);
    topic.set_index(index.value());
  }
  return record;
}

FsyncSincePtr FsyncSinceOf(const FsyncSinceRecord& record) {
  FsyncSince since;
  since.latest = LogIndex(record.latest());
  SetCluster(since, LogIndex(record.cluster()));
  for (const auto& topic : record.topics()) SetTopic(since, topic.name(), LogIndex(topic.index()));
  return Shared(std::move(since));
}

FsyncSincePtr FsyncSinceFrom(const Image& image, LogIndex index) {
  FsyncSince since;
  // Where there is no topic nothing was acknowledged.
  if (image.topics_by_name->empty()) return Shared(std::move(since));
  if (IsFsync(Find(*image.broker_configs, ""))) SetCluster(since, index);
  for (const auto& [name, topic] : *image.topics_by_name) {
    if (IsFsync(Find(*image.topic_configs, name))) SetTopic(since, name, index);
  }
  return Shared(std::move(since));
}

FsyncSincePtr WithoutTopic(const FsyncSincePtr& since, const std::string& topic) {
  if (since == nullptr || !since->topics.contains(topic)) return since;
  FsyncSince next = *since;
  next.topics.Erase(topic);
  return Shared(std::move(next));
}

DurabilityChange::DurabilityChange(const Image& before, const ConfigRecord& record)
    : record_(record) {
  if (before.fsync_since == nullptr || record.key() != kDurability) return;
  if (record.type() == CONFIG_RESOURCE_TYPE_TOPIC) {
    of_ = Of::kTopic;
    since_ = FsyncSinceOfTopic(before, record.name());
  } else if (record.type() == CONFIG_RESOURCE_TYPE_BROKER && record.name().empty()) {
    of_ = Of::kCluster;
    since_ = SinceOfCluster(before);
  }
}

FsyncSincePtr DurabilityChange::After(const Image& image, const Entry& entry) const {
  switch (of_) {
    case Of::kTopic: return AfterOfTopic(image, entry);
    case Of::kCluster: return AfterOfCluster(image, entry.index);
    case Of::kNothing: break;
  }
  return image.fsync_since;
}

FsyncSincePtr DurabilityChange::AfterOfTopic(const Image& image, const Entry& entry) const {
  const bool is_fsync = FsyncSinceOfTopic(image, record_.name()).has_value();
  const LogIndex index = !is_fsync || entry.made_now ? kAlways : since_.value_or(entry.index);
  if (index == kAlways) return WithoutTopic(image.fsync_since, record_.name());
  FsyncSince next = *image.fsync_since;
  SetTopic(next, record_.name(), index);
  return Shared(std::move(next));
}

FsyncSincePtr DurabilityChange::AfterOfCluster(const Image& image, LogIndex index) const {
  const bool is_fsync = IsFsync(Find(*image.broker_configs, ""));
  FsyncSince next = *image.fsync_since;
  next.cluster = kAlways;
  if (is_fsync && !image.topics_by_name->empty()) SetCluster(next, since_.value_or(index));
  // A topic without a value of its own is replicated from here on: what it was is over.
  return Shared(std::move(next));
}

}  // namespace sluice::metadata
