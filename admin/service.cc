#include "admin/service.h"

#include <algorithm>
#include <utility>

#include "admin/errors.h"
#include "admin/request_check.h"

namespace sluice::admin {
namespace {

constexpr int64_t kTimeoutMsDefault = 30'000;

// What is left until the caller's deadline, a little less so that our answer gets there first.
int64_t TimeoutMs(grpc::CallbackServerContext& context) {
  const gpr_timespec left =
      gpr_time_sub(gpr_convert_clock_type(context.raw_deadline(), GPR_CLOCK_MONOTONIC),
                   gpr_now(GPR_CLOCK_MONOTONIC));
  const int64_t left_ms = gpr_time_to_millis(left);
  return std::clamp<int64_t>(left_ms - left_ms / 10, 1, kTimeoutMsDefault);
}

}  // namespace

bool AdminService::Take(const std::shared_ptr<Call>& call) {
  std::lock_guard lock(mutex_);
  return calls_.erase(call) > 0;
}

void AdminService::Stop() {
  std::set<std::shared_ptr<Call>> calls;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    calls.swap(calls_);
  }
  for (const auto& call : calls) {
    call->reactor->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the node is stopping"));
  }
}

template <typename Request, typename Response>
AdminService::Reactor* AdminService::Run(void (Handlers::*method)(Request, int64_t, Done<Response>),
                                         Context* context, const Request* request,
                                         Response* response) {
  auto call = std::make_shared<Call>(Call{context->DefaultReactor()});
  bool stopped = false;
  {
    std::lock_guard lock(mutex_);
    stopped = stopped_;
    if (!stopped) calls_.insert(call);
  }
  if (stopped) {
    call->reactor->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the node is stopping"));
    return call->reactor;
  }
  if (const Status sound = CheckStrings(*request); !sound.ok()) {
    if (Take(call)) call->reactor->Finish(ToGrpc(sound));
    return call->reactor;
  }
  (handlers_.*method)(*request, TimeoutMs(*context),
                      [this, call, response](Result<Response> result) {
                        if (!Take(call)) return;
                        if (result.ok()) *response = std::move(*result);
                        call->reactor->Finish(ToGrpc(result.status()));
                      });
  return call->reactor;
}

#define SLUICE_ADMIN_METHOD(name)                                                           \
  AdminService::Reactor* AdminService::name(Context* context, const name##Request* request, \
                                            name##Response* response) {                     \
    return Run(&Handlers::name, context, request, response);                                \
  }
SLUICE_ADMIN_METHOD(CreateTopic)
SLUICE_ADMIN_METHOD(DeleteTopic)
SLUICE_ADMIN_METHOD(ListTopics)
SLUICE_ADMIN_METHOD(DescribeTopic)
SLUICE_ADMIN_METHOD(AddPartitions)
SLUICE_ADMIN_METHOD(AlterTopicConfig)
SLUICE_ADMIN_METHOD(DescribeTopicConfig)
SLUICE_ADMIN_METHOD(DeleteRecords)
SLUICE_ADMIN_METHOD(DescribeCluster)
SLUICE_ADMIN_METHOD(ListPartitions)
SLUICE_ADMIN_METHOD(MovePartitions)
SLUICE_ADMIN_METHOD(CancelMoves)
SLUICE_ADMIN_METHOD(ElectLeaders)
SLUICE_ADMIN_METHOD(PlanRebalance)
SLUICE_ADMIN_METHOD(ListBrokers)
SLUICE_ADMIN_METHOD(ListReplicas)
SLUICE_ADMIN_METHOD(DrainBroker)
SLUICE_ADMIN_METHOD(UndrainBroker)
SLUICE_ADMIN_METHOD(DecommissionBroker)
SLUICE_ADMIN_METHOD(CancelDecommission)
SLUICE_ADMIN_METHOD(CanStopBroker)
SLUICE_ADMIN_METHOD(ClusterHealth)
SLUICE_ADMIN_METHOD(ListOffsets)
SLUICE_ADMIN_METHOD(ListGroups)
SLUICE_ADMIN_METHOD(DescribeGroup)
SLUICE_ADMIN_METHOD(GroupLag)
SLUICE_ADMIN_METHOD(ExplainGroup)
SLUICE_ADMIN_METHOD(DeleteGroup)
SLUICE_ADMIN_METHOD(GetGroupOffsets)
SLUICE_ADMIN_METHOD(ResetGroupOffsets)
SLUICE_ADMIN_METHOD(DescribeNode)
SLUICE_ADMIN_METHOD(DescribeQuorum)
SLUICE_ADMIN_METHOD(AddController)
SLUICE_ADMIN_METHOD(PromoteController)
SLUICE_ADMIN_METHOD(RemoveController)
SLUICE_ADMIN_METHOD(TransferController)
#undef SLUICE_ADMIN_METHOD

}  // namespace sluice::admin
