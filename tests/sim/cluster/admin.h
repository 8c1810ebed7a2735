#pragma once
// Admin: somebody who changes the cluster while it runs. Over Kafka's admin APIs: raises and lowers
// min.insync.replicas, moves partitions and thinks better of it, asks for preferred leaders, and
// makes and deletes a topic under the same name again and again. Of the active controller itself,
// as Sluice's admin service does: drains and decommissions brokers, and thinks better of that, too.
//
// Thread rule: one thread, as all of the simulator.

#include <deque>
#include <string>
#include <vector>

#include "proto/controller.pb.h"
#include "rpc/leader_client.h"
#include "tests/sim/cluster/client.h"
#include "tests/sim/cluster/controller_wire.h"

namespace sluice::sim {

struct AdminOptions {
  std::vector<history::Place> places;  // whose partitions move
  std::string topic;                   // whose min.insync.replicas changes
  std::string scratch;                 // that comes and goes
  int64_t pause_ms_max = 5000;
  // How likely each is, by weight; 0: never.
  uint64_t set_min_isr = 0;
  uint64_t move = 0;
  uint64_t elect = 0;
  uint64_t remake = 0;
  uint64_t drain = 0;
  uint64_t decommission = 0;
  int min_isr_min = 2;
  int min_isr_max = 3;
  int replicas_min = 2;         // of a partition that was moved
  bool scratch_is_safe = true;  // survives the loss of a disk
};

class Admin final : public KafkaClient {
 public:
  using BrokerChange = controller::ChangeBrokerRequest::Operation;
  using Done = std::function<void(bool done)>;
  using Answered = std::function<void(kafka::ErrorCode)>;

  Admin(World& world, NodeId self, std::vector<NodeId> nodes, Log& log, AdminOptions options);
  ~Admin() override;
  // Does nothing new, but that min.insync.replicas is set to `min_isr` and that all brokers serve,
  // until that is done.
  void Settle(int min_isr);
  bool settled() const { return settled_; }

  // Each at once, whoever answers. Empty replicas: the move is cancelled; `answered` gets what
  // the partition is told, if anything.
  void SetMinIsr(const std::string& topic, int min_isr, Done done);
  void Move(const history::Place& place, const std::vector<NodeId>& replicas,
            Answered answered = nullptr);
  void ElectPreferred(const history::Place& place);
  // Any live replica, where nobody leads.
  void ElectUncleanly(const history::Place& place);
  void SetConfig(const std::string& topic, const std::string& key, const std::string& value,
                 Done done);
  void Create(const std::string& topic, int replicas,
              const std::map<std::string, std::string>& configs);
  void Delete(const std::string& topic);
  // Done is, too, what is so already, or cannot be for want of the broker.
  void ChangeBroker(BrokerChange change, NodeId broker, Done done);

 private:
  void Next();
  void Act();
  void MoveSome();
  void Remake();
  void SettleNext();
  void Elect(const history::Place& place, int8_t type);

  const AdminOptions options_;
  bool quiet_ = false;
  bool settled_ = false;
  bool exists_ = false;  // the scratch topic, as far as was asked for
  std::deque<std::function<void(Done)>> to_settle_;
  ControllerWire wire_;
  rpc::LeaderClient controllers_;
};

}  // namespace sluice::sim
