// CoordinatorPartition: how what the shard decides gets into the log, and the answers to clients.
#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "broker/group/coordinator_partition.h"
#include "kafka/record_batch_builder.h"
#include "metadata/topic_config.h"

namespace sluice::broker {

using kafka::ErrorCode;

namespace {

constexpr int16_t kProduceVersion = 9;
// What a record takes in a batch beside its key and value, at most.
constexpr size_t kRecordOverhead = 32;

// What a client of a group hears when its records could not be written.
ErrorCode GroupErrorOf(ErrorCode error) {
  switch (error) {
    case ErrorCode::kNotCoordinator:
    case ErrorCode::kCoordinatorNotAvailable: return error;
    case ErrorCode::kNotEnoughReplicas:
    case ErrorCode::kNotEnoughReplicasAfterAppend:
    case ErrorCode::kRequestTimedOut:
    case ErrorCode::kUnknownTopicOrPartition:
    case ErrorCode::kUnknownTopicId: return ErrorCode::kCoordinatorNotAvailable;
    case ErrorCode::kNotLeaderOrFollower:
    case ErrorCode::kFencedLeaderEpoch:
    case ErrorCode::kUnknownLeaderEpoch:
    case ErrorCode::kKafkaStorageError: return ErrorCode::kNotCoordinator;
    default: return ErrorCode::kUnknownServerError;
  }
}

ErrorCode AnswerErrorOf(const GroupAnswer& answer, ErrorCode error) {
  const bool too_large =
      error == ErrorCode::kMessageTooLarge || error == ErrorCode::kRecordListTooLarge;
  const bool commit = std::holds_alternative<kafka::OffsetCommitResponse>(answer.response);
  return too_large && commit ? ErrorCode::kInvalidCommitOffsetSize : GroupErrorOf(error);
}

size_t SizeOf(const GroupRecord& record) {
  return record.key.size() + (record.value.has_value() ? record.value->size() : 0) +
         kRecordOverhead;
}

std::string BuildBatch(const std::vector<GroupRecord>& records, int64_t now_ms) {
  kafka::RecordBatchBuilder builder({});
  for (const GroupRecord& record : records)
    builder.Append(
        {.timestamp_ms = now_ms, .key = record.key, .value = record.value, .headers = {}});
  Result<std::string> batch = builder.Build();
  CHECK(batch.ok()) << batch.status().ToString();  // nothing is compressed
  return *std::move(batch);
}

template <typename T>
void MoveInto(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  from.clear();
}

}  // namespace

void CoordinatorPartition::Send(GroupAnswer answer) {
  const auto call = calls_.find(answer.token);
  if (call == calls_.end()) {
    LOG(DFATAL) << kOffsetsTopic << '-' << key_.partition << ": a request was answered twice";
    return;
  }
  const GroupCallPtr answered = std::move(call->second);
  calls_.erase(call);
  answered->Answer(std::move(answer.response));
}

void CoordinatorPartition::SendErrors(std::vector<GroupAnswer>& answers, ErrorCode error) {
  for (GroupAnswer& answer : std::exchange(answers, {})) {
    SetError(answer.response, AnswerErrorOf(answer, error));
    Send(std::move(answer));
  }
}

void CoordinatorPartition::Take(GroupEffects effects) {
  for (GroupAnswer& answer : effects.answers) Send(std::move(answer));
  size_t size_bytes = 0;
  for (const GroupRecord& record : effects.records) size_bytes += SizeOf(record);
  Gathering added{std::move(effects.records), size_bytes, std::move(effects.durable_answers),
                  std::move(effects.changed_groups)};
  if (added.records.empty()) return AnswerBehind(added.answers);
  // It is refused alone: with others it would have them refused too, and those who wait behind.
  const bool fits =
      std::all_of(added.records.begin(), added.records.end(),
                  [&](const GroupRecord& record) { return SizeOf(record) <= BatchRoom(); });
  if (!fits) {
    AppendGathered();
    return OnRefused(added, ErrorCode::kMessageTooLarge);
  }
  if (!gathering_.records.empty() && gathering_.size_bytes + added.size_bytes > BatchRoom()) {
    // What was decided upon the records before goes with them.
    const ErrorCode error = AppendGathered();
    if (error != ErrorCode::kNone) return OnRefused(added, error);
  }
  MoveInto(gathering_.records, added.records);
  MoveInto(gathering_.answers, added.answers);
  MoveInto(gathering_.groups, added.groups);
  gathering_.size_bytes += added.size_bytes;
}

// They tell of what others have decided: they go out with the last records that there are.
void CoordinatorPartition::AnswerBehind(std::vector<GroupAnswer>& answers) {
  if (!gathering_.records.empty()) return MoveInto(gathering_.answers, answers);
  if (!pending_.empty() && pending_.back().error != ErrorCode::kNone)
    return SendErrors(answers, pending_.back().error);
  if (!pending_.empty()) return MoveInto(pending_.back().answers, answers);
  for (GroupAnswer& answer : std::exchange(answers, {})) Send(std::move(answer));
}

size_t CoordinatorPartition::BatchRoom() const {
  // max.message.bytes may be set so low that nothing fits; then each record is refused.
  return std::max<size_t>(options_->batch_bytes_max, kafka::kBatchOverhead + 1) -
         kafka::kBatchOverhead;
}

void CoordinatorPartition::Write() {
  AppendGathered();
  if (lead_.has_value() && lead_->shard != nullptr) lead_->shard->OnAppended();
  ArmTimer();
}

ErrorCode CoordinatorPartition::AppendGathered() {
  if (gathering_.records.empty()) return ErrorCode::kNone;
  Gathering gathered = std::exchange(gathering_, {});
  const size_t limit = BatchRoom();
  // One call's records may be more than a batch holds; the answers go with the last.
  std::vector<GroupRecord> part;
  size_t part_bytes = 0;
  ErrorCode error = ErrorCode::kNone;
  for (GroupRecord& record : gathered.records) {
    const size_t size_bytes = SizeOf(record);
    if (!part.empty() && part_bytes + size_bytes > limit) {
      std::vector<GroupAnswer> none;
      error = Append(std::exchange(part, {}), std::exchange(part_bytes, 0), none);
      if (error != ErrorCode::kNone) break;
    }
    part.push_back(std::move(record));
    part_bytes += size_bytes;
  }
  if (error == ErrorCode::kNone) error = Append(std::move(part), part_bytes, gathered.answers);
  if (error != ErrorCode::kNone) OnRefused(gathered, error);
  return error;
}

ErrorCode CoordinatorPartition::Append(std::vector<GroupRecord> records, size_t size_bytes,
                                       std::vector<GroupAnswer>& answers) {
  const WriteId id = ++last_write_;
  const auto batch =
      std::make_shared<const std::string>(BuildBatch(records, options_->clock->WallMs()));
  const auto appending = std::make_shared<Appending>();
  ProduceRequestParams params;
  params.api_version = kProduceVersion;
  params.timeout_ms = static_cast<int32_t>(options_->write_timeout_ms);
  // While this thread stood still another may have led, and this broker lead again: what was
  // decided upon an epoch that is over must not be written in a later one.
  params.entries.push_back({key_, kafka::Records::View({batch, *batch}), lead_->epoch});
  // A refusal that came late would find decisions that were made upon these records.
  params.slowed_by_disk = false;
  options_->replicas->Produce(std::move(params),
                              [weak = weak_from_this(), &loop = loop_, id,
                               appending](std::vector<ProduceEntryResult> results) {
                                if (loop.InLoopThread() && !appending->returned) {
                                  appending->result = std::move(results[0]);
                                  return;
                                }
                                loop.Post([weak, id, result = std::move(results[0])] {
                                  if (const auto self = weak.lock()) self->OnAppended(id, result);
                                });
                              });
  appending->returned = true;
  const std::optional<ProduceEntryResult>& result = appending->result;
  if (result.has_value() && result->base_offset < Offset(0)) return result->error;
  const auto count = static_cast<int64_t>(records.size());
  view_.AddAppended(id, std::move(records));
  pending_.push_back({id, count, size_bytes, std::exchange(answers, {})});
  pending_bytes_ += size_bytes;
  if (result.has_value()) OnAppended(id, *result);
  return ErrorCode::kNone;
}

void CoordinatorPartition::OnRefused(Gathering& refused, ErrorCode error) {
  LOG_EVERY_N(WARNING, 100) << kOffsetsTopic << '-' << key_.partition
                            << ": records of groups were refused with error "
                            << static_cast<int>(error);
  SendErrors(refused.answers, error);
  if (!lead_.has_value() || lead_->shard == nullptr) return;
  std::sort(refused.groups.begin(), refused.groups.end());
  refused.groups.erase(std::unique(refused.groups.begin(), refused.groups.end()),
                       refused.groups.end());
  for (const std::string& group : refused.groups) {
    GroupEffects effects;
    lead_->shard->Discard(group, GroupErrorOf(error), Moment(), effects);
    Take(std::move(effects));
  }
}

void CoordinatorPartition::OnAppended(WriteId id, const ProduceEntryResult& result) {
  const auto pending = std::find_if(pending_.begin(), pending_.end(),
                                    [&](const Pending& candidate) { return candidate.id == id; });
  if (pending == pending_.end()) return;  // of an epoch that is over
  if (result.base_offset < Offset(0)) {
    LOG(DFATAL) << "an append was refused after the call";
    Resign(ErrorCode::kNotCoordinator);
    return AdvanceSoon(0);
  }
  pending->end = result.base_offset + pending->record_count;
  view_.SetOffset(id, result.base_offset);
  const Offset end = *pending->end;
  if (result.error != ErrorCode::kNone) {
    // In the log, and perhaps committed later: only the answer cannot wait.
    pending->error = result.error;
    SendErrors(pending->answers, result.error);
  } else if (const Status applied = view_.ApplyAppended(end); !applied.ok()) {
    LOG(WARNING) << kOffsetsTopic << '-' << key_.partition << ": " << applied.ToString();
  }
  Complete();
  // Records of others come before them, or the store has failed; or the outcome of a later write
  // has overtaken this one's, and nothing else would have it looked at again.
  if (!pending_.empty() && pending_.front().end.has_value()) AdvanceSoon(0);
}

void CoordinatorPartition::Complete() {
  while (!pending_.empty() && pending_.front().end.has_value() &&
         *pending_.front().end <= view_.applied()) {
    Pending done = std::move(pending_.front());
    pending_.pop_front();
    pending_bytes_ -= done.size_bytes;
    for (GroupAnswer& answer : done.answers) Send(std::move(answer));
  }
}

}  // namespace sluice::broker
