#pragma once
// DirectoryAssigner: tells the controller in which log directory each replica is (KIP-858), many in
// one request, one request at a time, again and again until each is known. Owned by ReplicaManager.
//
// Thread rule: Submit from any thread; everything else on the replica loop.

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/event_loop.h"
#include "base/uuid.h"
#include "broker/broker_state.h"
#include "broker/controller_client.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/retry_pause.h"

namespace sluice::broker {

class DirectoryAssigner : public std::enable_shared_from_this<DirectoryAssigner> {
 public:
  // None of them is owned.
  DirectoryAssigner(const BrokerState& state, ControllerClient& controller, EventLoop& loop)
      : state_(state), controller_(controller), loop_(loop), pause_(loop, 1000) {}

  // `moved`: with all its records, from the directory that the controller knows; else it has lost
  // them. `known` is called, on the replica loop, when the controller knows of this directory or of
  // one submitted later.
  void Submit(const PartitionKey& replica, const Uuid& directory, bool moved,
              std::function<void()> known = nullptr);

 private:
  using Response = controller::AssignReplicasToDirsResponse;
  struct Assignment {
    Uuid directory;
    bool moved;
    std::vector<std::function<void()>> known;
  };
  using Assignments = std::map<PartitionKey, Assignment>;

  void Add(const PartitionKey& replica, Assignment assignment);
  void Send();
  void OnResponse(const Result<Response>& response);
  void Retry(Assignments assignments);

  const BrokerState& state_;
  ControllerClient& controller_;
  EventLoop& loop_;
  Assignments waiting_;
  Assignments in_flight_;
  RetryPause pause_;
};

}  // namespace sluice::broker
