#include "broker/replica/replica_set.h"

#include <algorithm>
#include <utility>

#include "base/planted_fault.h"

namespace sluice::broker {
namespace {

bool Contains(const std::vector<NodeId>& ids, NodeId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

void ReplicaSet::StartEpoch(NodeId self, const std::vector<NodeId>& replicas,
                            const std::vector<NodeId>& isr, int64_t now_ms) {
  self_ = self;
  isr_ = isr;
  proposed_.reset();
  const std::vector<RemoteReplica> before = std::exchange(remotes_, {});
  for (const NodeId id : replicas) {
    if (id == self) continue;
    RemoteReplica remote;
    remote.id = id;
    for (const RemoteReplica& old : before) {
      if (old.id == id && FaultPlanted(ReplicationFault::kOldEpochFetches)) remote = old;
    }
    if (Contains(isr, id)) remote.last_caught_up_ms = now_ms;
    remotes_.push_back(remote);
  }
}

void ReplicaSet::Commit(const std::vector<NodeId>& replicas, const std::vector<NodeId>& isr) {
  std::erase_if(remotes_,
                [&](const RemoteReplica& remote) { return !Contains(replicas, remote.id); });
  for (const NodeId id : replicas) {
    if (id == self_ || Find(id) != nullptr) continue;
    RemoteReplica remote;
    remote.id = id;
    remotes_.push_back(remote);
  }
  CommitIsr(isr);
}

void ReplicaSet::CommitIsr(const std::vector<NodeId>& isr) {
  for (RemoteReplica& remote : remotes_) {
    if (Contains(isr, remote.id)) {
      remote.refused_ms = -1;
      continue;
    }
    // Whoever had to leave, for damage of its log perhaps, is waited for again only when it has
    // fetched all there is.
    if (!InIsr(remote.id)) continue;
    remote.last_caught_up_ms = -1;
    remote.last_fetch_ms = -1;
  }
  isr_ = isr;
  proposed_.reset();
}

bool ReplicaSet::ProposesToAdd() const {
  return pending() && !std::ranges::all_of(*proposed_, [this](NodeId id) { return InIsr(id); });
}

std::vector<NodeId> ReplicaSet::NoteRefused(int64_t now_ms) {
  std::vector<NodeId> first_time;
  for (RemoteReplica& remote : remotes_) {
    if (!InMaximalIsr(remote.id) || InIsr(remote.id)) continue;
    if (remote.refused_ms < 0) first_time.push_back(remote.id);
    remote.refused_ms = now_ms;
  }
  return first_time;
}

bool ReplicaSet::InIsr(NodeId id) const { return Contains(isr_, id); }

bool ReplicaSet::InMaximalIsr(NodeId id) const {
  return Contains(isr_, id) || (proposed_.has_value() && Contains(*proposed_, id));
}

bool ReplicaSet::Slowed(NodeId id) const { return Contains(move_.slowed, id); }

bool ReplicaSet::MayBeRelieved() const {
  return pending() && Contains(move_.go, self_) &&
         std::ranges::all_of(move_.stay, [this](NodeId id) { return InMaximalIsr(id); });
}

bool ReplicaSet::EndsMoveUnheard(NodeId joining) const {
  const bool ends =
      std::ranges::all_of(move_.stay, [&](NodeId id) { return id == joining || InIsr(id); });
  return ends && std::ranges::any_of(move_.go, [this](NodeId id) {
           const RemoteReplica* remote = Find(id);
           return remote != nullptr && InIsr(id) && !remote->fetched_in_epoch();
         });
}

RemoteReplica* ReplicaSet::Find(NodeId id) {
  for (RemoteReplica& remote : remotes_) {
    if (remote.id == id) return &remote;
  }
  return nullptr;
}

const RemoteReplica* ReplicaSet::Find(NodeId id) const {
  for (const RemoteReplica& remote : remotes_) {
    if (remote.id == id) return &remote;
  }
  return nullptr;
}

bool ReplicaSet::RecordFetch(RemoteReplica& replica, Offset offset, BrokerEpoch broker_epoch,
                             Offset leader_end, int64_t now_ms) {
  // A request that the broker sent before it was restarted tells nothing about what it has now
  // (KAFKA-15221); one without an epoch comes from no broker of this cluster (CVE-2018-1288).
  if (broker_epoch < BrokerEpoch(0) || broker_epoch < replica.broker_epoch) return false;
  if (offset >= leader_end) {
    replica.last_caught_up_ms = now_ms;
  } else if (replica.last_fetch_ms >= 0 && offset >= replica.leader_end_at_last_fetch) {
    // Under a steady stream of appends it never sees the very end; it keeps up when it has what was
    // there a fetch ago.
    replica.last_caught_up_ms = std::max(replica.last_caught_up_ms, replica.last_fetch_ms);
  }
  replica.log_end_offset = offset;
  replica.broker_epoch = broker_epoch;
  replica.last_fetch_ms = now_ms;
  replica.leader_end_at_last_fetch = leader_end;
  return true;
}

void ReplicaSet::ForgetPositions() {
  for (RemoteReplica& remote : remotes_) remote.log_end_offset = Offset(-1);
}

Offset ReplicaSet::CommittableOffset(Offset own, const LagRule& rule,
                                     const Eligible& eligible) const {
  Offset committable = own;
  for (const RemoteReplica& remote : remotes_) {
    if (remote.log_end_offset >= committable) continue;
    if (FaultPlanted(ReplicationFault::kPendingIsrIgnored) && !InIsr(remote.id)) continue;
    if (InMaximalIsr(remote.id) || (CaughtUp(remote, rule) && eligible(remote)))
      committable = remote.log_end_offset;
  }
  return committable;
}

std::vector<NodeId> ReplicaSet::Lagging(const LagRule& rule) const {
  std::vector<NodeId> lagging;
  for (const RemoteReplica& remote : remotes_) {
    if (InIsr(remote.id) && !CaughtUp(remote, rule)) lagging.push_back(remote.id);
  }
  return lagging;
}

}  // namespace sluice::broker
