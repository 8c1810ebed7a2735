#include "broker/group/testing/shard_driver.h"

#include <algorithm>
#include <utility>

namespace sluice::broker::testing {

ShardDriver::ShardDriver(Listener listener, uint64_t seed)
    : listener_(std::move(listener)), random_(seed) {
  MakeShard();
}

void ShardDriver::MakeShard() {
  shard_ = std::make_unique<GroupShard>(GroupShardOptions{&config_, &view_, random_.Fork()});
}

void ShardDriver::Handle(const GroupCaller& caller, GroupRequest request) {
  GroupEffects effects;
  shard_->Handle(caller, std::move(request), Now(), effects);
  Settle(std::move(effects));
}

void ShardDriver::Advance(int64_t ms) {
  const int64_t until_ms = now_ms_ + ms;
  while (shard_->next_deadline_ms().value_or(until_ms + 1) <= until_ms) {
    now_ms_ = std::max(now_ms_, *shard_->next_deadline_ms());
    GroupEffects effects;
    shard_->RunTimers(Now(), effects);
    Settle(std::move(effects));
  }
  now_ms_ = until_ms;
}

void ShardDriver::LoadAll() {
  auto left = GroupShard::Loading::kMore;
  while (left == GroupShard::Loading::kMore) {
    GroupEffects effects;
    left = shard_->LoadNext(Now(), effects);
    Settle(std::move(effects));
  }
}

void ShardDriver::Commit() {
  holds_ = false;
  view_.CommitAll();
  for (; !waiting_.empty(); waiting_.pop_front()) listener_.on_answer(waiting_.front(), true);
}

void ShardDriver::FailOver(bool loses) {
  if (!loses) Commit();
  view_.Truncate();
  for (; !waiting_.empty(); waiting_.pop_front()) {
    SetError(waiting_.front().response, kafka::ErrorCode::kNotCoordinator);
    listener_.on_answer(waiting_.front(), false);
  }
  GroupEffects effects;
  shard_->Unload(kafka::ErrorCode::kNotCoordinator, Now(), effects);
  Settle(std::move(effects));
  MakeShard();
}

void ShardDriver::Settle(GroupEffects effects) {
  listener_.on_effects(effects);
  for (const GroupAnswer& answer : effects.answers) listener_.on_answer(answer, false);
  if (!effects.records.empty() && refusal_.has_value()) return Refuse(std::move(effects));
  view_.Append(effects.records);
  for (const GroupRecord& record : effects.records) listener_.on_record(record);
  shard_->OnAppended();
  for (GroupAnswer& answer : effects.durable_answers) waiting_.push_back(std::move(answer));
  if (!holds_) Commit();
}

void ShardDriver::Refuse(GroupEffects effects) {
  const kafka::ErrorCode error = *std::exchange(refusal_, std::nullopt);
  listener_.on_refusal(error);
  for (GroupAnswer& answer : effects.durable_answers) {
    SetError(answer.response, error);
    listener_.on_answer(answer, false);
  }
  GroupEffects discarded;
  for (const std::string& group_id : effects.changed_groups) {
    shard_->Discard(group_id, error, Now(), discarded);
  }
  Settle(std::move(discarded));
}

}  // namespace sluice::broker::testing
