#include "broker/group/offset_store.h"

#include <glog/logging.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "kafka/consumer_protocol.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using kafka::OffsetCommitKey;
using kafka::OffsetCommitValue;
using FetchedGroup = kafka::OffsetFetchResponse::OffsetFetchResponseGroup;
using FetchedTopic = kafka::OffsetFetchResponse::OffsetFetchResponseTopics;
using FetchedPartition = kafka::OffsetFetchResponse::OffsetFetchResponsePartitions;

constexpr size_t kSweepEntries = 1000;
// What a sweep walks, by record type.
constexpr std::array<int16_t, 3> kSweepTypes = {OffsetCommitKey::kRecordType,
                                                kafka::GroupMetadataKey::kRecordType,
                                                kafka::ConsumerGroupMetadataKey::kRecordType};

// All keys of one group's offsets begin with it: the type, the group with its length.
std::string OffsetPrefix(std::string_view group_id) {
  ByteWriter bytes;
  bytes.PutInt16(OffsetCommitKey::kRecordType);
  bytes.PutInt16(static_cast<int16_t>(group_id.size()));
  bytes.PutBytes(group_id);
  return bytes.Take();
}

// Calls `visit(key, value)` for each offset of a group; false ends it. An entry that cannot be read
// is passed over and told: it must not take the others along.
template <typename Visit>
Status ForEachOffset(const GroupView& view, GroupView::Upto upto, std::string_view group_id,
                     const Visit& visit) {
  return view.ForEach(
      upto, {.prefix = OffsetPrefix(group_id), .from = ""},
      [&](std::string_view key, std::string_view value) {
        const Result<GroupKey> decoded = DecodeGroupKey(key);
        const auto* commit = decoded.ok() ? std::get_if<OffsetCommitKey>(&*decoded) : nullptr;
        const auto offset = DecodeGroupValue<OffsetCommitValue>(value);
        if (commit == nullptr || !offset.ok()) {
          LOG(ERROR) << "group " << group_id << ": a committed offset cannot be read";
          return true;
        }
        return visit(*commit, *offset);
      });
}

// Zero when there is none.
TopicId IdOf(const std::string& topic, const GroupContext& context) {
  const auto found = context.moment.image->FindTopic(topic);
  return found == nullptr ? TopicId() : found->id;
}

// But for the topic's id.
OffsetCommitValue ValueOf(const kafka::OffsetCommitRequest& request,
                          const kafka::OffsetCommitRequest::OffsetCommitRequestPartition& partition,
                          int64_t now_ms) {
  OffsetCommitValue value;
  value.offset = partition.committed_offset;
  value.leader_epoch = partition.committed_leader_epoch;
  value.metadata = partition.committed_metadata.value_or("");
  value.commit_timestamp = now_ms;
  if (request.retention_time_ms >= 0) value.expire_timestamp = now_ms + request.retention_time_ms;
  return value;
}

// May somebody without a group of that name commit?
ErrorCode CheckCommitWithoutGroup(const kafka::OffsetCommitRequest& request, int16_t version) {
  if (request.generation_id_or_member_epoch < 0) return ErrorCode::kNone;
  return version >= 9 ? ErrorCode::kGroupIdNotFound : ErrorCode::kIllegalGeneration;
}

FetchedPartition Answered(int32_t partition, const OffsetCommitValue* value) {
  FetchedPartition answered;
  answered.partition_index = partition;
  answered.committed_offset = value == nullptr ? -1 : value->offset;
  answered.committed_leader_epoch = value == nullptr ? -1 : value->leader_epoch;
  answered.metadata = value == nullptr ? "" : value->metadata;
  return answered;
}

// A topic that was deleted, and perhaps made again under the name, has lost what was committed in
// it, though the sweep has not come by yet: a reader of the next one would begin anywhere. What was
// committed before offsets had ids is of whatever has the name.
bool OfAnotherTopic(const TopicId& wanted, const OffsetCommitValue& value) {
  return !value.topic_id.IsZero() && wanted != value.topic_id;
}

