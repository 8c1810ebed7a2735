#pragma once
// Election: the one pure function that decides a partition's leader, ISR and ELR (KIP-966). Every
// change of a broker's state, every AlterPartition and every change of min.insync.replicas goes
// through it, and its test enumerates all its inputs for small replica sets.
//
// Goals, in this order:
//   1. No acknowledged record is lost: only a member of the ISR may lead, else of the ELR. Where
//   both are empty, whoever had all records has lost some of them. Then no replica is to cut what
//   it has on account of another one that has less: once all replicas live and have told where
//   their logs end, the one whose log has the most leads (KIP-966's balanced recovery). An only
//   replica leads at once.
//   2. A leader that is still allowed to lead stays, but for 3.
//   3. A replica whose disk is full leads only where all who may lead have none either: it takes no
//   records. A broker that yields (image.h: operators want to stop it) leads only where no other
//   one may that has room.
//   4. Otherwise the first replica in assignment order, so that the preferred leader comes first.
// Operators may ask for more: that the preferred replica leads though another one could stay
// (against 2), or that one of the live replicas leads where nobody else may (against 1): of those
// the one whose log has the most. Who lives is asked first, who does not is not waited for.
//
// The ELR holds replicas that left the ISR while it was below min ISR: the high watermark stood
// still since, so they have all of what was acknowledged. It is emptied once the ISR is large
// enough again, for then the high watermark moves without them.
//
// Thread rule: pure.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "metadata/image.h"

namespace sluice::metadata {

// Of the records that a replica had acknowledged.
enum class DataLoss { kNone, kSome, kAll };

// Where a replica's log ends. The greater, the more it has of what the last leaders wrote.
struct LogEnd {
  LeaderEpoch epoch = kNoEpoch;  // the latest that the log knows; kNoEpoch: it never had a record
  Offset offset{-1};             // -1: the log cannot be used
  bool usable() const { return offset >= Offset(0); }
  friend auto operator<=>(const LogEnd&, const LogEnd&) = default;
};

struct ElectionInput {
  const PartitionImage& partition;
  int32_t min_isr = 1;                           // effective (metadata/image.h)
  std::function<bool(NodeId)> is_active;         // may lead and be in an ISR
  std::function<bool(NodeId)> yields = nullptr;  // leads only where no other may; null = nobody
  // Has no room for records: leads only where nobody else may who has some. Null = nobody.
  std::function<bool(NodeId)> is_full = nullptr;
  // A replica that came back without all it had acknowledged: neither ISR nor ELR membership holds
  // any longer.
  NodeId lost_data = kNoNode;
  // It came back with nothing at all. Where there are other replicas, any of them is better than it
  // even as the last known leader, and which one is for an operator to say.
  bool lost_all = false;
  // The leader's wish (AlterPartition); else the ISR stays but for inactive members.
  std::optional<std::vector<NodeId>> wished_isr;
  // Leads if it is in the ISR, has room and does not yield, whoever led before.
  NodeId preferred = kNoNode;
  // Where nobody else may lead, the active replica does whose log has the most, though it may lack
  // acknowledged records.
  bool unclean = false;
  // What the replica has told of its log while the partition had no leader; nullopt = nothing yet.
  // Null: nobody has.
  std::function<std::optional<LogEnd>(NodeId)> log_end = nullptr;
};

// For a partition of a topic as the image has it, both of which outlive the input: who is active
// and who yields, and min ISR. What is special is for the caller to add.
ElectionInput ElectionInputOf(const Image& image, const std::string& topic,
                              const PartitionImage& partition);

struct ElectionResult {
  NodeId leader = kNoNode;
  std::vector<NodeId> isr;
  std::vector<NodeId> elr;
  std::vector<NodeId> last_known_elr;
  // The leader was neither in the ISR nor in the ELR: records may be missing. To be logged and
  // counted.
  bool may_lose_records = false;
  // Nobody leads, though asked for uncleanly: these live and have not told yet where their logs
  // end.
  std::vector<NodeId> silent;
};

ElectionResult Elect(const ElectionInput& input);

}  // namespace sluice::metadata
