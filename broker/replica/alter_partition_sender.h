#pragma once
// AlterPartitionSender: brings the partitions' ISR proposals to the controller, many in one
// request, one request at a time, again and again until each is answered or no longer wanted. Owned
// by ReplicaManager.
//
// Thread rule: Submit from any thread; everything else on the replica loop.

#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "base/repeated_line.h"
#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "broker/replica/partition.h"
#include "broker/replica/retry_pause.h"

namespace sluice::broker {

class AlterPartitionSender : public std::enable_shared_from_this<AlterPartitionSender> {
 public:
  // None of them is owned.
  AlterPartitionSender(const BrokerState& state, ControllerClient& controller, EventLoop& loop)
      : state_(state), controller_(controller), loop_(loop), pause_(loop, 500) {}

  void Submit(IsrProposal proposal);

 private:
  using Response = controller::AlterPartitionResponse;

  void Send();
  void OnResponse(const Result<Response>& response);
  // Puts unanswered proposals back in the queue and tries again after a pause.
  void Retry(std::vector<IsrProposal> proposals);

  const BrokerState& state_;
  ControllerClient& controller_;
  EventLoop& loop_;
  std::vector<IsrProposal> queue_;
  std::vector<IsrProposal> in_flight_;
  RetryPause pause_;
  RepeatedLine not_answered_;  // twice a second, for as long as no controller is active
};

}  // namespace sluice::broker
