#include "admin/group_reset.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "admin/group_explain.h"
#include "admin/group_routes.h"

namespace sluice::admin {
namespace {

using Key = std::pair<std::string, int32_t>;
using Offsets = std::map<Key, GroupOffset>;
using Reset = ResetGroupOffsetsRequest;

Offsets ByPartition(const google::protobuf::RepeatedPtrField<GroupOffset>& offsets) {
  Offsets by;
  for (const GroupOffset& offset : offsets) by[{offset.topic(), offset.partition()}] = offset;
  return by;
}

// The partitions that a request is about.
Result<std::vector<Key>> PartitionsOf(const Reset& request, const metadata::Image& image,
                                      const Offsets& committed, const Offsets& other) {
  std::vector<Key> keys;
  if (request.to_case() == Reset::kOffsets) {
    for (const GroupOffset& each : request.offsets().offsets())
      keys.emplace_back(each.topic(), each.partition());
  } else if (request.topics().empty()) {
    for (const auto& [key, offset] : request.to_case() == Reset::kGroup ? other : committed)
      keys.push_back(key);
  }
  for (const TopicPartitions& topic : request.topics()) {
    if (request.to_case() == Reset::kOffsets) break;
    const auto found = image.FindTopic(topic.topic());
    if (found == nullptr) return Status::NotFound("topic '" + topic.topic() + "' does not exist");
    for (const int32_t partition : topic.partitions()) keys.emplace_back(topic.topic(), partition);
    for (size_t i = 0; topic.partitions().empty() && i < found->partitions.size(); ++i)
      keys.emplace_back(topic.topic(), static_cast<int32_t>(i));
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  if (keys.empty()) {
    return Status::InvalidArgument(
        "group '" + (request.to_case() == Reset::kGroup ? request.group() : request.name()) +
        "' has no committed offsets; name the topics");
  }
  return keys;
}

class ResetOperation : public std::enable_shared_from_this<ResetOperation> {
 public:
  ResetOperation(Backend& backend, Reset request, Deadline deadline,
                 Done<ResetGroupOffsetsResponse> done)
      : backend_(backend),
        request_(std::move(request)),
        deadline_(deadline),
        done_(std::move(done)) {}

  void Start() {
    DescribeGroupRequest describe;
    describe.set_name(request_.name());
    AskCoordinator<DescribeGroupRequest, DescribeGroupResponse>(
        backend_, &Backend::DescribeGroup, std::move(describe), deadline_,
        [self = shared_from_this()](Result<DescribeGroupResponse> described) {
          self->OnDescribed(described);
        });
  }

 private:
  void OnDescribed(const Result<DescribeGroupResponse>& described) {
    // A group that is not there yet may be given offsets, of partitions that are named.
    const bool is_missing = described.status().code() == StatusCode::kNotFound;
    if (!described.ok() && !is_missing) return done_(described.status());
    const bool are_named = !request_.topics().empty() || request_.to_case() == Reset::kOffsets ||
                           request_.to_case() == Reset::kGroup;
    if (is_missing && !are_named) {
      return done_(Status::NotFound("group '" + request_.name() +
                                    "' does not exist; to make it, name the topics"));
    }
    if (described.ok()) may_ = CheckNoMembers(described->group());
    if (request_.execute() && !may_.ok()) return done_(may_);
    FetchOffsets(request_.name(), [self = shared_from_this()](Offsets offsets) {
      self->committed_ = std::move(offsets);
      if (self->request_.to_case() != Reset::kGroup) return self->AskEnds();
      self->FetchOffsets(self->request_.group(), [self](Offsets other) {
        self->other_ = std::move(other);
        if (!self->other_.empty()) return self->AskEnds();
        self->CheckSource();
      });
    });
  }

  // It has committed nothing: maybe it is not there.
  void CheckSource() {
    DescribeGroupRequest describe;
    describe.set_name(request_.group());
    AskCoordinator<DescribeGroupRequest, DescribeGroupResponse>(
        backend_, &Backend::DescribeGroup, std::move(describe), deadline_,
        [self = shared_from_this()](const Result<DescribeGroupResponse>& described) {
          if (!described.ok()) return self->done_(described.status());
          self->AskEnds();
        });
  }

  void FetchOffsets(const std::string& group, const std::function<void(Offsets)>& then) {
    GetGroupOffsetsRequest offsets;
    offsets.set_name(group);
    AskCoordinator<GetGroupOffsetsRequest, GetGroupOffsetsResponse>(
        backend_, &Backend::GetGroupOffsets, std::move(offsets), deadline_,
        [self = shared_from_this(), then](Result<GetGroupOffsetsResponse> answered) {
          if (!answered.ok()) return self->done_(answered.status());
          then(ByPartition(answered->offsets()));
        });
  }

  void AskEnds() {
    const auto keys = PartitionsOf(request_, *backend_.Image(), committed_, other_);
    if (!keys.ok()) return done_(keys.status());
    ListOffsetsRequest ends;
    for (const auto& [topic, partition] : *keys) {
      OffsetQuery& query = *ends.add_queries();
      query.set_topic(topic);
      query.set_partition(partition);
      if (request_.to_case() == Reset::kTimeMs) query.set_time_ms(request_.time_ms());
    }
    AskLeaders(
        backend_, std::move(ends), deadline_,
        [self = shared_from_this()](const ListOffsetsResponse& answered) { self->Plan(answered); });
  }

  void Plan(const ListOffsetsResponse& ends) {
    const Offsets given = ByPartition(request_.offsets().offsets());
    const Offsets& sources = request_.to_case() == Reset::kOffsets ? given : other_;
    bool changes = false;
    for (const PartitionOffsets& partition : ends.partitions()) {
      const Key key(partition.topic(), partition.partition());
      const auto source = sources.find(key);
      const auto committed = committed_.find(key);
      const GroupOffset before = committed == committed_.end() ? GroupOffset() : committed->second;
      *response_.add_changes() = PlanChange(request_, partition, before,
                                            source == sources.end() ? nullptr : &source->second);
      CheckMetadata(*response_.mutable_changes()->rbegin());
      changes = changes || response_.changes().rbegin()->error().empty();
    }
    if (!may_.ok()) response_.set_refusal(may_.message());
    if (!request_.execute() || !changes) return done_(std::move(response_));
    Apply();
  }

  // As the coordinator will, so that a plan does not promise what it refuses.
  void CheckMetadata(OffsetChange& change) const {
    const int64_t max = backend_.config().GetInt("offset.metadata.max.bytes");
    const auto size = static_cast<int64_t>(change.after().metadata().size());
    if (!change.error().empty() || size <= max) return;
    change.set_error("its metadata has " + std::to_string(size) +
                     " bytes, and offset.metadata.max.bytes allows " + std::to_string(max));
  }

  void Apply() {
    Reset apply;
    apply.set_name(request_.name());
    apply.set_execute(true);
    auto& offsets = *apply.mutable_offsets();
    for (const OffsetChange& change : response_.changes()) {
      if (!change.error().empty()) continue;
      GroupOffset& offset = *offsets.add_offsets();
      offset = change.after();
      offset.set_topic(change.topic());
      offset.set_partition(change.partition());
    }
    AskCoordinator<Reset, ResetGroupOffsetsResponse>(
        backend_, &Backend::ResetGroupOffsets, std::move(apply), deadline_,
        [self = shared_from_this()](Result<ResetGroupOffsetsResponse> applied) {
          if (!applied.ok()) return self->done_(applied.status());
          self->OnApplied(*applied);
        });
  }

  void OnApplied(const ResetGroupOffsetsResponse& applied) {
    std::map<Key, std::string> errors;
    for (const OffsetChange& change : applied.changes())
      errors[{change.topic(), change.partition()}] = change.error();
    for (OffsetChange& change : *response_.mutable_changes()) {
      const auto error = errors.find({change.topic(), change.partition()});
      if (change.error().empty() && error != errors.end()) change.set_error(error->second);
    }
    response_.set_executed(true);
    done_(std::move(response_));
  }

  Backend& backend_;
  const Reset request_;
  const Deadline deadline_;
  const Done<ResetGroupOffsetsResponse> done_;
  Status may_;
  Offsets committed_, other_;
  ResetGroupOffsetsResponse response_;
};

// As far as numbers go: the log's end is nearer anyway.
int64_t Shifted(int64_t offset, int64_t by) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(offset, by, &sum)) return sum;
  return by > 0 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
}

// Where `request` wants the group to be, before the log's ends are looked at; nullopt with words in
// `change` when there is no such place.
std::optional<int64_t> Wanted(const Reset& request, const PartitionOffsets& ends,
                              const GroupOffset& before, const GroupOffset* other,
                              OffsetChange& change) {
  switch (request.to_case()) {
    case Reset::kEarliest: return ends.log_start();
    case Reset::kLatest: return ends.log_end();
    case Reset::kOffset: return request.offset();
    case Reset::kTimeMs:
      if (ends.has_time_offset()) return ends.time_offset();
      change.set_note("no record is that new: the log's end");
      return ends.log_end();
    case Reset::kShiftBy:
      if (before.has_offset()) return Shifted(before.offset(), request.shift_by());
      change.set_error("nothing is committed to shift from");
      return std::nullopt;
    case Reset::kGroup:
    case Reset::kOffsets:
      if (other != nullptr && other->has_offset()) return other->offset();
      if (request.to_case() == Reset::kGroup)
        change.set_error("group '" + request.group() + "' has nothing committed there");
      return std::nullopt;
    case Reset::TO_NOT_SET: break;
  }
  change.set_error("no place is given");
  return std::nullopt;
}

}  // namespace

