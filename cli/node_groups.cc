#include "cli/node_groups.h"

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "admin/errors.h"
#include "broker/group/group_coordinator.h"
#include "broker/group/group_records.h"
#include "broker/offset_look_up.h"
#include "kafka/consumer_protocol.h"
#include "kafka/error_code.h"

namespace sluice::cli {
namespace {

using kafka::ErrorCode;
using Fetched = kafka::OffsetFetchResponse::OffsetFetchResponseGroup;
using Classic = kafka::DescribeGroupsResponse::DescribedGroup;
using Consumer = kafka::ConsumerGroupDescribeResponse::DescribedGroup;

// The newest version of each API: with it the coordinator tells all it can.
constexpr int16_t kVersion = 100;

Status StatusOf(int16_t code, const std::optional<std::string>& message = std::nullopt) {
  return admin::StatusFromKafka(code, message.value_or(""));
}

void AddAssignment(const std::string& bytes, admin::GroupMember& member) {
  if (bytes.empty()) return;
  const auto assignment = kafka::DecodeConsumerAssignment(bytes);
  if (!assignment.ok()) return;  // another client's own; nothing is known of it
  for (const auto& topic : assignment->assigned_partitions) {
    if (topic.partitions.empty()) continue;
    admin::TopicPartitions& out = *member.add_assignment();
    out.set_topic(topic.topic);
    for (const int32_t partition : topic.partitions) out.add_partitions(partition);
  }
}

admin::Group ToAdmin(const Classic& described) {
  admin::Group group;
  group.set_name(described.group_id);
  group.set_type("classic");
  group.set_protocol_type(described.protocol_type);
  group.set_state(described.group_state);
  group.set_assignor(described.protocol_data);
  group.set_generation(-1);
  group.set_state_since_ms(-1);
  for (const auto& member : described.members) {
    admin::GroupMember& out = *group.add_members();
    out.set_member_id(member.member_id);
    out.set_instance_id(member.group_instance_id.value_or(""));
    out.set_client_id(member.client_id);
    out.set_client_host(member.client_host);
    out.set_heard_ms_ago(-1);
    if (described.protocol_type != kafka::kConsumerProtocolType) continue;
    AddAssignment(member.member_assignment, out);
    const auto subscription = kafka::DecodeConsumerSubscription(member.member_metadata);
    if (!subscription.ok()) continue;  // empty in a rebalance, or another client's own
    for (const std::string& topic : subscription->topics) out.add_subscribed_topics(topic);
  }
  return group;
}

admin::Group ToAdmin(const Consumer& described) {
  admin::Group group;
  group.set_name(described.group_id);
  group.set_type("consumer");
  group.set_protocol_type(std::string(kafka::kConsumerProtocolType));
  group.set_state(described.group_state);
  group.set_assignor(described.assignor_name);
  group.set_generation(described.group_epoch);
  group.set_state_since_ms(-1);
  for (const auto& member : described.members) {
    admin::GroupMember& out = *group.add_members();
    out.set_member_id(member.member_id);
    out.set_instance_id(member.instance_id.value_or(""));
    out.set_client_id(member.client_id);
    out.set_client_host(member.client_host);
    out.set_heard_ms_ago(-1);
    for (const std::string& topic : member.subscribed_topic_names) out.add_subscribed_topics(topic);
    out.set_subscribed_regex(member.subscribed_topic_regex.value_or(""));
    for (const auto& topic : member.assignment.topic_partitions) {
      admin::TopicPartitions& assigned = *out.add_assignment();
      assigned.set_topic(topic.topic_name);
      for (const int32_t partition : topic.partitions) assigned.add_partitions(partition);
    }
  }
  return group;
}

std::string AwaitedInWords(broker::GroupStanding::Awaited awaited) {
  switch (awaited) {
    using enum broker::GroupStanding::Awaited;
    case kNothing: return "";
    case kJoin: return "join";
    case kSync: return "sync";
    case kAssignment: return "assignment";
    case kRevocation: return "revocation";
  }
  return "";
}

void AddTo(admin::Group& group, const broker::GroupStanding& standing) {
  group.set_generation(standing.generation);
  group.set_state_since_ms(standing.state_since_ms);
  for (const std::string& pending : standing.pending_members) group.add_pending_members(pending);
  if (const broker::RebalanceCause& cause = standing.last_rebalance; !cause.reason.empty()) {
    admin::LastRebalance& last = *group.mutable_last_rebalance();
    last.set_time_ms(cause.wall_ms);
    last.set_reason(cause.reason);
    last.set_member_id(cause.member_id);
  }
  std::map<std::string, const broker::GroupStanding::Member*> by_id;
  for (const auto& member : standing.members) by_id[member.member_id] = &member;
  for (admin::GroupMember& member : *group.mutable_members()) {
    const auto known = by_id.find(member.member_id());
    if (known == by_id.end()) continue;
    member.set_session_timeout_ms(known->second->session_ms);
    member.set_heard_ms_ago(known->second->heard_ms_ago);
    member.set_awaited(AwaitedInWords(known->second->awaited));
  }
}

admin::GetGroupOffsetsResponse ToAdmin(const Fetched& fetched) {
  std::map<std::pair<std::string, int32_t>, admin::GroupOffset> sorted;
  for (const auto& topic : fetched.topics) {
    for (const auto& partition : topic.partitions) {
      if (partition.error_code != 0 || partition.committed_offset < 0) continue;
      admin::GroupOffset& out = sorted[{topic.name, partition.partition_index}];
      out.set_topic(topic.name);
      out.set_partition(partition.partition_index);
      out.set_offset(partition.committed_offset);
      out.set_leader_epoch(partition.committed_leader_epoch);
      out.set_metadata(partition.metadata.value_or(""));
    }
  }
  admin::GetGroupOffsetsResponse response;
  for (auto& [key, offset] : sorted) *response.add_offsets() = std::move(offset);
  return response;
}

// All of the group's; the caller of the admin service filters.
broker::FetchOffsets FetchAll(const std::string& group) {
  broker::FetchOffsets fetch;
  fetch.group.group_id = group;
  fetch.group.topics = std::nullopt;
  return fetch;
}

bool IsWanted(const admin::GroupOffset& offset, const admin::GetGroupOffsetsRequest& request) {
  if (request.topics().empty()) return true;
  for (const admin::TopicPartitions& topic : request.topics()) {
    if (topic.topic() != offset.topic()) continue;
    const auto& partitions = topic.partitions();
    if (partitions.empty() ||
        std::find(partitions.begin(), partitions.end(), offset.partition()) != partitions.end())
      return true;
  }
  return false;
}

// What a reset asks of the coordinator: offsets to commit and offsets to delete.
struct ResetRequests {
  kafka::OffsetCommitRequest commit;
  kafka::OffsetDeleteRequest removal;
};

ResetRequests ToCoordinator(const admin::ResetGroupOffsetsRequest& request) {
  ResetRequests requests;
  requests.commit.group_id = requests.removal.group_id = request.name();
  std::map<std::string, std::vector<const admin::GroupOffset*>> by_topic;
  for (const admin::GroupOffset& offset : request.offsets().offsets())
    by_topic[offset.topic()].push_back(&offset);
  for (const auto& [topic, offsets] : by_topic) {
    kafka::OffsetCommitRequest::OffsetCommitRequestTopic commits;
    kafka::OffsetDeleteRequest::OffsetDeleteRequestTopic removals;
    commits.name = removals.name = topic;
    for (const admin::GroupOffset* offset : offsets) {
      if (!offset->has_offset()) {
        removals.partitions.emplace_back().partition_index = offset->partition();
        continue;
      }
      auto& commit = commits.partitions.emplace_back();
      commit.partition_index = offset->partition();
      commit.committed_offset = offset->offset();
      commit.committed_leader_epoch = offset->leader_epoch();
      commit.committed_metadata = offset->metadata();
    }
    if (!commits.partitions.empty()) requests.commit.topics.push_back(std::move(commits));
    if (!removals.partitions.empty()) requests.removal.topics.push_back(std::move(removals));
  }
  return requests;
}

// Why the coordinator did not take an offset, in the words of a reset.
std::string ResetError(int16_t code) {
  if (code == 0) return "";
  const auto error = static_cast<ErrorCode>(code);
  if (error == ErrorCode::kUnknownMemberId || error == ErrorCode::kIllegalGeneration ||
      error == ErrorCode::kRebalanceInProgress || error == ErrorCode::kGroupSubscribedToTopic)
    return "the group has members by now";
  return std::string(kafka::ErrorMessage(error));
}

void AddChange(const std::string& topic, int32_t partition, int16_t code,
               admin::ResetGroupOffsetsResponse& response) {
  admin::OffsetChange& change = *response.add_changes();
  change.set_topic(topic);
  change.set_partition(partition);
  change.set_error(ResetError(code));
}

// The answers to both halves of a reset; the last one ends it.
class ResetAnswers {
 public:
  ResetAnswers(int open, admin::Done<admin::ResetGroupOffsetsResponse> done)
      : open_(open), done_(std::move(done)) {
    response_.set_executed(true);
  }
  void Fail(const Status& why) {
    {
      std::lock_guard lock(mutex_);
      failed_ = why;
    }
    Close();
  }
  template <typename Answer>
  void Add(const Answer& answer, int16_t code) {
    std::lock_guard lock(mutex_);
    // Without a group there is nothing to delete.
    if (code != 0 && code != kafka::WireError(ErrorCode::kGroupIdNotFound))
      failed_ = StatusOf(code);
    for (const auto& topic : answer.topics) {
      for (const auto& partition : topic.partitions) {
        if (kafka::ErrorIsRetriable(static_cast<ErrorCode>(partition.error_code)))
          failed_ = StatusOf(partition.error_code);
        AddChange(topic.name, partition.partition_index, partition.error_code, response_);
      }
    }
  }
  void Close() {
    {
      std::lock_guard lock(mutex_);
      if (--open_ > 0) return;
    }
    if (!failed_.ok()) return done_(failed_);
    done_(std::move(response_));
  }

