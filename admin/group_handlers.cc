// Handlers of the admin service for groups and offsets (declared in admin/handlers.h).

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "admin/group_explain.h"
#include "admin/group_lag.h"
#include "admin/group_reset.h"
#include "admin/group_routes.h"
#include "admin/handlers.h"

namespace sluice::admin {
namespace {

constexpr int32_t kPageSizeDefault = 1000;
constexpr int32_t kPageSizeMax = 10000;
constexpr int kQueriesMax = 100000;

Status CheckName(const std::string& name) {
  if (!name.empty()) return Status::Ok();
  return Status::InvalidArgument("name is empty; name the group");
}

// Every word of a filter must be one of `known`, in any case.
template <size_t kCount>
Status CheckFilter(const char* field, const google::protobuf::RepeatedPtrField<std::string>& words,
                   const std::array<std::string_view, kCount>& known) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  for (const std::string& word : words) {
    if (std::any_of(known.begin(), known.end(), [&](std::string_view each) {
          return std::equal(word.begin(), word.end(), each.begin(), each.end(), same);
        })) {
      continue;
    }
    std::string possible;
    for (const std::string_view each : known)
      possible += (possible.empty() ? "" : ", ") + std::string(each);
    return Status::InvalidArgument(std::string(field) + ": '" + word + "' is none; there are " +
                                   possible);
  }
  return Status::Ok();
}

constexpr std::array<std::string_view, 7> kStates = {
    "Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Assigning", "Reconciling",
    "Dead"};
constexpr std::array<std::string_view, 2> kTypes = {"classic", "consumer"};

// The groups behind the page token, as many as a page holds. `all` is by name.
ListGroupsResponse Page(ListGroupsResponse all, const ListGroupsRequest& request) {
  const int32_t size = request.page_size() == 0 ? kPageSizeDefault : request.page_size();
  ListGroupsResponse page;
  *page.mutable_incomplete() = all.incomplete();
  for (GroupSummary& group : *all.mutable_groups()) {
    if (group.name() <= request.page_token() && !request.page_token().empty()) continue;
    if (page.groups_size() == size) {
      page.set_next_page_token(page.groups().rbegin()->name());
      break;
    }
    *page.add_groups() = std::move(group);
  }
  return page;
}

Status CheckReset(const ResetGroupOffsetsRequest& request) {
  SLUICE_RETURN_IF_ERROR(CheckName(request.name()));
  using Reset = ResetGroupOffsetsRequest;
  switch (request.to_case()) {
    case Reset::TO_NOT_SET:
      return Status::InvalidArgument(
          "no place is given; one of earliest, latest, offset, time_ms, shift_by, group, offsets");
    case Reset::kOffset:
      if (request.offset() >= 0) return Status::Ok();
      return Status::InvalidArgument("offset is " + std::to_string(request.offset()) +
                                     "; 0 or more is possible");
    case Reset::kTimeMs:
      if (request.time_ms() >= 0) return Status::Ok();
      return Status::InvalidArgument("time_ms is " + std::to_string(request.time_ms()) +
                                     "; 0 or more is possible");
    case Reset::kGroup:
      if (!request.group().empty() && request.group() != request.name()) return Status::Ok();
      return Status::InvalidArgument("group is '" + request.group() + "'; name another group");
    case Reset::kOffsets:
      for (const GroupOffset& offset : request.offsets().offsets()) {
        if (offset.has_offset() && offset.offset() < 0) {
          return Status::InvalidArgument(
              "the offset of " + PartitionName(offset.topic(), offset.partition()) + " is " +
              std::to_string(offset.offset()) + "; 0 or more is possible");
        }
      }
      return Status::Ok();
    default: return Status::Ok();
  }
}

}  // namespace

void Handlers::ListOffsets(ListOffsetsRequest request, int64_t timeout_ms,
                           Done<ListOffsetsResponse> done) {
  if (request.queries_size() > kQueriesMax) {
    return done(Status::InvalidArgument(std::to_string(request.queries_size()) +
                                        " queries; at most " + std::to_string(kQueriesMax) +
                                        " in one call"));
  }
  if (request.at_leader())
    return backend_.ListOffsets(backend_.node_id(), std::move(request), timeout_ms,
                                std::move(done));
  const Result<metadata::ImagePtr> image = KnownImage();
  if (!image.ok()) return done(image.status());
  AskLeaders(backend_, std::move(request), Deadline(backend_.clock(), timeout_ms),
             [done](ListOffsetsResponse response) { done(std::move(response)); });
}

void Handlers::ListGroups(ListGroupsRequest request, int64_t timeout_ms,
                          Done<ListGroupsResponse> done) {
  if (request.page_size() < 0 || request.page_size() > kPageSizeMax) {
    return done(Status::InvalidArgument("page_size is " + std::to_string(request.page_size()) +
                                        "; 0 to " + std::to_string(kPageSizeMax) +
                                        " are possible, 0 for the default"));
  }
  if (const Status sound = CheckFilter("states", request.states(), kStates); !sound.ok())
    return done(sound);
  if (const Status sound = CheckFilter("types", request.types(), kTypes); !sound.ok())
    return done(sound);
  const auto finish = [request, done](Result<ListGroupsResponse> listed) {
    if (!listed.ok()) return done(listed.status());
    auto& groups = *listed->mutable_groups();
    groups.erase(std::remove_if(groups.begin(), groups.end(),
                                [&](const GroupSummary& group) {
                                  return !request.pattern().empty() &&
                                         !MatchesPattern(group.name(), request.pattern());
                                }),
                 groups.end());
    done(request.at_node() ? std::move(*listed) : Page(std::move(*listed), request));
  };
  if (request.at_node())
    return backend_.ListGroups(backend_.node_id(), std::move(request), timeout_ms, finish);
  const Result<metadata::ImagePtr> image = KnownImage();
  if (!image.ok()) return done(image.status());
  AskAllCoordinators(backend_, std::move(request), Deadline(backend_.clock(), timeout_ms), finish);
}