Status CheckNoMembers(const Group& group) {
  if (group.members().empty()) return Status::Ok();
  std::string members;
  for (const GroupMember& member : group.members()) {
    if (!members.empty()) members += ", ";
    members += MemberInWords(member);
    if (members.size() > 300) {
      members += " ...";
      break;
    }
  }
  return Status::Fenced("group '" + group.name() + "' is " + group.state() + " with " +
                        std::to_string(group.members_size()) +
                        " members, which would go on from where they are: " + members);
}

OffsetChange PlanChange(const ResetGroupOffsetsRequest& request, const PartitionOffsets& ends,
                        const GroupOffset& before, const GroupOffset* other) {
  OffsetChange change;
  change.set_topic(ends.topic());
  change.set_partition(ends.partition());
  *change.mutable_before() = before;
  GroupOffset& after = *change.mutable_after();
  after.set_leader_epoch(-1);
  const bool deletes = request.to_case() == Reset::kOffsets && !other->has_offset();
  // Only then nobody needs to know where the log ends.
  if (deletes) {
    change.set_note("the committed offset is deleted");
    return change;
  }
  if (!ends.error().empty()) {
    change.set_error(ends.error());
    return change;
  }
  const std::optional<int64_t> wanted = Wanted(request, ends, before, other, change);
  if (!wanted.has_value()) return change;
  const int64_t offset = std::clamp(*wanted, ends.log_start(), ends.log_end());
  if (offset != *wanted) {
    change.set_note(std::to_string(*wanted) + " is outside of the log: its " +
                    (offset == ends.log_start() ? "start" : "end"));
  }
  after.set_offset(offset);
  // As it was kept, when it goes back to just where it was.
  if (other != nullptr && other->offset() == offset) {
    after.set_leader_epoch(other->leader_epoch());
    after.set_metadata(other->metadata());
  }
  if (before.has_offset()) {
    // What retention has deleted is neither skipped nor repeated.
    const int64_t from = std::clamp(before.offset(), ends.log_start(), ends.log_end());
    change.set_skipped(std::max<int64_t>(offset - from, 0));
    change.set_repeated(std::max<int64_t>(from - offset, 0));
  }
  return change;
}

void ResetOffsets(Backend& backend, ResetGroupOffsetsRequest request, int64_t timeout_ms,
                  Done<ResetGroupOffsetsResponse> done) {
  std::make_shared<ResetOperation>(backend, std::move(request),
                                   Deadline(backend.clock(), timeout_ms), std::move(done))
      ->Start();
}

}  // namespace sluice::admin
