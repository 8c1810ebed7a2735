#pragma once
// PartitionManager: leaders and ISRs of existing partitions. Brokers that come, go or lose data,
// leaders that change their ISR, and changes of min.insync.replicas all end in the one decision of
// metadata/election.h.
//
// Thread rule: pure functions of their arguments.

#include <functional>
#include <set>

#include "controller/decision.h"
#include "controller/full_directories.h"
#include "metadata/reassignment.h"

namespace sluice::controller {

// A broker whose standing changes, as the elections of one decision see it.
struct BrokerEvent {
  NodeId broker = kNoNode;
  bool active = false;  // afterwards
  // How much it has lost of a replica, in which directory as far as that is known; null = nothing
  // of any.
  std::function<metadata::DataLoss(const std::string& topic, PartitionIndex partition,
                                   const Uuid& directory)>
      lost_data;
  // The broker as it will be, where its log directories change; null = as in the image.
  const metadata::BrokerImage* broker_after = nullptr;
  const FullDirectories* full = nullptr;  // passed by where others may lead; null = none is known
};

// Appends what the decision changes of the partition, if anything; says so where records may be
// lost, or a move ends. `dry_run`: nothing will be done, and nothing is said.
bool AppendDecision(const metadata::TopicImage& topic, size_t index,
                    const metadata::PartitionDecision& decision, Records& records,
                    bool dry_run = false);

// The partition changes that follow from `event`: the broker leaves every ISR and leads nothing, or
// partitions without a leader get one.
Records ElectionsFor(const metadata::Image& image, const BrokerEvent& event);

// The same in parts: of the topics from `from` on, at most `changes_max`. Partitions that are left
// without a leader come last of all: who changes them may still be taken for alive, and then nobody
// would elect it again. They are not there when the part is not the whole.
struct PartOfElections {
  Records records;
  bool complete = true;  // all topics were looked at
  TopicId next;          // else where to go on
};
PartOfElections ElectionsUpTo(const metadata::Image& image, const BrokerEvent& event,
                              const TopicId& from, size_t changes_max);

// Logs that their broker found damaged: where others are in sync, these replicas leave the ISR as
// having lost records, and lead no more.
Records ElectionsForDamaged(const metadata::Image& image, const HeartbeatRequest& request,
                            const FullDirectories& full);

// Of the partitions that the broker has just told of: those that have waited for that get their
// leader.
Records ElectionsForTold(const metadata::Image& image, const HeartbeatRequest& request,
                         const LogEnds& ends);

// What a changed min.insync.replicas asks of the topics named; `image` has the new value. All
// topics when `topics` is null. Nothing is logged of a `dry_run`.
Records ElectionsForMinIsr(const metadata::Image& image, const std::set<std::string>* topics,
                           bool dry_run);

// Where a broker has its replicas. One that was in another directory before is a new, empty log;
// one in a directory that is offline leaves the ISR.
Decision<AssignReplicasToDirsResponse> AssignReplicasToDirs(
    const HandleContext& context, const AssignReplicasToDirsRequest& request);

Decision<AlterPartitionResponse> AlterPartition(const HandleContext& context,
                                                const AlterPartitionRequest& request);

}  // namespace sluice::controller