Status FetchAll(const GroupContext& context, FetchedGroup& fetched) {
  FetchedTopic topic;  // of the last offset, with all its partitions
  const auto flush = [&] {
    if (!topic.partitions.empty()) fetched.topics.push_back(std::exchange(topic, {}));
  };
  const Status read =
      ForEachOffset(context.view, GroupView::Upto::kHighWatermark, fetched.group_id,
                    [&](const OffsetCommitKey& key, const OffsetCommitValue& value) {
                      if (topic.name != key.topic) {
                        flush();
                        topic.name = key.topic;
                        topic.topic_id = IdOf(key.topic, context);
                      }
                      if (!OfAnotherTopic(topic.topic_id, value))
                        topic.partitions.push_back(Answered(key.partition, &value));
                      return true;
                    });
  flush();
  return read;
}

Status FetchSome(const kafka::OffsetFetchRequest::OffsetFetchRequestGroup& request,
                 const GroupContext& context, FetchedGroup& fetched) {
  const GroupView& view = context.view;
  OffsetCommitKey key;
  key.group = request.group_id;
  for (const auto& topic : *request.topics) {
    FetchedTopic& answer = fetched.topics.emplace_back();
    answer.name = topic.name;
    answer.topic_id = topic.topic_id.IsZero() ? IdOf(topic.name, context) : topic.topic_id;
    key.topic = topic.name;
    for (const int32_t partition : topic.partition_indexes) {
      key.partition = partition;
      SLUICE_ASSIGN_OR_RETURN(const std::string bytes, kafka::EncodeRecordKey(key));
      SLUICE_ASSIGN_OR_RETURN(const auto stored, view.Get(GroupView::Upto::kHighWatermark, bytes));
      std::optional<OffsetCommitValue> value;
      if (stored.has_value()) {
        SLUICE_ASSIGN_OR_RETURN(value, DecodeGroupValue<OffsetCommitValue>(*stored));
      }
      if (value.has_value() && OfAnotherTopic(answer.topic_id, *value)) value.reset();
      answer.partitions.push_back(Answered(partition, value ? &*value : nullptr));
    }
  }
  return Status::Ok();
}

// Decides which offsets of the sweep go. They come group by group, so that a group is looked up
// once.
class Judge {
 public:
  Judge(const OffsetStore::SweepHooks& hooks, const GroupContext& context)
      : hooks_(hooks), context_(context) {}

  bool Goes(const OffsetCommitKey& key, const OffsetCommitValue& value) {
    if (TopicIsGone(key, value)) return true;
    if (!group_id_ || *group_id_ != key.group) {
      group_id_ = key.group;
      group_ = hooks_.find(key.group);
    }
    return group_.ok() && Expired(*group_, key, value);
  }

 private:
  bool TopicIsGone(const OffsetCommitKey& key, const OffsetCommitValue& value) const {
    const metadata::Image& image = *context_.moment.image;
    return value.topic_id.IsZero() ? image.FindTopic(key.topic) == nullptr
                                   : image.FindTopic(TopicId(value.topic_id)) == nullptr;
  }

  // KIP-211: of a group without members the time since the last one left counts; a group that reads
  // on loses only what it does not subscribe to any more.
  bool Expired(const Group* group, const OffsetCommitKey& key,
               const OffsetCommitValue& value) const {
    const int64_t now_ms = context_.moment.wall_ms;
    const bool read = group != nullptr && group->has_members();
    if (read && (!group->tells_subscriptions() || group->IsSubscribedTo(key.topic))) return false;
    if (value.expire_timestamp >= 0) return now_ms >= value.expire_timestamp;
    int64_t since_ms = value.commit_timestamp;
    if (group != nullptr && !read) since_ms = std::max(since_ms, group->empty_since_ms());
    return now_ms - since_ms >= context_.config.offsets_retention_ms;
  }

  const OffsetStore::SweepHooks& hooks_;
  const GroupContext& context_;
  std::optional<std::string> group_id_;
  Result<Group*> group_ = nullptr;  // of group_id_
};