void Handlers::DescribeGroup(DescribeGroupRequest request, int64_t timeout_ms,
                             Done<DescribeGroupResponse> done) {
  if (const Status named = CheckName(request.name()); !named.ok()) return done(named);
  if (request.at_coordinator())
    return backend_.DescribeGroup(backend_.node_id(), std::move(request), timeout_ms,
                                  std::move(done));
  AskCoordinator<DescribeGroupRequest, DescribeGroupResponse>(
      backend_, &Backend::DescribeGroup, std::move(request), Deadline(backend_.clock(), timeout_ms),
      std::move(done));
}

void Handlers::GroupLag(GroupLagRequest request, int64_t timeout_ms, Done<GroupLagResponse> done) {
  if (const Status named = CheckName(request.name()); !named.ok()) return done(named);
  MeasureGroupLag(backend_, request, timeout_ms, [done](Result<GroupAndLag> found) {
    if (!found.ok()) return done(found.status());
    done(std::move(found->lag));
  });
}

void Handlers::ExplainGroup(ExplainGroupRequest request, int64_t timeout_ms,
                            Done<ExplainGroupResponse> done) {
  if (const Status named = CheckName(request.name()); !named.ok()) return done(named);
  GroupLagRequest lag;
  lag.set_name(request.name());
  lag.set_sample_ms(request.sample_ms());
  MeasureGroupLag(backend_, lag, timeout_ms, [this, done](Result<GroupAndLag> found) {
    if (!found.ok()) return done(found.status());
    done(ExplainInWords(*found, backend_.clock().WallMs()));
  });
}

void Handlers::DeleteGroup(DeleteGroupRequest request, int64_t timeout_ms,
                           Done<DeleteGroupResponse> done) {
  if (const Status named = CheckName(request.name()); !named.ok()) return done(named);
  if (request.at_coordinator())
    return backend_.DeleteGroup(backend_.node_id(), std::move(request), timeout_ms,
                                std::move(done));
  const Deadline deadline(backend_.clock(), timeout_ms);
  // An attempt may have done it and been answered with an error, as the coordinator moved. So it is
  // known first that the group is there: one that is not, later, has been deleted.
  const auto finish = [done](Result<DeleteGroupResponse> deleted) {
    const bool is_gone = deleted.status().code() == StatusCode::kNotFound;
    done(is_gone ? DeleteGroupResponse() : std::move(deleted));
  };
  DescribeGroupRequest describe;
  describe.set_name(request.name());
  AskCoordinator<DescribeGroupRequest, DescribeGroupResponse>(
      backend_, &Backend::DescribeGroup, std::move(describe), deadline,
      [this, request, deadline, finish, done](const Result<DescribeGroupResponse>& described) {
        if (!described.ok()) return done(described.status());
        AskCoordinator<DeleteGroupRequest, DeleteGroupResponse>(backend_, &Backend::DeleteGroup,
                                                                request, deadline, finish);
      });
}

void Handlers::GetGroupOffsets(GetGroupOffsetsRequest request, int64_t timeout_ms,
                               Done<GetGroupOffsetsResponse> done) {
  if (const Status named = CheckName(request.name()); !named.ok()) return done(named);
  if (request.at_coordinator())
    return backend_.GetGroupOffsets(backend_.node_id(), std::move(request), timeout_ms,
                                    std::move(done));
  const Deadline deadline(backend_.clock(), timeout_ms);
  DescribeGroupRequest describe;
  describe.set_name(request.name());
  AskCoordinator<GetGroupOffsetsRequest, GetGroupOffsetsResponse>(
      backend_, &Backend::GetGroupOffsets, std::move(request), deadline,
      [this, describe, deadline, done](const Result<GetGroupOffsetsResponse>& found) {
        if (!found.ok() || !found->offsets().empty()) return done(found);
        // A group that has committed nothing, or none at all: a name mistyped must not pass.
        AskCoordinator<DescribeGroupRequest, DescribeGroupResponse>(
            backend_, &Backend::DescribeGroup, describe, deadline,
            [done, found](const Result<DescribeGroupResponse>& described) {
              described.ok() ? done(found) : done(described.status());
            });
      });
}

void Handlers::ResetGroupOffsets(ResetGroupOffsetsRequest request, int64_t timeout_ms,
                                 Done<ResetGroupOffsetsResponse> done) {
  if (const Status sound = CheckReset(request); !sound.ok()) return done(sound);
  if (!request.at_coordinator())
    return ResetOffsets(backend_, std::move(request), timeout_ms, std::move(done));
  if (request.to_case() != ResetGroupOffsetsRequest::kOffsets || !request.execute()) {
    return done(Status::InvalidArgument(
        "at_coordinator is set: the coordinator itself only executes what `offsets` says"));
  }
  backend_.ResetGroupOffsets(backend_.node_id(), std::move(request), timeout_ms, std::move(done));
}

}  // namespace sluice::admin
