#include "controller/partition_manager.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "base/planted_fault.h"
#include "controller/log_ends.h"
#include "metadata/partition_change.h"
#include "metadata/replay.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::Image;
using metadata::PartitionImage;
using metadata::TopicImage;

namespace {

bool Contains(std::span<const NodeId> nodes, NodeId node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

void LogIfLossy(const TopicImage& topic, size_t index, const metadata::ElectionResult& result) {
  if (!result.may_lose_records) return;
  LOG(ERROR) << topic.name << "-" << index << ": broker " << result.leader
             << " was elected uncleanly: no replica that is sure to be complete can lead, and of "
                "those that live its log has the most; records may be missing";
}

// Runs the election of one partition and appends what it changes.
void Decide(const TopicImage& topic, size_t index, const metadata::ElectionInput& input,
            Records& records, bool dry_run = false) {
  AppendDecision(topic, index, metadata::Decide(input), records, dry_run);
}

// One partition of an AlterPartition request.
class Alteration {
 public:
  Alteration(const HandleContext& context, NodeId sender,
             const AlterPartitionRequest::Partition& asked)
      : image_(*context.image), full_(context.full), sender_(sender), asked_(asked) {}

  // Fills `answer`; appends the change, if any.
  void Run(AlterPartitionResponse::Partition& answer, Records& records) {
    answer.set_topic_id(asked_.topic_id());
    answer.set_partition(asked_.partition());
    const ErrorCode error = Check();
    answer.set_error_code(Code(error));
    if (error != ErrorCode::kNone) return;
    const metadata::PartitionDecision decision = metadata::Decide(Input());
    answer.set_leader(decision.election.leader.value());
    answer.set_leader_epoch(partition_->leader_epoch.value());
    for (const NodeId node : decision.election.isr) answer.add_isr(node.value());
    answer.set_partition_epoch(partition_->partition_epoch.value());
    if (!AppendDecision(*topic_, static_cast<size_t>(asked_.partition()), decision, records)) {
      if (!AsksForWhatIs()) return;
      // By a leader that wants earlier requests of this epoch, whose answers it never had, to be
      // void, however late they are read and by which controller: the epoch rises.
      auto& same = *records.emplace_back().mutable_partition_change();
      same.set_topic_id(asked_.topic_id());
      same.set_partition(asked_.partition());
    }
    const auto& change = records.back().partition_change();
    if (change.has_leader_epoch()) answer.set_leader_epoch(change.leader_epoch());
    answer.set_partition_epoch(partition_->partition_epoch.value() + 1);
  }

 private:
  // The fences of reliability.md section 2, in the order in which a stale sender should learn of
  // them.
  ErrorCode Check() {
    if (!IsUuid(asked_.topic_id())) return ErrorCode::kUnknownTopicId;
    topic_ = image_.FindTopic(TopicId::FromBytes(asked_.topic_id()));
    if (topic_ == nullptr) return ErrorCode::kUnknownTopicId;
    partition_ = image_.FindPartition(topic_->id, PartitionIndex(asked_.partition()));
    if (partition_ == nullptr) return ErrorCode::kUnknownTopicOrPartition;
    // A sender that knows more than this controller has heard of a newer one.
    if (asked_.leader_epoch() > partition_->leader_epoch.value()) return ErrorCode::kNotController;
    if (asked_.partition_epoch() > partition_->partition_epoch.value())
      return ErrorCode::kNotController;
    if (asked_.leader_epoch() < partition_->leader_epoch.value())
      return ErrorCode::kFencedLeaderEpoch;
    if (partition_->leader != sender_) return ErrorCode::kInvalidRequest;
    if (asked_.partition_epoch() < partition_->partition_epoch.value() &&
        !FaultPlanted(ReplicationFault::kIsrWithoutPartitionEpoch))
      return ErrorCode::kInvalidUpdateVersion;
    return CheckIsr();
  }

  ErrorCode CheckIsr() {
    std::vector<NodeId> isr;
    const auto is_full = FullIn(full_, image_, *partition_);
    bool eligible = true;
    for (const auto& replica : asked_.isr()) {
      const NodeId id(replica.id());
      if (!Contains(partition_->replicas, id) || Contains(isr, id))
        return ErrorCode::kInvalidRequest;
      isr.push_back(id);
      // KIP-841: no fenced or leaving broker, nor a replica in an offline directory. KIP-903: not
      // one that restarted since its fetch was seen, nor one whose epoch nobody knows. And nobody
      // comes who could copy nothing; who is in does not keep others from coming and going.
      const bool comes = !Contains(partition_->isr, id);
      eligible = eligible && !(comes && is_full && is_full(id)) &&
                 metadata::ReplicaActive(image_, *partition_, id) &&
                 (replica.broker_epoch() == image_.FindBroker(id)->epoch.value() ||
                  FaultPlanted(ReplicationFault::kIsrWithoutBrokerEpoch));
    }
    if (!Contains(isr, sender_)) return ErrorCode::kInvalidRequest;
    return eligible ? ErrorCode::kNone : ErrorCode::kIneligibleReplica;
  }

  bool AsksForWhatIs() const {
    return static_cast<size_t>(asked_.isr_size()) == partition_->isr.size() &&
           std::ranges::all_of(asked_.isr(), [this](const auto& replica) {
             return Contains(partition_->isr, NodeId(replica.id()));
           });
  }

  metadata::ElectionInput Input() const {
    metadata::ElectionInput input = metadata::ElectionInputOf(image_, topic_->name, *partition_);
    input.is_full = FullIn(full_, image_, *partition_);
    input.wished_isr.emplace();
    for (const auto& replica : asked_.isr()) input.wished_isr->emplace_back(replica.id());
    return input;
  }

  const Image& image_;
  const FullDirectories* full_;
  const NodeId sender_;
  const AlterPartitionRequest::Partition& asked_;
  std::shared_ptr<const TopicImage> topic_;
  const PartitionImage* partition_ = nullptr;
};

}  // namespace

bool AppendDecision(const TopicImage& topic, size_t index,
                    const metadata::PartitionDecision& decision, Records& records, bool dry_run) {
  if (!dry_run) LogIfLossy(topic, index, decision.election);
  const PartitionImage& before = topic.partitions[index];
  auto change = metadata::PartitionChange(topic.id, PartitionIndex(static_cast<int32_t>(index)),
                                          before, decision);
  if (!change) return false;
  const bool done = before.moving() && !decision.assignment.moving() &&
                    decision.assignment.replicas == metadata::TargetOf(before);
  LOG_IF(INFO, done && !dry_run) << topic.name << "-" << index << ": the move is done, its "
                                 << decision.assignment.replicas.size() << " replicas are in sync";
  *records.emplace_back().mutable_partition_change() = *std::move(change);
  return true;
}

namespace {

// What the event changes of one partition.
void ElectAfter(const Image& image, const BrokerEvent& event, const TopicImage& topic, size_t index,
                Records& records) {
  const PartitionImage& partition = topic.partitions[index];
  if (!Contains(partition.replicas, event.broker)) return;
  const Uuid directory = partition.DirectoryOf(event.broker);
  const metadata::DataLoss loss =
      event.lost_data == nullptr
          ? metadata::DataLoss::kNone
          : event.lost_data(topic.name, PartitionIndex(static_cast<int32_t>(index)), directory);
  const bool lost = loss != metadata::DataLoss::kNone;
  const bool lost_all = loss == metadata::DataLoss::kAll;
  const metadata::BrokerImage* broker =
      event.broker_after != nullptr ? event.broker_after : image.FindBroker(event.broker);
  const bool active = event.active && broker != nullptr && broker->HasOnline(directory);
  const bool leaves = !active && (Contains(partition.isr, event.broker) ||
                                  (lost && Contains(partition.elr, event.broker)) ||
                                  (lost_all && Contains(partition.last_known_elr, event.broker)));
  const bool may_lead = active && partition.leader == kNoNode;
  if (!leaves && !may_lead) return;
  metadata::ElectionInput input = metadata::ElectionInputOf(image, topic.name, partition);
  input.is_active = [&](NodeId node) {
    return node == event.broker ? active : metadata::ReplicaActive(image, partition, node);
  };
  input.is_full = FullIn(event.full, image, partition);
  if (lost) input.lost_data = event.broker;
  input.lost_all = lost_all;
  Decide(topic, index, input, records);
}

bool LeavesNoLeader(const metadata::MetadataRecord& record) {
  const auto& change = record.partition_change();
  return change.has_leader() && change.leader() == kNoNode.value();
}

}  // namespace

PartOfElections ElectionsUpTo(const Image& image, const BrokerEvent& event, const TopicId& from,
                              size_t changes_max) {
  PartOfElections elections;
  Records leaderless;
  const auto& topics = *image.topics_by_id;
  for (auto topic = topics.lower_bound(from); topic != topics.end(); ++topic) {
    for (size_t i = 0; i < topic->second->partitions.size(); ++i) {
      if (elections.records.size() == changes_max) {
        elections.complete = false;
        elections.next = topic->first;
        return elections;
      }
      const size_t before = elections.records.size();
      ElectAfter(image, event, *topic->second, i, elections.records);
      if (elections.records.size() == before || !LeavesNoLeader(elections.records.back())) continue;
      leaderless.push_back(std::move(elections.records.back()));
      elections.records.pop_back();
    }
  }
  if (from.IsZero()) Append(elections.records, std::move(leaderless));
  return elections;
}

Records ElectionsFor(const Image& image, const BrokerEvent& event) {
  return ElectionsUpTo(image, event, TopicId(), std::numeric_limits<size_t>::max()).records;
}

Records ElectionsForDamaged(const Image& image, const HeartbeatRequest& request,
                            const FullDirectories& full) {
  Records records;
  const NodeId broker(request.sender().node_id());
  std::set<std::pair<std::string, int32_t>> seen;
  for (const auto& damaged : request.damaged()) {
    if (!IsUuid(damaged.topic_id())) continue;
    const auto topic = image.FindTopic(TopicId::FromBytes(damaged.topic_id()));
    if (topic == nullptr) continue;
    const PartitionImage* partition =
        image.FindPartition(topic->id, PartitionIndex(damaged.partition()));
    if (partition == nullptr || !metadata::OthersInSync(*partition, broker)) continue;
    if (!seen.emplace(damaged.topic_id(), damaged.partition()).second) continue;
    LOG(WARNING) << topic->name << "-" << damaged.partition() << ": the log of broker " << broker
                 << " is damaged; its replica leaves the ISR";
    metadata::ElectionInput input = metadata::ElectionInputOf(image, topic->name, *partition);
    input.is_full = FullIn(&full, image, *partition);
    input.lost_data = broker;
    Decide(*topic, static_cast<size_t>(damaged.partition()), input, records);
  }
  return records;
}

Records ElectionsForTold(const Image& image, const HeartbeatRequest& request, const LogEnds& ends) {
  Records records;
  std::set<std::pair<std::string, int32_t>> seen;
  for (const auto& told : request.log_ends()) {
    if (!IsUuid(told.topic_id())) continue;
    const auto topic = image.FindTopic(TopicId::FromBytes(told.topic_id()));
    if (topic == nullptr) continue;
    const PartitionIndex index(told.partition());
    const PartitionImage* partition = image.FindPartition(topic->id, index);
    if (partition == nullptr || partition->leader != kNoNode || !partition->elr.empty()) continue;
    if (!seen.emplace(told.topic_id(), told.partition()).second) continue;
    metadata::ElectionInput input = metadata::ElectionInputOf(image, topic->name, *partition);
    input.log_end = [&](NodeId node) { return ends.Find(image, {topic->id, index}, node); };
    Decide(*topic, static_cast<size_t>(index.value()), input, records);
  }
  return records;
}

Records ElectionsForMinIsr(const Image& image, const std::set<std::string>* topics, bool dry_run) {
  Records records;
  for (const auto& [name, topic] : *image.topics_by_name) {
    if (topics != nullptr && !topics->contains(name)) continue;
    for (size_t i = 0; i < topic->partitions.size(); ++i) {
      Decide(*topic, i, metadata::ElectionInputOf(image, name, topic->partitions[i]), records,
             dry_run);
    }
  }
  return records;
}

namespace {

// One replica of an AssignReplicasToDirs request.
ErrorCode Assign(const Image& image, NodeId broker,
                 const AssignReplicasToDirsRequest::Replica& asked, Records& records) {
  if (!IsUuid(asked.topic_id()) || !IsUuid(asked.directory())) return ErrorCode::kInvalidRequest;
  const auto topic = image.FindTopic(TopicId::FromBytes(asked.topic_id()));
  if (topic == nullptr) return ErrorCode::kUnknownTopicId;
  const PartitionIndex index(asked.partition());
  const PartitionImage* before = image.FindPartition(topic->id, index);
  if (before == nullptr) return ErrorCode::kUnknownTopicOrPartition;
  if (!Contains(before->replicas, broker)) return ErrorCode::kNotLeaderOrFollower;
  const Uuid directory = Uuid::FromBytes(asked.directory());
  const Uuid old = before->DirectoryOf(broker);
  if (old == directory) return ErrorCode::kNone;
  PartitionImage after = *before;
  after.directories.resize(after.replicas.size());
  for (size_t i = 0; i < after.replicas.size(); ++i) {
    if (after.replicas[i] == broker) after.directories[i] = directory;
  }
  // What was in the other directory did not come along, unless the broker says so.
  const bool lost = !old.IsZero() && !asked.moved();
  metadata::ElectionInput input = metadata::ElectionInputOf(image, topic->name, *before);
  input.is_active = [&](NodeId node) { return metadata::ReplicaActive(image, after, node); };
  if (lost) input.lost_data = broker;
  input.lost_all = lost;
  const metadata::PartitionDecision decision = metadata::Decide(input);
  if (!AppendDecision(*topic, static_cast<size_t>(index.value()), decision, records)) {
    auto& change = *records.emplace_back().mutable_partition_change();
    change.set_topic_id(asked.topic_id());
    change.set_partition(asked.partition());
  }
  auto& directories = *records.back().mutable_partition_change()->mutable_directories();
  for (const NodeId replica : decision.assignment.replicas)
    directories.add_ids(std::string(after.DirectoryOf(replica).view()));
  return ErrorCode::kNone;
}

}  // namespace

Decision<AssignReplicasToDirsResponse> AssignReplicasToDirs(
    const HandleContext& context, const AssignReplicasToDirsRequest& request) {
  Decision<AssignReplicasToDirsResponse> decision;
  const Image& image = *context.image;
  const SenderCheck sender = CheckBrokerSender(image, request.sender());
  if (sender.code != ErrorCode::kNone) {
    SetError(*decision.response.mutable_outcome(), sender.code, sender.message);
    return decision;
  }
  std::set<std::pair<std::string, int32_t>> seen;
  for (const auto& asked : request.replicas()) {
    AssignReplicasToDirsResponse::Replica& answer = *decision.response.add_replicas();
    answer.set_topic_id(asked.topic_id());
    answer.set_partition(asked.partition());
    const bool first = seen.emplace(asked.topic_id(), asked.partition()).second;
    answer.set_error_code(
        Code(first ? Assign(image, NodeId(request.sender().node_id()), asked, decision.records)
                   : ErrorCode::kInvalidRequest));
  }
  return decision;
}

Decision<AlterPartitionResponse> AlterPartition(const HandleContext& context,
                                                const AlterPartitionRequest& request) {
  Decision<AlterPartitionResponse> decision;
  const Image& image = *context.image;
  const SenderCheck sender = CheckBrokerSender(image, request.sender());
  if (sender.code != ErrorCode::kNone) {
    SetError(*decision.response.mutable_outcome(), sender.code, sender.message);
    return decision;
  }
  std::set<std::pair<std::string, int32_t>> seen;
  for (const auto& asked : request.partitions()) {
    AlterPartitionResponse::Partition& answer = *decision.response.add_partitions();
    if (!seen.emplace(asked.topic_id(), asked.partition()).second) {
      answer.set_topic_id(asked.topic_id());
      answer.set_partition(asked.partition());
      answer.set_error_code(Code(ErrorCode::kInvalidRequest));
      continue;
    }
    Alteration(context, NodeId(request.sender().node_id()), asked).Run(answer, decision.records);
  }
  return decision;
}

}  // namespace sluice::controller