// Null: nobody's group, where only nobody may commit.
ErrorCode CheckCommit(const GroupCaller& caller, const kafka::OffsetCommitRequest& request,
                      Group* group, GroupContext& context) {
  if (group == nullptr) return CheckCommitWithoutGroup(request, caller.version);
  const OffsetClaim claim{.member_id = request.member_id,
                          .instance_id = request.group_instance_id.has_value()
                                             ? std::string_view(*request.group_instance_id)
                                             : std::string_view(),
                          .generation_or_epoch = request.generation_id_or_member_epoch,
                          .version = caller.version};
  const ErrorCode error = group->CheckCommit(claim, context);
  if (error != ErrorCode::kNone) return error;
  for (const auto& topic : request.topics) {
    for (const auto& partition : topic.partitions) {
      const ErrorCode refusal =
          group->CheckCommitOf(claim, topic.name, partition.partition_index, context);
      if (refusal != ErrorCode::kNone) return refusal;
    }
  }
  return ErrorCode::kNone;
}

}  // namespace

void OffsetStore::Commit(const GroupCaller& caller, const kafka::OffsetCommitRequest& request,
                         Group* group, GroupContext& context) {
  const ErrorCode refusal = CheckCommit(caller, request, group, context);
  kafka::OffsetCommitResponse response;
  response.topics.reserve(request.topics.size());
  OffsetCommitKey key;
  key.group = request.group_id;
  for (const auto& topic : request.topics) {
    auto& answer = response.topics.emplace_back();
    answer.name = topic.name;
    answer.topic_id = topic.topic_id;
    answer.partitions.reserve(topic.partitions.size());
    key.topic = topic.name;
    // Not every caller tells the id.
    const TopicId topic_id =
        topic.topic_id.IsZero() ? IdOf(topic.name, context) : TopicId(topic.topic_id);
    for (const auto& partition : topic.partitions) {
      key.partition = partition.partition_index;
      ErrorCode error = refusal;
      if (error == ErrorCode::kNone && partition.committed_metadata.has_value() &&
          partition.committed_metadata->size() > context.config.metadata_bytes_max) {
        error = ErrorCode::kOffsetMetadataTooLarge;
      }
      if (error == ErrorCode::kNone) {
        OffsetCommitValue value = ValueOf(request, partition, context.moment.wall_ms);
        value.topic_id = topic_id;
        Result<GroupRecord> record = EncodeGroupRecord(key, value);
        if (record.ok()) {
          context.effects.records.push_back(*std::move(record));
        } else {
          error = ErrorCode::kInvalidRequest;
        }
      }
      auto& answered = answer.partitions.emplace_back();
      answered.partition_index = partition.partition_index;
      answered.error_code = WireError(error);
    }
  }
  if (context.effects.records.empty()) {
    context.effects.Answer(caller, std::move(response));
  } else {
    context.effects.AnswerWhenDurable(caller, std::move(response));
  }
}

void OffsetStore::Fetch(const GroupCaller& caller, const FetchOffsets& request, const Group* group,
                        GroupContext& context) const {
  FetchedGroup fetched;
  fetched.group_id = request.group.group_id;
  const OffsetClaim claim{.member_id = request.group.member_id.has_value()
                                           ? std::string_view(*request.group.member_id)
                                           : std::string_view(),
                          .instance_id = {},
                          .generation_or_epoch = request.group.member_epoch,
                          .version = caller.version};
  if (group != nullptr) fetched.error_code = WireError(group->CheckFetch(claim));
  if (fetched.error_code == WireError(ErrorCode::kNone)) {
    const Status read = request.group.topics.has_value()
                            ? FetchSome(request.group, context, fetched)
                            : FetchAll(context, fetched);
    if (!read.ok()) {
      LOG_EVERY_N(ERROR, 100) << "offsets of group " << fetched.group_id
                              << " could not be read: " << read.ToString();
      fetched.topics.clear();
      fetched.error_code = WireError(ErrorCode::kCoordinatorNotAvailable);
    }
  }
  context.effects.Answer(caller, std::move(fetched));
}

