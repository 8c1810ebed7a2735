#include "broker/group/testing/consumer_group_bed.h"

#include <algorithm>

#include "broker/group/consumer_heartbeat_check.h"

namespace sluice::broker::testing {

using kafka::ErrorCode;
using kafka::WireError;

ConsumerGroupBed::ConsumerGroupBed(uint64_t seed) : random_(seed) {
  moment_ = {1000, 1700000000000, metadata::EmptyImage()};
  group_ = std::make_unique<ConsumerGroup>("g", config_);
}

GroupContext ConsumerGroupBed::Context(GroupEffects& effects) {
  return {moment_, group_config_, view_, timers_, random_, effects};
}

// --- Topics ---

void ConsumerGroupBed::SetTopic(const std::string& name, int32_t partitions) {
  topics_.Set(name, partitions);
  moment_.image = topics_.image();
}

void ConsumerGroupBed::DeleteTopic(const std::string& name) {
  topics_.Delete(name);
  moment_.image = topics_.image();
}

void ConsumerGroupBed::SetGroupConfig(const std::string& key, const std::string& value) {
  auto image = std::make_shared<metadata::Image>(*moment_.image);
  metadata::ConfigMap values = image->GroupConfigs("g");
  values[key] = value;
  auto configs = std::make_shared<metadata::ConfigsByName>(*image->group_configs);
  configs->Set("g", std::move(values));
  image->group_configs = std::move(configs);
  moment_.image = std::move(image);
}

void ConsumerGroupBed::SetRacks(const std::string& name, const std::vector<std::string>& racks) {
  topics_.SetRacks(name, racks);
  moment_.image = topics_.image();
}

ConsumerGroupBed::Response ConsumerGroupBed::Heartbeat(const Request& request, Fate fate,
                                                       int16_t version) {
  records_.clear();
  if (const auto refusal = CheckConsumerHeartbeat(request, version, config_))
    return RefusedHeartbeat(*refusal);
  GroupEffects effects;
  GroupContext context = Context(effects);
  group_->ConsumerHeartbeat({1, version, "client", "/127.0.0.1"}, request, context);
  records_ = effects.records;
  std::vector<GroupAnswer> answers = std::move(effects.answers);
  if (answers.empty()) answers = std::move(effects.durable_answers);
  CHECK_EQ(answers.size(), 1u);
  Response response = std::get<Response>(answers.front().response);
  if (fate == Fate::kCommitted) {
    view_.Append(records_);
    view_.CommitAll();
    return response;
  }
  if (fate == Fate::kLost) view_.Append(records_);
  Reload();
  response = {};
  response.error_code = WireError(fate == Fate::kRefused ? ErrorCode::kCoordinatorNotAvailable
                                                         : ErrorCode::kRequestTimedOut);
  return response;
}

void ConsumerGroupBed::Advance(int64_t ms) {
  const int64_t until = moment_.steady_ms + ms;
  while (true) {
    const auto next = timers_.next_deadline_ms();
    if (!next.has_value() || *next > until) break;
    moment_.wall_ms += std::max<int64_t>(*next - moment_.steady_ms, 0);
    moment_.steady_ms = std::max(*next, moment_.steady_ms);
    const auto timer = timers_.PopDue(moment_.steady_ms);
    if (!timer.has_value()) continue;
    GroupEffects effects;
    GroupContext context = Context(effects);
    group_->OnTimer(*timer, context);
    view_.Append(effects.records);
    view_.CommitAll();
  }
  moment_.wall_ms += until - moment_.steady_ms;
  moment_.steady_ms = until;
}

void ConsumerGroupBed::Reload() {
  view_.Truncate();
  timers_.CancelAll("g");
  GroupEffects effects;
  GroupContext context = Context(effects);
  auto loaded = ConsumerGroup::Load("g", config_, context);
  CHECK(loaded.ok()) << loaded.status().message();
  CHECK(effects.records.empty());
  group_ = *loaded != nullptr ? std::move(*loaded) : std::make_unique<ConsumerGroup>("g", config_);
}

std::unique_ptr<ConsumerGroup> ConsumerGroupBed::Loaded() {
  GroupTimers timers;
  GroupEffects effects;
  GroupContext context{moment_, group_config_, view_, timers, random_, effects};
  auto loaded = ConsumerGroup::Load("g", config_, context);
  CHECK(loaded.ok()) << loaded.status().message();
  return *loaded != nullptr ? std::move(*loaded) : std::make_unique<ConsumerGroup>("g", config_);
}

kafka::ErrorCode ConsumerGroupBed::CheckCommit(const OffsetClaim& claim) {
  GroupEffects effects;
  GroupContext context = Context(effects);
  return group_->CheckCommit(claim, context);
}

kafka::ErrorCode ConsumerGroupBed::CheckCommitOf(const OffsetClaim& claim, const std::string& topic,
                                                 int32_t partition) {
  GroupEffects effects;
  return group_->CheckCommitOf(claim, topic, partition, Context(effects));
}

ConsumerGroupBed::Request ConsumerClient::Full() const {
  ConsumerGroupBed::Request request;
  request.group_id = "g";
  request.member_id = id_;
  request.member_epoch = epoch_;
  if (!instance_id.empty()) request.instance_id = instance_id;
  if (!rack.empty()) request.rack_id = rack;
  request.rebalance_timeout_ms = rebalance_timeout_ms;
  request.subscribed_topic_names = topics;
  if (!regex.empty()) request.subscribed_topic_regex = regex;
  if (!assignor.empty()) request.server_assignor = assignor;
  request.topic_partitions.emplace();
  for (const auto& [topic, partition] : owned_) {
    auto& topics_owned = *request.topic_partitions;
    if (topics_owned.empty() || topics_owned.back().topic_id != topic)
      topics_owned.emplace_back().topic_id = topic;
    topics_owned.back().partitions.push_back(partition);
  }
  return request;
}

// After the first one a client says only what has changed.
ConsumerGroupBed::Request ConsumerClient::NextRequest() {
  ConsumerGroupBed::Request request = Full();
  const bool same = !full_ && reported_ == owned_;
  reported_ = owned_;
  if (full_) return request;
  request.rebalance_timeout_ms = -1;
  request.subscribed_topic_names.reset();
  request.subscribed_topic_regex.reset();
  request.server_assignor.reset();
  request.rack_id.reset();
  if (same) request.topic_partitions.reset();
  return request;
}

ConsumerGroupBed::Response ConsumerClient::Beat(ConsumerGroupBed::Fate fate) {
  const ConsumerGroupBed::Response response = bed_.Heartbeat(NextRequest(), fate);
  Take(response);
  return response;
}

void ConsumerClient::BeatUnheard() {
  bed_.Heartbeat(NextRequest());
  full_ = true;
}

void ConsumerClient::Leave(int32_t epoch) {
  ConsumerGroupBed::Request request;
  request.group_id = "g";
  request.member_id = id_;
  request.member_epoch = epoch;
  if (!instance_id.empty()) request.instance_id = instance_id;
  bed_.Heartbeat(request);
  Forget();
}

void ConsumerClient::Subscribe(std::vector<std::string> names) {
  topics = std::move(names);
  full_ = true;
}

void ConsumerClient::Forget() {
  epoch_ = 0;
  full_ = true;
  told_.clear();
  owned_.clear();
}

void ConsumerClient::Take(const ConsumerGroupBed::Response& response) {
  const auto code = static_cast<ErrorCode>(response.error_code);
  if (code == ErrorCode::kFencedMemberEpoch || code == ErrorCode::kUnknownMemberId ||
      code == ErrorCode::kFencedInstanceId) {
    return Forget();
  }
  if (code != ErrorCode::kNone) {
    full_ = true;
    return;
  }
  full_ = false;
  epoch_ = response.member_epoch;
  interval_ms_ = response.heartbeat_interval_ms;
  if (!response.assignment.has_value()) return;
  told_ = SetOf(response.assignment->topic_partitions);
  if (!holds_) return Release();
  // What is new may be taken at once, unless something has to be given up first.
  if (std::includes(told_.begin(), told_.end(), owned_.begin(), owned_.end())) owned_ = told_;
}

}  // namespace sluice::broker::testing
