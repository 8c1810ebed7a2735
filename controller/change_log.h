#pragma once
// ChangeLog: what the active controller's log says of a request that changed topics, configs or
// leaders, once it is committed: one line a request. Of many items it tells their number and the
// first names, for some clients change thousands at once.
//
// What brokers' goals and moves come to, their managers log themselves.
//
// Thread rule: pure functions.

#include <string>

#include "controller/decision.h"

namespace sluice::controller {

// Of a decision that has records; `before` is the image that it was made on.
std::string LineOf(const metadata::Image& before, const CreateTopicsRequest& request,
                   const Decision<CreateTopicsResponse>& decision);
std::string LineOf(const metadata::Image& before, const DeleteTopicsRequest& request,
                   const Decision<DeleteTopicsResponse>& decision);
std::string LineOf(const metadata::Image& before, const CreatePartitionsRequest& request,
                   const Decision<CreatePartitionsResponse>& decision);
std::string LineOf(const metadata::Image& before, const AlterConfigsRequest& request,
                   const Decision<AlterConfigsResponse>& decision);
std::string LineOf(const metadata::Image& before, const ElectLeadersRequest& request,
                   const Decision<ElectLeadersResponse>& decision);
// Of all other requests: nothing.
template <typename Request, typename Response>
std::string LineOf(const metadata::Image&, const Request&, const Decision<Response>&) {
  return "";
}

}  // namespace sluice::controller
