#include "controller/broker_manager.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "base/planted_fault.h"
#include "controller/partition_manager.h"
#include "controller/registration_check.h"
#include "metadata/broker_record.h"
#include "metadata/fsync_since.h"

namespace sluice::controller {

using kafka::ErrorCode;
using metadata::BrokerImage;
using metadata::Image;

namespace {

metadata::MetadataRecord BrokerChange(NodeId broker, std::optional<bool> fenced,
                                      std::optional<bool> leaving) {
  metadata::MetadataRecord record;
  record.mutable_broker_change()->set_broker_id(broker.value());
  if (fenced) record.mutable_broker_change()->set_fenced(*fenced);
  if (leaving) record.mutable_broker_change()->set_in_controlled_shutdown(*leaving);
  return record;
}

// What a log directory tells of the broker's registrations.
struct Told {
  int64_t clean = -1;           // that ended with a clean stop, or -1
  std::optional<int64_t> kept;  // the last that may have used it; nothing: an older version has
};

template <typename Message>
Told ToldBy(const Message& message) {
  Told told{message.previous_broker_epoch(), std::nullopt};
  if (message.has_kept_broker_epoch() && message.kept_broker_epoch() >= 0)
    told.kept = message.kept_broker_epoch();
  return told;
}

// The broker's log directories: those of the list, or the only one.
std::map<Uuid, Told> DirectoriesOf(const RegisterBrokerRequest& request) {
  std::map<Uuid, Told> directories;
  for (const auto& directory : request.directories()) {
    if (IsUuid(directory.id())) directories[Uuid::FromBytes(directory.id())] = ToldBy(directory);
  }
  if (directories.empty())
    directories[Uuid::FromBytes(request.broker().directory_id())] = ToldBy(request);
  return directories;
}

// Whether it is an older copy of the disk with which the broker was in service last. What counts is
// the last epoch in service, not the last registered one: a broker may stop before its directories
// hold an epoch, but none is in service, and could have acknowledged anything, before they do. An
// epoch that was kept and never served is newer, and lacks nothing.
bool IsOlder(const BrokerImage& before, const Uuid& directory, const Told& told) {
  const auto served = before.served.find(directory);
  return told.kept && served != before.served.end() && BrokerEpoch(*told.kept) < served->second;
}

bool SharesADirectory(const BrokerImage& before, const RegisterBrokerRequest& request) {
  const std::map<Uuid, Told> now = DirectoriesOf(request);
  return now.contains(before.directory_id) ||
         std::any_of(before.log_directories.begin(), before.log_directories.end(),
                     [&](const Uuid& id) { return now.contains(id); });
}

// Over a registration, too. What was flushed stays so on its disk. Another disk has nothing from
// before, and a broker takes nothing up by metadata that are older than its registration.
void KeepSynced(const BrokerImage* before, metadata::RegisterBrokerRecord& record) {
  record.set_synced_index(before == nullptr ? 0 : before->synced_index.value());
}

// What the heartbeat tells of its flushes, where that changes how a loss will be judged: a record,
// since the next active controller is to judge alike.
Records Synced(const Image& image, const BrokerImage& broker, const HeartbeatRequest& request) {
  const LogIndex told(request.synced_index());
  // Of what nobody knows here, or it does not know itself, it cannot tell.
  if (told > image.last_index || request.synced_index() > request.applied_index()) return {};
  if (!SyncedMore(image, broker.synced_index, told)) return {};
  metadata::MetadataRecord record;
  record.mutable_broker_change()->set_broker_id(broker.id.value());
  record.mutable_broker_change()->set_synced_index(told.value());
  return {std::move(record)};
}

// Whether the new incarnation may lack acknowledged records of a replica (architecture.md section
// 4), judged by the log directory that has it:
//   - its log was damaged, it was on the only disk and that is another one now, or its disk is
//   older than its last registration in service;
//   - what was only in memory may be gone: the host went down without a clean stop, or the
//   directory had failed, where the kernel drops what it could not write. And the topic did not
//   wait for the disk, or did not always, and nothing tells that the broker has flushed what is
//   from then.
// A replica whose directory is not there keeps its good name until it is made anew in another one
// (AssignReplicasToDirs).
class LossJudge {
 public:
  LossJudge(const HandleContext& context, const RegisterBrokerRequest& request,
            const BrokerImage* before)
      : image_(*context.image) {
    if (before == nullptr) return;
    synced_index_ = before->synced_index;
    const bool rebooted = !before->boot_id.empty() && request.broker().boot_id() != before->boot_id;
    const auto judge = [&](const Uuid& directory, const Told& told) {
      const bool was_online = before->HasOnline(directory);
      const bool clean = told.clean >= 0;
      if (was_online && clean && told.clean != before->epoch.value()) return Loss::kAll;
      if (!was_online || (!clean && rebooted)) return Loss::kUnsynced;
      return Loss::kNone;
    };
    bool any_older = false;
    for (const auto& [directory, told] : DirectoriesOf(request)) {
      const bool older = IsOlder(*before, directory, told);
      any_older = any_older || older;
      losses_[directory] = older ? Loss::kAll : judge(directory, told);
      LOG_IF(WARNING, older) << "broker " << before->id << " comes with an older copy of its log "
                             << "directory " << directory << ": of registration " << *told.kept
                             << ", and it served with it in " << before->served.at(directory);
    }
    only_directory_ = before->log_directories.empty() ? before->directory_id : Uuid();
    // A replica that no directory was assigned to may be in any of them.
    unassigned_ = any_older || !SharesADirectory(*before, request) ? Loss::kAll
                                                                   : judge(Uuid(), ToldBy(request));
    for (const auto& damaged : request.damaged())
      damaged_.emplace(damaged.topic(), PartitionIndex(damaged.partition()));
  }

