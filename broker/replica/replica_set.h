#pragma once
// ReplicaSet: what a leader knows of its partition's replicas: the committed ISR, the ISR it has
// asked the controller for, and how far each follower has come. It holds the arithmetic of rules 3,
// 4 and 5 (docs/THREADS.md names them): pure state, no clock, no lock, no log.
//
// Invariants:
//   1. The committed ISR changes by an image only, with the configuration of the same image: the
//   answer to AlterPartition may be ahead of what is known here.
//   2. While a change is pending the high watermark waits for the union of both ISRs: whichever the
//   controller has, its members have the data.
//   3. A follower's position is unknown until it fetches in this leader epoch; an unknown position
//   holds the high watermark.
//
// Thread rule: owned by Partition, under its mutex.

#include <functional>
#include <optional>
#include <vector>

#include "base/ids.h"

namespace sluice::broker {

struct RemoteReplica {
  NodeId id = kNoNode;
  Offset log_end_offset{-1};     // its durable end in fsync mode; -1 = not known in this epoch
  BrokerEpoch broker_epoch{-1};  // as it said in its last fetch
  int64_t last_caught_up_ms =
      -1;  // when it last had all that the leader had; -1 = never in this epoch
  int64_t last_fetch_ms = -1;
  Offset leader_end_at_last_fetch{-1};
  Offset log_start_offset{-1};  // as it said in its last fetch
  // When the controller last refused to have it in the ISR; -1 = not since it was there.
  int64_t refused_ms = -1;
  // In the last answer to it.
  Offset sent_high_watermark{-1};
  Offset sent_log_start{-1};

  bool fetched_in_epoch() const { return log_end_offset >= Offset(0); }
};

class ReplicaSet {
 public:
  // A new leader epoch: positions are forgotten; ISR members get a full lag period to show up.
  void StartEpoch(NodeId self, const std::vector<NodeId>& replicas, const std::vector<NodeId>& isr,
                  int64_t now_ms);
  // The controller's word within the epoch: replaces both ISRs, keeps the positions of replicas
  // that stay.
  void Commit(const std::vector<NodeId>& replicas, const std::vector<NodeId>& isr);
  void CommitIsr(const std::vector<NodeId>& isr);

  const std::vector<NodeId>& isr() const { return isr_; }
  bool pending() const { return proposed_.has_value(); }
  const std::optional<std::vector<NodeId>>& proposed() const { return proposed_; }
  void Propose(std::vector<NodeId> isr) { proposed_ = std::move(isr); }
  // Of a partition that moves: who stays, whose being in sync ends the move, and who goes then.
  struct Move {
    std::vector<NodeId> stay;
    std::vector<NodeId> go;
    std::vector<NodeId> slowed;  // those who come, where the move has a rate
  };
  void set_move(Move move) { move_ = std::move(move); }
  // Whether the move's rate holds for what is sent to `id`. In the ISR none does.
  bool Slowed(NodeId id) const;
  // Whether another one may lead already, without waiting for anybody: this leader goes with the
  // end of the move, and all who stay are proposed.
  bool MayBeRelieved() const;
  // Whether the move would end if `joining` were in sync, too early: one who goes has not been
  // heard of in this epoch. It may have led until just now, and still tell where the log ended.
  bool EndsMoveUnheard(NodeId joining) const;
  // Whether it has somebody join.
  bool ProposesToAdd() const;
  // Nothing has become of the proposal, for certain.
  void DropProposal() { proposed_.reset(); }
  // The controller finds that whoever is to join may not, and may do so for long: its disk is full,
  // say, which is not known here. It is neither waited for, once the proposal is dropped, nor
  // proposed until it has all there is again, a while later. Not by time alone, nor by a fetch: who
  // can append nothing asks for what it lacks, after a restart say, and would be waited for until
  // it lags. Nor by a change of the ISR: another disk has filled up, perhaps.
  // Gives who was not refused before, since it was in the ISR.
  std::vector<NodeId> NoteRefused(int64_t now_ms);
  static constexpr int64_t kRefusedForMs = 1000;
  static bool Refused(const RemoteReplica& replica) {
    return replica.refused_ms >= 0 &&
           replica.last_caught_up_ms < replica.refused_ms + kRefusedForMs;
  }

  bool InIsr(NodeId id) const;
  bool InMaximalIsr(NodeId id) const;
  // Null when `id` is no other replica of this partition.
  RemoteReplica* Find(NodeId id);
  const RemoteReplica* Find(NodeId id) const;
  const std::vector<RemoteReplica>& remotes() const { return remotes_; }

  // A fetch at `offset` while the leader's log ends at `leader_end` (rule 3: the caller has refused
  // diverging fetches). False when it comes from an earlier life of that broker, or from none, and
  // was ignored.
  bool RecordFetch(RemoteReplica& replica, Offset offset, BrokerEpoch broker_epoch,
                   Offset leader_end, int64_t now_ms);

  // What followers have told does not count any more; they have until they would lag to tell anew.
  void ForgetPositions();

  struct LagRule {
    Offset leader_end;
    int64_t now_ms = 0;
    int64_t lag_ms_max = 0;
  };
  static bool CaughtUp(const RemoteReplica& replica, const LagRule& rule) {
    return replica.log_end_offset == rule.leader_end ||
           (replica.last_caught_up_ms >= 0 &&
            rule.now_ms - replica.last_caught_up_ms <= rule.lag_ms_max);
  }
  using Eligible = std::function<bool(const RemoteReplica&)>;
  // Rule 4: below which offset all have everything, given the leader's own contribution. Replicas
  // outside the ISR count while they are caught up and eligible: else one that is just joining
  // could find the high watermark ahead of it (KIP-966).
  Offset CommittableOffset(Offset own, const LagRule& rule, const Eligible& eligible) const;
  // ISR members that must leave.
  std::vector<NodeId> Lagging(const LagRule& rule) const;

 private:
  NodeId self_ = kNoNode;
  std::vector<NodeId> isr_;
  std::optional<std::vector<NodeId>> proposed_;
  Move move_;
  std::vector<RemoteReplica> remotes_;
};

}  // namespace sluice::broker
