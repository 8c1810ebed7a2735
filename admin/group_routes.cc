#include "admin/group_routes.h"

#include <map>

namespace sluice::admin {
namespace {

PartitionOffsets Unknown(const OffsetQuery& query, std::string error) {
  PartitionOffsets answer;
  answer.set_topic(query.topic());
  answer.set_partition(query.partition());
  answer.set_error(std::move(error));
  return answer;
}

// Who leads the partition; in words why nobody can be asked.
struct Leader {
  NodeId node = kNoNode;
  std::string error;
};

Leader LeaderOf(const metadata::Image& image, const OffsetQuery& query) {
  const auto topic = image.FindTopic(query.topic());
  if (topic == nullptr) return {kNoNode, "topic '" + query.topic() + "' does not exist"};
  const auto count = static_cast<int32_t>(topic->partitions.size());
  if (query.partition() < 0 || query.partition() >= count) {
    return {kNoNode, "topic '" + query.topic() + "' has no partition " +
                         std::to_string(query.partition()) + ": it has " + std::to_string(count)};
  }
  const NodeId leader = topic->partitions[static_cast<size_t>(query.partition())].leader;
  if (leader == kNoNode)
    return {kNoNode, PartitionName(query.topic(), query.partition()) + " has no leader"};
  return {leader, ""};
}

}  // namespace

std::string PartitionName(const std::string& topic, int32_t partition) {
  return topic + "-" + std::to_string(partition);
}

void AskLeaders(Backend& backend, ListOffsetsRequest request, Deadline deadline,
                std::function<void(ListOffsetsResponse)> done) {
  struct Question {
    ListOffsetsRequest request;
    std::vector<int> places;  // of its queries in the whole
  };
  const metadata::ImagePtr image = backend.Image();
  auto response = std::make_shared<ListOffsetsResponse>();
  std::map<NodeId, Question> by_leader;
  for (const OffsetQuery& query : request.queries()) {
    const Leader leader = LeaderOf(*image, query);
    *response->add_partitions() = Unknown(query, leader.error);
    if (leader.node == kNoNode) continue;
    Question& question = by_leader[leader.node];
    question.request.set_at_leader(true);
    *question.request.add_queries() = query;
    question.places.push_back(response->partitions_size() - 1);
  }
  if (by_leader.empty()) return done(std::move(*response));
  auto questions = std::make_shared<std::vector<Question>>();
  std::vector<NodeId> nodes;
  for (auto& [node, question] : by_leader) {
    nodes.push_back(node);
    questions->push_back(std::move(question));
  }
  auto gather = std::make_shared<Gather<ListOffsetsResponse>>(
      nodes.size(),
      [response, questions, nodes, done](std::vector<Result<ListOffsetsResponse>> answers) {
        for (size_t i = 0; i < answers.size(); ++i) {
          const std::vector<int>& places = (*questions)[i].places;
          const bool whole =
              answers[i].ok() && answers[i]->partitions_size() == static_cast<int>(places.size());
          for (size_t k = 0; k < places.size(); ++k) {
            PartitionOffsets& out = *response->mutable_partitions(places[k]);
            if (whole) {
              out = answers[i]->partitions(static_cast<int>(k));
              continue;
            }
            out.set_error("its leader, node " + std::to_string(nodes[i].value()) +
                          ", did not say: " + answers[i].status().message());
          }
        }
        done(std::move(*response));
      });
  for (size_t i = 0; i < nodes.size(); ++i) {
    backend.ListOffsets(
        nodes[i], (*questions)[i].request, deadline.question_ms(),
        [gather, i](Result<ListOffsetsResponse> answer) { gather->Set(i, std::move(answer)); });
  }
}

void AskAllCoordinators(Backend& backend, ListGroupsRequest request, Deadline deadline,
                        Done<ListGroupsResponse> done) {
  request.set_at_node(true);
  std::vector<NodeId> nodes;
  for (const auto& [id, broker] : backend.Image()->brokers) {
    if (!broker->fenced) nodes.push_back(id);
  }
  if (nodes.empty()) return done(Status::Unavailable("no broker is in service"));
  auto gather = std::make_shared<Gather<ListGroupsResponse>>(
      nodes.size(), [nodes, done](std::vector<Result<ListGroupsResponse>> answers) {
        std::map<std::string, GroupSummary> groups;
        ListGroupsResponse response;
        for (size_t i = 0; i < answers.size(); ++i) {
          const std::string node = "node " + std::to_string(nodes[i].value());
          if (!answers[i].ok()) {
            response.add_incomplete(node +
                                    " did not tell its groups: " + answers[i].status().message());
            continue;
          }
          for (const std::string& why : answers[i]->incomplete()) response.add_incomplete(why);
          for (GroupSummary& group : *answers[i]->mutable_groups())
            groups[group.name()] = std::move(group);
        }
        if (response.incomplete_size() == static_cast<int>(nodes.size()) && groups.empty())
          return done(Status::Unavailable(response.incomplete(0)));
        for (auto& [name, group] : groups) *response.add_groups() = std::move(group);
        done(std::move(response));
      });
  for (size_t i = 0; i < nodes.size(); ++i) {
    backend.ListGroups(
        nodes[i], request, deadline.question_ms(),
        [gather, i](Result<ListGroupsResponse> answer) { gather->Set(i, std::move(answer)); });
  }
}

bool MatchesPattern(std::string_view name, std::string_view pattern) {
  // A star takes as little as it can; when what follows does not fit, one character more.
  size_t at = 0, in_pattern = 0;
  size_t star = std::string_view::npos, star_at = 0;
  while (at < name.size()) {
    if (in_pattern < pattern.size() && pattern[in_pattern] == '*') {
      star = in_pattern++;
      star_at = at;
    } else if (in_pattern < pattern.size() &&
               (pattern[in_pattern] == '?' || pattern[in_pattern] == name[at])) {
      ++in_pattern;
      ++at;
    } else if (star != std::string_view::npos) {
      in_pattern = star + 1;
      at = ++star_at;
    } else {
      return false;
    }
  }
  while (in_pattern < pattern.size() && pattern[in_pattern] == '*') ++in_pattern;
  return in_pattern == pattern.size();
}

}  // namespace sluice::admin