  metadata::DataLoss operator()(const std::string& topic, PartitionIndex partition,
                                const Uuid& assigned) const {
    const Loss loss = LossOf(assigned);
    if (loss == Loss::kAll && !FaultPlanted(ReplicationFault::kEmptyDiskCounts))
      return metadata::DataLoss::kAll;
    const bool unsynced = loss == Loss::kUnsynced &&
                          !FaultPlanted(ReplicationFault::kUnsyncedCounts) && !HasSynced(topic);
    return unsynced || damaged_.contains({topic, partition}) ? metadata::DataLoss::kSome
                                                             : metadata::DataLoss::kNone;
  }
  std::string Describe() const {
    const Loss loss = LossOf(Uuid());
    std::string text = loss == Loss::kAll        ? "with data lost"
                       : loss == Loss::kUnsynced ? "after a crash of its host"
                                                 : "with all its data";
    if (!damaged_.empty()) text += ", but for " + std::to_string(damaged_.size()) + " damaged logs";
    return text;
  }

 private:
  enum class Loss { kNone, kUnsynced, kAll };

  // All that was acknowledged with it.
  bool HasSynced(const std::string& topic) const {
    const std::optional<LogIndex> since = metadata::FsyncSinceOfTopic(image_, topic);
    return since.has_value() &&
           (*since <= synced_index_ || FaultPlanted(ReplicationFault::kFormerDurabilityForgotten));
  }

  Loss LossOf(const Uuid& assigned) const {
    const Uuid& directory = assigned.IsZero() ? only_directory_ : assigned;
    if (directory.IsZero()) return unassigned_;
    const auto found = losses_.find(directory);
    if (found != losses_.end()) return found->second;
    return assigned.IsZero() && !only_directory_.IsZero() ? Loss::kAll : Loss::kNone;
  }