void OffsetStore::Delete(const GroupCaller& caller, const kafka::OffsetDeleteRequest& request,
                         const Group* group, GroupContext& context) {
  kafka::OffsetDeleteResponse response;
  if (group == nullptr && !HasOffsets(request.group_id, context.view)) {
    response.error_code = WireError(ErrorCode::kGroupIdNotFound);
  } else if (group != nullptr && group->has_members() &&
             group->protocol_type() != kafka::kConsumerProtocolType) {
    // Nobody but its members knows what it is about.
    response.error_code = WireError(ErrorCode::kNonEmptyGroup);
  }
  if (response.error_code != WireError(ErrorCode::kNone)) {
    return context.effects.Answer(caller, std::move(response));
  }
  OffsetCommitKey key;
  key.group = request.group_id;
  for (const auto& topic : request.topics) {
    const bool subscribed = group != nullptr && group->IsSubscribedTo(topic.name);
    auto& answer = response.topics.emplace_back();
    answer.name = topic.name;
    key.topic = topic.name;
    for (const auto& partition : topic.partitions) {
      key.partition = partition.partition_index;
      auto& answered = answer.partitions.emplace_back();
      answered.partition_index = partition.partition_index;
      if (subscribed) {
        answered.error_code = WireError(ErrorCode::kGroupSubscribedToTopic);
        continue;
      }
      Result<GroupRecord> tombstone = EncodeGroupTombstone(key);
      if (!tombstone.ok()) continue;  // too long a name: there is no such offset
      const auto stored = context.view.Get(GroupView::Upto::kLogEnd, tombstone->key);
      if (!stored.ok()) {
        answered.error_code = WireError(ErrorCode::kCoordinatorNotAvailable);
      } else if (stored->has_value()) {
        context.effects.records.push_back(*std::move(tombstone));
      }
    }
  }
  if (context.effects.records.empty()) {
    context.effects.Answer(caller, std::move(response));
  } else {
    context.effects.AnswerWhenDurable(caller, std::move(response));
  }
}

bool OffsetStore::HasOffsets(const std::string& group_id, const GroupView& view) const {
  bool found = false;
  const Status read =
      view.ForEach(GroupView::Upto::kLogEnd, {.prefix = OffsetPrefix(group_id), .from = ""},
                   [&](std::string_view, std::string_view) {
                     found = true;
                     return false;
                   });
  return found || !read.ok();
}

Status OffsetStore::AddTombstones(const std::string& group_id, GroupContext& context) const {
  return context.view.ForEach(GroupView::Upto::kLogEnd,
                              {.prefix = OffsetPrefix(group_id), .from = ""},
                              [&](std::string_view key, std::string_view) {
                                context.effects.records.push_back({std::string(key), std::nullopt});
                                return true;
                              });
}

void OffsetStore::SweepNext(const SweepHooks& hooks, GroupContext& context) {
  Judge judge(hooks, context);
  size_t looked = 0;
  std::vector<std::string> idle_groups;
  std::optional<std::string> next;
  const std::string prefix = GroupKeyPrefix(kSweepTypes[sweep_->stage]);
  const Status read = context.view.ForEach(
      GroupView::Upto::kLogEnd, {.prefix = prefix, .from = sweep_->from},
      [&](std::string_view key, std::string_view value) {
        if (looked++ == kSweepEntries) {
          next = key;
          return false;
        }
        const Result<GroupKey> decoded = DecodeGroupKey(key);
        if (!decoded.ok()) return true;
        if (const auto* commit = std::get_if<OffsetCommitKey>(&*decoded)) {
          const auto offset = DecodeGroupValue<OffsetCommitValue>(value);
          if (offset.ok() && judge.Goes(*commit, *offset)) {
            context.effects.records.push_back({std::string(key), std::nullopt});
          }
        } else if (const auto* classic = std::get_if<kafka::GroupMetadataKey>(&*decoded)) {
          idle_groups.push_back(classic->group);
        } else if (const auto* consumer = std::get_if<kafka::ConsumerGroupMetadataKey>(&*decoded)) {
          idle_groups.push_back(consumer->group_id);
        }
        return true;
      });
  if (!read.ok()) LOG(ERROR) << "offsets are not swept: " << read.ToString();
  for (const std::string& group_id : idle_groups) {
    const Result<Group*> group = hooks.find(group_id);
    if (!group.ok() || *group == nullptr || (*group)->has_members()) continue;
    if (!HasOffsets(group_id, context.view)) hooks.remove(group_id);
  }
  if (read.ok() && next.has_value()) {
    sweep_->from = *std::move(next);
  } else if (read.ok() && sweep_->stage + 1 < kSweepTypes.size()) {
    sweep_ = Sweep{.stage = sweep_->stage + 1, .from = ""};
  } else {
    sweep_.reset();
  }
}

}  // namespace sluice::broker
