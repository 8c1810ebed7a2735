#include "admin/group_lag.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "admin/group_routes.h"

namespace sluice::admin {
namespace {

using Key = std::pair<std::string, int32_t>;

// What an answer needs besides the time between two looks.
constexpr int64_t kTimeBesidesSampleMs = 1000;

// What members subscribe to and is not there.
std::map<std::string, int> MissingTopics(const Group& group, const metadata::Image& image) {
  std::map<std::string, int> missing;
  for (const GroupMember& member : group.members()) {
    for (const std::string& topic : member.subscribed_topics()) {
      if (image.FindTopic(topic) == nullptr) ++missing[topic];
    }
  }
  return missing;
}

class LagOperation : public std::enable_shared_from_this<LagOperation> {
 public:
  LagOperation(Backend& backend, GroupLagRequest request, Deadline deadline, Done<GroupAndLag> done)
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
          if (!described.ok()) return self->done_(described.status());
          self->group_ = std::move(*described->mutable_group());
          self->Look();
        });
  }

 private:
  void Look() {
    GetGroupOffsetsRequest offsets;
    offsets.set_name(request_.name());
    AskCoordinator<GetGroupOffsetsRequest, GetGroupOffsetsResponse>(
        backend_, &Backend::GetGroupOffsets, std::move(offsets), deadline_,
        [self = shared_from_this()](Result<GetGroupOffsetsResponse> committed) {
          if (!committed.ok()) return self->done_(committed.status());
          self->OnCommitted(std::move(*committed));
        });
  }

  void OnCommitted(GetGroupOffsetsResponse committed) {
    sample_.committed.clear();
    for (GroupOffset& each : *committed.mutable_offsets()) {
      const Key key(each.topic(), each.partition());
      sample_.committed[key] = std::move(each);
    }
    // What a member has been given and has not committed yet is part of the picture.
    std::map<Key, std::optional<int64_t>> wanted;
    for (const auto& [key, each] : sample_.committed) wanted[key] = each.offset();
    for (const GroupMember& member : group_.members()) {
      for (const TopicPartitions& topic : member.assignment()) {
        for (const int32_t partition : topic.partitions())
          wanted.try_emplace({topic.topic(), partition}, std::nullopt);
      }
    }
    ListOffsetsRequest ends;
    for (const auto& [key, offset] : wanted) {
      OffsetQuery& query = *ends.add_queries();
      query.set_topic(key.first);
      query.set_partition(key.second);
      // Without a commit all of the partition counts.
      query.set_offset(offset.value_or(0));
    }
    AskLeaders(backend_, std::move(ends), deadline_,
               [self = shared_from_this()](ListOffsetsResponse answered) {
                 self->OnEnds(std::move(answered));
               });
  }

  void OnEnds(ListOffsetsResponse ends) {
    sample_.ends = std::move(ends);
    sample_.steady_ms = backend_.clock().SteadyMs();
    sample_.wall_ms = backend_.clock().WallMs();
    if (request_.sample_ms() > 0 && !first_.has_value()) {
      first_ = std::move(sample_);
      sample_ = {};
      backend_.RunAfter(request_.sample_ms(), [self = shared_from_this()] { self->Look(); });
      return;
    }
    GroupAndLag result;
    result.lag = ComputeLag(group_, first_.has_value() ? &*first_ : nullptr, sample_);
    result.missing_topics = MissingTopics(group_, *backend_.Image());
    result.group = std::move(group_);
    done_(std::move(result));
  }

  Backend& backend_;
  const GroupLagRequest request_;
  const Deadline deadline_;
  const Done<GroupAndLag> done_;
  Group group_;
  std::optional<LagSample> first_;
  LagSample sample_;
};

// Who has each partition.
std::map<Key, const GroupMember*> Owners(const Group& group) {
  std::map<Key, const GroupMember*> owners;
  for (const GroupMember& member : group.members()) {
    for (const TopicPartitions& topic : member.assignment()) {
      for (const int32_t partition : topic.partitions())
        owners[{topic.topic(), partition}] = &member;
    }
  }
  return owners;
}

// Records from `committed` to the end, and how long the oldest of them has been there.
void MeasureBehind(const PartitionOffsets& ends, int64_t wall_ms, PartitionLag& out) {
  if (!out.has_committed()) {
    out.set_note("nothing is committed");
    return;
  }
  const int64_t committed = out.committed();
  const int64_t from = std::max(committed, ends.log_start());
  out.set_lag(std::max<int64_t>(ends.log_end() - from, 0));
  if (committed < ends.log_start()) {
    out.set_note(std::to_string(ends.log_start() - committed) +
                 " offsets above the committed one are deleted: the log starts at " +
                 std::to_string(ends.log_start()));
  } else if (committed > ends.log_end()) {
    out.set_note("the committed offset is above the log's end");
  }
  if (out.lag() == 0) return out.set_lag_seconds(0);
  if (!ends.has_record_time_ms() || ends.record_time_ms() < 0) return;
  const int64_t age_ms = std::max<int64_t>(wall_ms - ends.record_time_ms(), 0);
  out.set_lag_seconds(static_cast<double>(age_ms) / 1000);
}