  const Image& image_;
  LogIndex synced_index_{0};
  std::set<std::pair<std::string, PartitionIndex>> damaged_;
  std::map<Uuid, Loss> losses_;  // by directory of the new incarnation
  Uuid only_directory_;  // of the old one, which then assigned nothing; zero = it had several
  Loss unassigned_ = Loss::kNone;
};

}  // namespace

void BrokerManager::Deactivate() {
  sessions_.clear();
  log_ends_.Clear();
  full_.Clear();
}

void BrokerManager::Activate(const Image& image, int64_t now_ms) {
  Deactivate();
  activated_ms_ = now_ms;
  for (const auto& [id, broker] : image.brokers) {
    Session& session = SessionOf(id, now_ms);
    // Whoever applied this index knows that the broker is leaving, if it is.
    if (broker->in_controlled_shutdown) session.shutdown_index = image.last_index;
    if (broker->fenced) session.fence_index = image.last_index;
    session.lost_lead_index = image.last_index;
    session.behind_ms = now_ms;
    session.timeout_ms = std::max(session.timeout_ms, broker->session_timeout_ms);
  }
}

BrokerManager::Session& BrokerManager::SessionOf(NodeId broker, int64_t now_ms) {
  const auto [found, added] = sessions_.try_emplace(broker);
  if (added) {
    found->second.contact_ms = now_ms;
    found->second.timeout_ms = options_.session_timeout_ms;
  }
  return found->second;
}

bool BrokerManager::Alive(NodeId broker, int64_t now_ms) const {
  const auto session = sessions_.find(broker);
  return session != sessions_.end() && session->second.refused_ms < 0 &&
         now_ms - session->second.contact_ms < session->second.timeout_ms;
}

Decision<RegisterBrokerResponse> BrokerManager::Register(const HandleContext& context,
                                                         const RegisterBrokerRequest& request) {
  Decision<RegisterBrokerResponse> decision;
  const Image& image = *context.image;
  const NodeId id(request.broker().broker_id());
  SenderCheck check = CheckRegistration(image, request);
  const BrokerImage* before = image.FindBroker(id);
  const bool same_disk =
      before != nullptr && check.code == ErrorCode::kNone && SharesADirectory(*before, request);
  if (check.code == ErrorCode::kNone && before != nullptr && !same_disk && !before->fenced &&
      Alive(id, context.now_ms)) {
    check = {ErrorCode::kDuplicateBrokerRegistration, "broker " + std::to_string(id.value()) +
                                                          " is alive with another log directory, " +
                                                          before->directory_id.ToString()};
  }
  if (check.code != ErrorCode::kNone) {
    SetError(*decision.response.mutable_outcome(), check.code, check.message);
    return decision;
  }
  decision.response.set_cluster_id(image.cluster_id);
  if (before != nullptr && request.broker().incarnation_id() == before->incarnation_id.view()) {
    decision.response.set_broker_epoch(before->epoch.value());  // a retry
    return decision;
  }
  const LossJudge judge(context, request, before);
  if (before != nullptr) {
    LOG(INFO) << "broker " << id << " starts again " << judge.Describe();
    decision.records =
        ElectionsFor(image, {.broker = id, .active = false, .lost_data = judge, .full = &full_});
  }
  metadata::MetadataRecord record;
  *record.mutable_register_broker() = request.broker();
  record.mutable_register_broker()->set_fenced(true);
  record.mutable_register_broker()->set_session_timeout_ms(request.session_timeout_ms());
  record.mutable_register_broker()->clear_served();
  if (before != nullptr) metadata::AddServed(*before, *record.mutable_register_broker());
  KeepSynced(before, *record.mutable_register_broker());
  decision.records.push_back(std::move(record));
  decision.response.set_broker_epoch(context.index.value());

  sessions_.erase(id);
  full_.Forget(id);
  Session& session = SessionOf(id, context.now_ms);
  session.heard = true;
  if (request.session_timeout_ms() > 0)
    session.timeout_ms = std::max(options_.session_timeout_ms, request.session_timeout_ms());
  return decision;
}

Records BrokerManager::Unfence(const Image& image, NodeId broker) const {
  Records records{BrokerChange(broker, false, std::nullopt)};
  Append(records, ElectionsFor(image, {.broker = broker, .active = true, .full = &full_}));
  return records;
}

Records BrokerManager::Leave(const Image& image, NodeId broker) const {
  Records records = ElectionsFor(image, {.broker = broker, .active = false, .full = &full_});
  records.push_back(BrokerChange(broker, std::nullopt, true));
  return records;
}

BrokerManager::FenceStep BrokerManager::Fence(const Image& image, NodeId broker) {
  if (std::exchange(fenced_, broker) != broker) fence_from_ = TopicId();
  const BrokerEvent event{.broker = broker, .active = false, .full = &full_};
  PartOfElections elections = ElectionsUpTo(image, event, fence_from_, options_.fence_step_changes);
  const bool whole = fence_from_.IsZero() && elections.complete;
  fence_from_ = elections.complete ? TopicId() : elections.next;
  if (!whole) return {.records = std::move(elections.records)};
  fenced_ = kNoNode;
  FenceStep step{.records = std::move(elections.records), .last = true};
  step.records.push_back(BrokerChange(broker, true, std::nullopt));
  step.records.back().mutable_broker_change()->set_process_gone(Refused(broker));
  return step;
}

void BrokerManager::OnFenced(NodeId broker, LogIndex index) {
  sessions_[broker].fence_index = index;
  full_.Forget(broker);
}

void BrokerManager::OnLeadLost(NodeId broker, LogIndex index, int64_t now_ms) {
  const auto found = sessions_.find(broker);
  if (found == sessions_.end()) return;
  Session& session = found->second;
  if (session.applied >= session.lost_lead_index) session.behind_ms = now_ms;
  session.lost_lead_index = index;
}

bool BrokerManager::KnowsWhatItLeads(NodeId broker, int64_t now_ms) const {
  const auto found = sessions_.find(broker);
  if (found == sessions_.end()) return false;
  const Session& session = found->second;
  if (session.applied < session.fence_index) return false;
  return session.applied >= session.lost_lead_index ||
         now_ms - session.behind_ms < session.timeout_ms;
}

// Directories that failed: their replicas leave every ISR.
Records BrokerManager::DirectoriesGone(const Image& image, const BrokerImage& broker,
                                       const HeartbeatRequest& request) const {
  if (broker.log_directories.empty() || request.offline_log_dirs().empty()) return {};
  BrokerImage after = broker;
  std::erase_if(after.log_directories, [&](const Uuid& directory) {
    const auto& offline = request.offline_log_dirs();
    return std::find(offline.begin(), offline.end(), directory.view()) != offline.end();
  });
  // The last one goes with its broker.
  if (after.log_directories == broker.log_directories || after.log_directories.empty()) return {};
  LOG(WARNING) << "broker " << broker.id << " has lost "
               << broker.log_directories.size() - after.log_directories.size()
               << " of its log directories";
  Records records = ElectionsFor(
      image,
      {.broker = broker.id, .active = broker.active(), .broker_after = &after, .full = &full_});
  metadata::MetadataRecord& record = records.emplace_back();
  record.mutable_broker_change()->set_broker_id(broker.id.value());
  for (const Uuid& directory : after.log_directories) {
    record.mutable_broker_change()->mutable_log_dirs()->add_ids(std::string(directory.view()));
  }
  return records;
}

bool BrokerManager::ShutdownKnown(const Image& image, const Session& leaving, NodeId broker) const {
  return std::all_of(image.brokers.begin(), image.brokers.end(), [&](const auto& other) {
    if (other.first == broker || !other.second->active()) return true;
    const auto session = sessions_.find(other.first);
    return session != sessions_.end() && session->second.applied >= leaving.shutdown_index;
  });
}

Decision<HeartbeatResponse> BrokerManager::Heartbeat(const HandleContext& context,
                                                     const HeartbeatRequest& request) {
  Decision<HeartbeatResponse> decision;
  const Image& image = *context.image;
  const NodeId id(request.sender().node_id());
  if (const SenderCheck sender = CheckBrokerSender(image, request.sender());
      sender.code != ErrorCode::kNone) {
    SetError(*decision.response.mutable_outcome(), sender.code, sender.message);
    return decision;
  }
  if (const Status timeout = CheckSessionTimeout(request.session_timeout_ms()); !timeout.ok()) {
    SetError(*decision.response.mutable_outcome(), ErrorCode::kInvalidRequest,
             "broker " + std::to_string(id.value()) + " asks for " + timeout.message());
    return decision;
  }
  Session& session = SessionOf(id, context.now_ms);
  session.contact_ms = context.now_ms;
  session.heard = true;
  session.refused_ms = -1;
  session.applied = std::max(session.applied, LogIndex(request.applied_index()));
  if (request.session_timeout_ms() > 0)
    session.timeout_ms = std::max(options_.session_timeout_ms, request.session_timeout_ms());

  full_.Note(image, request);
  const BrokerImage& broker = *image.FindBroker(id);
  decision.records = DirectoriesGone(image, broker, request);
  if (decision.records.empty()) decision.records = ElectionsForDamaged(image, request, full_);
  log_ends_.Note(image, request);
  if (decision.records.empty()) decision.records = ElectionsForTold(image, request, log_ends_);
  if (decision.records.empty()) decision.records = Synced(image, broker, request);
  // What else there is to decide, the next heartbeat brings up.
  if (!decision.records.empty()) return decision;
  if (request.want_shutdown()) {
    if (!broker.in_controlled_shutdown) {
      if (broker.fenced) {
        decision.response.set_may_shut_down(true);  // it leads nothing and is in no ISR
        return decision;
      }
      decision.records = Leave(image, id);
      session.shutdown_index = context.index;
      return decision;
    }
    decision.response.set_may_shut_down(session.shutdown_index >= LogIndex(0) &&
                                        ShutdownKnown(image, session, id));
    return decision;
  }
  // Its applied index proves that it knows its own registration, that it was fenced, and all that
  // came before: with an older image it would go on as leader of epochs that are over.
  const bool caught_up = request.applied_index() >= broker.epoch.value() &&
                         (LogIndex(request.applied_index()) >= session.fence_index ||
                          FaultPlanted(ReplicationFault::kUnfencedEarly));
  if (broker.fenced && !broker.in_controlled_shutdown && request.ready() && caught_up)
    decision.records = Unfence(image, id);
  return decision;
}

std::optional<NodeId> BrokerManager::NextToFence(const Image& image, int64_t now_ms) {
  std::optional<NodeId> worst;
  int64_t worst_excess_ms = -1;
  for (const auto& [id, broker] : image.brokers) {
    if (broker->fenced) continue;
    const Session& session = SessionOf(id, now_ms);
    int64_t excess_ms = now_ms - session.contact_ms - session.timeout_ms;
    if (session.refused_ms >= 0)
      excess_ms = std::max(excess_ms, now_ms - session.refused_ms - options_.refused_grace_ms);
    if (excess_ms < 0 || excess_ms <= worst_excess_ms) continue;
    worst = id;
    worst_excess_ms = excess_ms;
  }
  return worst;
}

int64_t BrokerManager::DueMs(const Image& image, int64_t now_ms) {
  int64_t due_ms = std::numeric_limits<int64_t>::max();
  for (const auto& [id, broker] : image.brokers) {
    if (broker->fenced) continue;
    const Session& session = SessionOf(id, now_ms);
    due_ms = std::min(due_ms, session.contact_ms + session.timeout_ms);
    if (session.refused_ms >= 0)
      due_ms = std::min(due_ms, session.refused_ms + options_.refused_grace_ms);
    if (!broker->grpc_address.empty()) due_ms = std::min(due_ms, DialDueMs(session));
  }
  return due_ms;
}

int64_t BrokerManager::DialDueMs(const Session& session) const {
  const int64_t silent_ms = session.heard ? session.contact_ms + options_.silence_before_dial_ms
                                          : activated_ms_ + options_.takeover_before_dial_ms;
  if (session.dialed_ms < 0) return silent_ms;
  return std::max(silent_ms, session.dialed_ms + options_.dial_interval_ms);
}

void BrokerManager::Forgive(int64_t ms, int64_t now_ms) {
  for (auto& [id, session] : sessions_)
    session.contact_ms = std::min(now_ms, session.contact_ms + ms);
}

std::vector<NodeId> BrokerManager::ToDial(const Image& image, int64_t now_ms) {
  std::vector<NodeId> result;
  for (const auto& [id, broker] : image.brokers) {
    if (broker->fenced || broker->grpc_address.empty()) continue;
    Session& session = SessionOf(id, now_ms);
    if (now_ms < DialDueMs(session)) continue;
    session.dialed_ms = now_ms;
    result.push_back(id);
  }
  return result;
}

void BrokerManager::OnRefused(NodeId broker, int64_t now_ms) {
  const auto session = sessions_.find(broker);
  if (session != sessions_.end() && session->second.refused_ms < 0)
    session->second.refused_ms = now_ms;
}

bool BrokerManager::Refused(NodeId broker) const {
  const auto session = sessions_.find(broker);
  return session != sessions_.end() && session->second.refused_ms >= 0;
}

}  // namespace sluice::controller