 private:
  std::mutex mutex_;  // guards all below until the last one
  int open_;
  Status failed_;
  admin::ResetGroupOffsetsResponse response_;
  const admin::Done<admin::ResetGroupOffsetsResponse> done_;
};

}  // namespace

Result<NodeId> CoordinatorOf(const metadata::Image& image, const std::string& group) {
  const auto topic = image.FindTopic(std::string(broker::kOffsetsTopic));
  if (topic == nullptr)
    return Status::NotFound("group '" + group + "' does not exist: no group was ever used here");
  const auto count = static_cast<int32_t>(topic->partitions.size());
  const int32_t partition = broker::PartitionForGroup(group, count);
  const NodeId leader = topic->partitions[static_cast<size_t>(partition)].leader;
  if (leader != kNoNode) return leader;
  return Status::Unavailable("group '" + group +
                             "' has no coordinator: " + std::string(broker::kOffsetsTopic) + "-" +
                             std::to_string(partition) + " has no leader");
}

template <typename Answer, typename Response, typename Then>
void NodeGroups::Ask(broker::GroupRequest request, const admin::Done<Response>& done, Then then) {
  broker::Broker* broker = broker_();
  if (broker == nullptr) return done(Status::Unavailable("the broker is starting"));
  broker::GroupCaller caller;
  caller.version = kVersion;
  caller.client_id = "sluice-admin";
  broker->groups().Handle(std::move(caller), std::move(request), nullptr,
                          [then = std::move(then)](broker::GroupResponse response) mutable {
                            then(std::get<Answer>(std::move(response)));
                          });
}

void NodeGroups::ListOffsets(admin::ListOffsetsRequest request, int64_t,
                             admin::Done<admin::ListOffsetsResponse> done) {
  broker::Broker* broker = broker_();
  if (broker == nullptr) return done(Status::Unavailable("the broker is starting"));
  const metadata::ImagePtr image = broker->metadata().Current();
  std::vector<broker::OffsetQuestion> questions;
  for (const admin::OffsetQuery& query : request.queries()) {
    broker::OffsetQuestion& question = questions.emplace_back();
    const auto topic = image->FindTopic(query.topic());
    // The id of no topic: it is answered as unknown.
    question.key = {topic == nullptr ? Uuid() : topic->id, PartitionIndex(query.partition())};
    if (query.has_time_ms()) question.time_ms = query.time_ms();
    if (query.has_offset()) question.offset = Offset(query.offset());
  }
  broker->LookUpOffsets(std::move(questions),
                        [request, done](const std::vector<broker::OffsetAnswer>& answers) {
                          admin::ListOffsetsResponse response;
                          for (size_t i = 0; i < answers.size(); ++i) {
                            const broker::OffsetAnswer& answer = answers[i];
                            admin::PartitionOffsets& out = *response.add_partitions();
                            out.set_topic(request.queries(static_cast<int>(i)).topic());
                            out.set_partition(request.queries(static_cast<int>(i)).partition());
                            if (answer.error != ErrorCode::kNone) {
                              out.set_error(std::string(kafka::ErrorMessage(answer.error)));
                              continue;
                            }
                            out.set_log_start(answer.log_start.value());
                            out.set_log_end(answer.log_end.value());
                            if (answer.time_offset.has_value())
                              out.set_time_offset(answer.time_offset->value());
                            if (answer.record_time_ms.has_value())
                              out.set_record_time_ms(*answer.record_time_ms);
                          }
                          done(std::move(response));
                        });
}

void NodeGroups::ListGroups(admin::ListGroupsRequest request, int64_t,
                            admin::Done<admin::ListGroupsResponse> done) {
  Ask<kafka::ListGroupsResponse>(
      broker::ListGroups{{request.states().begin(), request.states().end()},
                         {request.types().begin(), request.types().end()}},
      done, [node = node_id_, done](const kafka::ListGroupsResponse& listed) {
        admin::ListGroupsResponse response;
        if (listed.error_code != 0) {
          const Status why = StatusOf(listed.error_code);
          if (listed.groups.empty()) return done(why);
          response.add_incomplete("node " + std::to_string(node.value()) +
                                  " did not tell all its groups: " + why.message());
        }
        for (const auto& group : listed.groups) {
          admin::GroupSummary& out = *response.add_groups();
          out.set_name(group.group_id);
          out.set_type(group.group_type);
          out.set_protocol_type(group.protocol_type);
          out.set_state(group.group_state);
          out.set_coordinator(node.value());
        }
        done(std::move(response));
      });
}

void NodeGroups::DescribeGroup(admin::DescribeGroupRequest request, int64_t,
                               admin::Done<admin::DescribeGroupResponse> done) {
  Ask<Consumer>(broker::DescribeConsumerGroup{request.name()}, done,
                [this, request, done](const Consumer& described) {
                  // Not of that protocol, or not at all.
                  if (described.error_code == kafka::WireError(ErrorCode::kGroupIdNotFound))
                    return DescribeClassic(request.name(), done);
                  const Status outcome = StatusOf(described.error_code, described.error_message);
                  if (!outcome.ok()) return done(outcome);
                  AddStanding(ToAdmin(described), done);
                });
}

void NodeGroups::DescribeClassic(const std::string& group,
                                 const admin::Done<admin::DescribeGroupResponse>& done) {
  Ask<Classic>(broker::DescribeGroup{group}, done, [this, group, done](const Classic& described) {
    if (described.error_code == kafka::WireError(ErrorCode::kGroupIdNotFound))
      return done(Status::NotFound("group '" + group + "' does not exist"));
    const Status outcome = StatusOf(described.error_code, described.error_message);
    if (!outcome.ok()) return done(outcome);
    AddStanding(ToAdmin(described), done);
  });
}

void NodeGroups::AddStanding(admin::Group group,
                             const admin::Done<admin::DescribeGroupResponse>& done) {
  group.set_coordinator(node_id_.value());
  Ask<broker::GroupStanding>(broker::ExplainGroup{group.name()}, done,
                             [group, done](const broker::GroupStanding& standing) {
                               admin::DescribeGroupResponse response;
                               *response.mutable_group() = group;
                               // Gone meanwhile, or elsewhere: then it is described without.
                               if (standing.error_code == 0)
                                 AddTo(*response.mutable_group(), standing);
                               done(std::move(response));
                             });
}

void NodeGroups::DeleteGroup(admin::DeleteGroupRequest request, int64_t,
                             admin::Done<admin::DeleteGroupResponse> done) {
  using Deleted = kafka::DeleteGroupsResponse::DeletableGroupResult;
  Ask<Deleted>(broker::DeleteGroup{request.name()}, done,
               [name = request.name(), done](const Deleted& deleted) {
                 if (deleted.error_code == kafka::WireError(ErrorCode::kGroupIdNotFound))
                   return done(Status::NotFound("group '" + name + "' does not exist"));
                 if (deleted.error_code == kafka::WireError(ErrorCode::kNonEmptyGroup))
                   return done(Status::Fenced("group '" + name + "' still has members"));
                 const Status outcome = StatusOf(deleted.error_code);
                 if (!outcome.ok()) return done(outcome);
                 done(admin::DeleteGroupResponse());
               });
}

void NodeGroups::GetGroupOffsets(admin::GetGroupOffsetsRequest request, int64_t,
                                 admin::Done<admin::GetGroupOffsetsResponse> done) {
  Ask<Fetched>(FetchAll(request.name()), done, [request, done](const Fetched& fetched) {
    const Status outcome = StatusOf(fetched.error_code);
    if (!outcome.ok()) return done(outcome);
    admin::GetGroupOffsetsResponse response = ToAdmin(fetched);
    auto& offsets = *response.mutable_offsets();
    offsets.erase(std::remove_if(
                      offsets.begin(), offsets.end(),
                      [&](const admin::GroupOffset& offset) { return !IsWanted(offset, request); }),
                  offsets.end());
    done(std::move(response));
  });
}

void NodeGroups::ResetGroupOffsets(admin::ResetGroupOffsetsRequest request, int64_t,
                                   admin::Done<admin::ResetGroupOffsetsResponse> done) {
  ResetRequests requests = ToCoordinator(request);
  const bool commits = !requests.commit.topics.empty();
  const bool removes = !requests.removal.topics.empty();
  if (!commits && !removes) return done(admin::ResetGroupOffsetsResponse());
  auto answers = std::make_shared<ResetAnswers>((commits ? 1 : 0) + (removes ? 1 : 0), done);
  const admin::Done<admin::ResetGroupOffsetsResponse> failed =
      [answers](const Result<admin::ResetGroupOffsetsResponse>& why) {
        answers->Fail(why.status());
      };
  if (commits) {
    Ask<kafka::OffsetCommitResponse>(std::move(requests.commit), failed,
                                     [answers](const kafka::OffsetCommitResponse& committed) {
                                       answers->Add(committed, 0);
                                       answers->Close();
                                     });
  }
  if (removes) {
    Ask<kafka::OffsetDeleteResponse>(std::move(requests.removal), failed,
                                     [answers](const kafka::OffsetDeleteResponse& removed) {
                                       answers->Add(removed, removed.error_code);
                                       answers->Close();
                                     });
  }
}

}  // namespace sluice::cli
