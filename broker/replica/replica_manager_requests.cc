// ReplicaManager: produce, fetch, lookups and deletions of records.
#include <algorithm>

#include "base/planted_fault.h"
#include "broker/replica/replica_manager_impl.h"
#include "kafka/batch_validator.h"
#include "kafka/recompression.h"
#include "storage/read_lacking.h"

namespace sluice::broker {

using kafka::ErrorCode;

namespace {

kafka::BatchRules RulesFor(const metadata::TopicConfig& config, int16_t api_version,
                           int64_t now_ms) {
  kafka::BatchRules rules;
  rules.produce_version = api_version;
  rules.now_ms = now_ms;
  rules.max_message_bytes = static_cast<size_t>(config.message_bytes_max);
  rules.timestamp_type = config.log_append_time ? kafka::TimestampType::kLogAppendTime
                                                : kafka::TimestampType::kCreateTime;
  rules.timestamp_before_max_ms = config.timestamp_before_ms_max;
  rules.timestamp_after_max_ms = config.timestamp_after_ms_max;
  rules.compacted = config.cleanup_compact;
  rules.full_validation = config.full_record_validation;
  if (config.stored_codec) rules.stored_codec = static_cast<kafka::Codec>(*config.stored_codec);
  return rules;
}

// An accepted batch as it is to be stored, in `rewritten`, which stays empty when that is as it
// came. The outcome's code is kNone, or why it cannot be stored.
ErrorCode RewriteForStorage(std::string_view batch, const metadata::TopicConfig& config,
                            const kafka::BatchRules& rules, kafka::BatchVerdict& verdict,
                            std::string& rewritten) {
  if (rules.stored_codec && kafka::NeedsRecompression(batch, *rules.stored_codec)) {
    const int level = config.compression_level.value_or(kafka::kDefaultCompressionLevel);
    Result<std::string> packed =
        kafka::Recompress(batch, verdict.inflated, {*rules.stored_codec, level});
    if (!packed.ok()) {
      verdict.message = packed.status().message();
      return ErrorCode::kUnknownServerError;
    }
    rewritten = *std::move(packed);
    // It may have grown, when the topic stores plain what came compressed.
    if (rewritten.size() > rules.max_message_bytes) {
      verdict.message = "the record batch has " + std::to_string(rewritten.size()) +
                        " bytes as compression.type stores it, the topic allows " +
                        std::to_string(rules.max_message_bytes);
      return ErrorCode::kMessageTooLarge;
    }
  }
  if (config.log_append_time || verdict.true_max_timestamp_ms.has_value()) {
    if (rewritten.empty()) rewritten = batch;
    kafka::ApplyTimestamps(verdict, rules, rewritten);
  }
  return ErrorCode::kNone;
}

}  // namespace

ErrorCode ReplicaManagerImpl::WhyUnknown(const PartitionKey& key, LeaderHint& hint) const {
  const metadata::ImagePtr image = options_->metadata->Current();
  if (image->FindTopic(key.topic_id) == nullptr) return ErrorCode::kUnknownTopicId;
  const metadata::PartitionImage* partition = image->FindPartition(key.topic_id, key.partition);
  if (partition == nullptr) return ErrorCode::kUnknownTopicOrPartition;
  hint = {partition->leader, partition->leader_epoch};
  return ErrorCode::kNotLeaderOrFollower;
}

void ReplicaManagerImpl::Produce(ProduceRequestParams params, ProduceOperation::Done done) {
  if (const int64_t delay_ms = DiskDelayMs(params); delay_ms > 0) {
    done = [loop = options_->loop, delay_ms, done = std::move(done)](auto results) {
      // Who is refused takes no room, and is to find the new leader, if there is one, at once.
      const bool stored = std::ranges::any_of(
          results, [](const auto& result) { return result.error == ErrorCode::kNone; });
      if (!stored) return done(std::move(results));
      loop->RunAfter(delay_ms, [done, results = std::move(results)] { done(results); });
    };
  }
  const auto operation = std::make_shared<ProduceOperation>(params.entries.size(), std::move(done));
  const int64_t deadline_ms = options_->clock->SteadyMs() + params.timeout_ms;
  const bool acks_known = params.acks >= -1 && params.acks <= 1;
  const bool may_lead = !stopped_ && (options_->state->LeaseValid(*options_->clock) ||
                                      FaultPlanted(ReplicationFault::kLeaseIgnored));
  PartitionEffects effects;
  for (size_t i = 0; i < params.entries.size(); ++i) {
    if (!acks_known) {
      operation->result(i).error = ErrorCode::kInvalidRequiredAcks;
    } else if (!may_lead &&
               !(params.acks == 1 && FaultPlanted(ReplicationFault::kNoLeaseAtAcksOne))) {
      // Others may lead already (rule 10); who, the client learns from them.
      operation->result(i).error = ErrorCode::kNotLeaderOrFollower;
      if (const PartitionPtr partition = Find(params.entries[i].key))
        partition->NoteRefused(params.entries[i].records.bytes());
    } else {
      AppendEntry(params, {{}, params.acks, deadline_ms, operation, i}, effects);
    }
  }
  // After all entries: a follower that is woken fetches everything this request brought, and one
  // flush covers it.
  effects.Run(*context_);
  operation->Start();
  if (params.client != nullptr && !operation->finished()) params.client->Add(operation);
}

void ReplicaManagerImpl::AppendEntry(const ProduceRequestParams& params,
                                     const Partition::AppendRequest& request,
                                     PartitionEffects& effects) {
  const ProduceEntry& entry = params.entries[request.entry];
  ProduceEntryResult& result = request.operation->result(request.entry);
  const PartitionPtr partition = Find(entry.key);
  if (partition == nullptr) {
    result.error = WhyUnknown(entry.key, result.leader);
    return;
  }
  const Partition::TopicConfigPtr config = partition->config();
  const std::string_view bytes = entry.records.bytes();
  const int64_t now_ms = options_->clock->WallMs();
  const kafka::BatchRules rules = RulesFor(*config, params.api_version, now_ms);
  // Without the partition's lock: the CRC of a large batch takes a while.
  kafka::BatchVerdict verdict = kafka::ValidateBatch(bytes, rules);
  if (!verdict.ok()) {
    result.error = verdict.error;
    result.message = std::move(verdict.message);
    for (kafka::RecordError& error : verdict.record_errors) {
      result.record_errors.push_back({error.batch_index, std::move(error.message)});
    }
    return;
  }
  std::string rewritten;
  result.error = RewriteForStorage(bytes, *config, rules, verdict, rewritten);
  if (result.error != ErrorCode::kNone) {
    result.message = std::move(verdict.message);
    return;
  }
  Partition::AppendRequest append = request;
  append.batch = rewritten.empty() ? bytes : rewritten;
  append.leader_epoch = entry.leader_epoch;
  if (append.batch.size() > static_cast<uint64_t>(config->segment_bytes)) {
    result.error = ErrorCode::kRecordListTooLarge;
    result.message = "the batch has " + std::to_string(append.batch.size()) +
                     " bytes, and a segment holds " + std::to_string(config->segment_bytes);
    return;
  }
  if (config->log_append_time) result.log_append_time_ms = now_ms;
  partition->Append(append, effects);
}

void ReplicaManagerImpl::Fetch(FetchRequestParams params, FetchOperation::Done done) {
  if (params.replica_id != kNoNode)
    context_->followers.Note(params.replica_id, params.connection, *context_->metadata->Current());
  std::vector<FetchOperation::Target> targets;
  targets.reserve(params.entries.size());
  for (const FetchEntry& entry : params.entries) {
    FetchOperation::Target& target = targets.emplace_back();
    if (!stopped_) target.partition = Find(entry.key);
    if (target.partition == nullptr)
      target.failure.error = WhyUnknown(entry.key, target.failure.leader);
  }
  std::make_shared<FetchOperation>(
      FetchOperation::Environment{context_, options_->loop, options_->cold_reads},
      std::move(params), std::move(targets), std::move(done))
      ->Start();
}

void ReplicaManagerImpl::ListOffsets(std::vector<ListOffsetsEntry> entries, ParkedRequests* client,
                                     ListOffsetsOperation::Done done) {
  std::vector<ListOffsetsOperation::Target> targets;
  targets.reserve(entries.size());
  for (ListOffsetsEntry& entry : entries) {
    ListOffsetsOperation::Target& target = targets.emplace_back();
    target.partition = Find(entry.key);
    LeaderHint hint;
    if (target.partition == nullptr) target.failure = WhyUnknown(entry.key, hint);
    target.entry = std::move(entry);
  }
  std::make_shared<ListOffsetsOperation>(context_, options_->cold_reads, std::move(targets),
                                         std::move(done))
      ->Start(client);
}

std::vector<EpochEndResult> ReplicaManagerImpl::OffsetsForLeaderEpoch(
    const std::vector<EpochEndEntry>& entries) {
  std::vector<EpochEndResult> results;
  results.reserve(entries.size());
  for (const EpochEndEntry& entry : entries) {
    EpochEndResult& result = results.emplace_back();
    LeaderHint hint;
    const PartitionPtr partition = Find(entry.key);
    if (partition != nullptr) {
      result = partition->FindEpochEnd(entry);
    } else {
      result.error = WhyUnknown(entry.key, hint);
    }
  }
  return results;
}

std::optional<LocalState> ReplicaManagerImpl::TakeLocalState(const PartitionKey& key) {
  const PartitionPtr partition = Find(key);
  if (partition == nullptr) return std::nullopt;
  return partition->TakeLocalState();
}

LocalRead ReplicaManagerImpl::ReadLocal(const PartitionKey& key, Offset from,
                                        size_t size_bytes_max) {
  const PartitionPtr partition = Find(key);
  LocalRead result;
  if (partition == nullptr) {
    result.error = ErrorCode::kUnknownTopicOrPartition;
    return result;
  }
  PartitionEffects effects;
  const Status read = storage::ReadWhatLacks([&](bool may_wait) -> Result<storage::Lacking> {
    result = partition->ReadLocal(from, size_bytes_max, may_wait, effects);
    return result.lacking;
  });
  if (!read.ok()) result.error = ErrorCode::kKafkaStorageError;
  effects.Run(*context_);
  return result;
}

void ReplicaManagerImpl::DeleteRecords(DeleteRecordsParams params,
                                       DeleteRecordsOperation::Done done) {
  const auto operation =
      std::make_shared<DeleteRecordsOperation>(params.entries.size(), std::move(done));
  const int64_t deadline_ms = options_->clock->SteadyMs() + params.timeout_ms;
  const bool may_lead = !stopped_ && options_->state->LeaseValid(*options_->clock);
  PartitionEffects effects;
  for (size_t i = 0; i < params.entries.size(); ++i) {
    const DeleteRecordsEntry& entry = params.entries[i];
    LeaderHint hint;
    const PartitionPtr partition = Find(entry.key);
    if (partition == nullptr) {
      operation->result(i).error = WhyUnknown(entry.key, hint);
    } else if (!may_lead) {
      operation->result(i).error = ErrorCode::kNotLeaderOrFollower;
    } else {
      partition->DeleteRecords({entry.before, deadline_ms, operation, i}, effects);
    }
  }
  effects.Run(*context_);
  operation->Start();
  if (params.client != nullptr && !operation->finished()) params.client->Add(operation);
}

}  // namespace sluice::broker