void MeasureRates(const PartitionLag& before, double seconds, PartitionLag& out) {
  if (seconds <= 0 || before.log_end() < 0 || out.log_end() < 0) return;
  const double arriving = static_cast<double>(out.log_end() - before.log_end()) / seconds;
  out.set_arriving_per_second(std::max(arriving, 0.0));
  if (!before.has_committed() || !out.has_committed()) return;
  const double committed = static_cast<double>(out.committed() - before.committed()) / seconds;
  out.set_committed_per_second(std::max(committed, 0.0));
  if (!out.has_lag()) return;
  const double shrinking = out.committed_per_second() - out.arriving_per_second();
  if (out.lag() == 0) {
    out.set_eta_seconds(0);
  } else if (shrinking > 0) {
    out.set_eta_seconds(static_cast<double>(out.lag()) / shrinking);
  }
}

std::map<Key, PartitionLag> LagOf(const LagSample& sample) {
  std::map<Key, PartitionLag> lags;
  for (const PartitionOffsets& ends : sample.ends.partitions()) {
    const Key key(ends.topic(), ends.partition());
    PartitionLag& out = lags[key];
    out.set_topic(ends.topic());
    out.set_partition(ends.partition());
    out.set_log_start(-1);
    out.set_log_end(-1);
    const auto committed = sample.committed.find(key);
    if (committed != sample.committed.end() && committed->second.has_offset())
      out.set_committed(committed->second.offset());
    if (!ends.error().empty()) {
      out.set_note(ends.error());
      continue;
    }
    out.set_log_start(ends.log_start());
    out.set_log_end(ends.log_end());
    MeasureBehind(ends, sample.wall_ms, out);
  }
  return lags;
}

std::string Measured(double seconds) {
  std::string words =
      "seconds: age of the oldest record not committed, by its timestamp; a record that was read "
      "and not committed counts as not read";
  if (seconds <= 0) return words + "; one look, so no rates";
  char apart[32];
  snprintf(apart, sizeof apart, "%.1f", seconds);
  return words + "; rates: what was committed and what arrived between two looks " + apart +
         " s apart, so a member that commits less often than that shows 0";
}

}  // namespace

GroupLagResponse ComputeLag(const Group& group, const LagSample* before, const LagSample& now) {
  GroupLagResponse response;
  response.set_name(group.name());
  response.set_state(group.state());
  const double seconds =
      before == nullptr ? 0 : static_cast<double>(now.steady_ms - before->steady_ms) / 1000;
  response.set_measured(Measured(seconds));
  const std::map<Key, const GroupMember*> owners = Owners(group);
  std::map<Key, PartitionLag> earlier;
  if (before != nullptr) earlier = LagOf(*before);
  int64_t total = 0;
  for (auto& [key, lag] : LagOf(now)) {
    if (const auto owner = owners.find(key); owner != owners.end()) {
      lag.set_member_id(owner->second->member_id());
      lag.set_client_id(owner->second->client_id());
      lag.set_client_host(owner->second->client_host());
    }
    if (const auto at = earlier.find(key); at != earlier.end())
      MeasureRates(at->second, seconds, lag);
    if (lag.log_end() < 0)
      response.add_incomplete(PartitionName(key.first, key.second) + ": " + lag.note());
    total += lag.lag();
    if (lag.has_lag_seconds() &&
        (!response.has_lag_seconds() || lag.lag_seconds() > response.lag_seconds()))
      response.set_lag_seconds(lag.lag_seconds());
    *response.add_partitions() = std::move(lag);
  }
  response.set_lag(total);
  return response;
}

void MeasureGroupLag(Backend& backend, const GroupLagRequest& request, int64_t timeout_ms,
                     Done<GroupAndLag> done) {
  if (request.sample_ms() < 0 ||
      (request.sample_ms() > 0 && request.sample_ms() + kTimeBesidesSampleMs > timeout_ms)) {
    return done(Status::InvalidArgument(
        "sample_ms is " + std::to_string(request.sample_ms()) + "; 0 to " +
        std::to_string(std::max<int64_t>(timeout_ms - kTimeBesidesSampleMs, 0)) +
        " fit into the call's time"));
  }
  std::make_shared<LagOperation>(backend, request, Deadline(backend.clock(), timeout_ms),
                                 std::move(done))
      ->Start();
}

}  // namespace sluice::admin
