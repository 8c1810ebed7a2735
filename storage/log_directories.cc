#include "storage/log_directories.h"

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "base/planted_fault.h"
#include "storage/boot_id.h"
#include "storage/checkpoint_file.h"
#include "storage/meta_properties.h"

namespace sluice::storage {
namespace {

// Directories of one file system differ by what was written between two looks at it.
constexpr uint64_t kSameSpaceFraction = 100;

Status Misplaced(const std::string& directory, const TopicPartition& partition,
                 const TopicId& stored) {
  return Status::Corruption(directory + "/" + partition.ToString() + " holds the log of topic id " +
                            stored.ToString() +
                            ", a topic of another name; nothing was removed. Stop the node and "
                            "give the directory its own name back");
}

// That a directory's level went from `before` to `now`.
std::string MeaningOf(SpaceLevel before, SpaceLevel now, const SpaceMarks::Bytes& marks) {
  const std::string hard =
      "the hard mark of " + std::to_string(marks.hard) + " (disk.free.hard.bytes): ";
  const std::string soft =
      "the soft mark of " + std::to_string(marks.soft) + " (disk.free.soft.bytes): ";
  switch (now) {
    case SpaceLevel::kAmple: return "again above " + soft + "producers are slowed down no more";
    case SpaceLevel::kLow:
      return before == SpaceLevel::kFull
                 ? "again above " + hard +
                       "producers are served, and slowed down up to the soft mark of " +
                       std::to_string(marks.soft)
                 : "below " + soft +
                       "producers are slowed down, all else goes on. Give it room, or shorten the "
                       "retention of the topics in it";
    case SpaceLevel::kFull:
      return "below " + hard +
             "producers are refused with KAFKA_STORAGE_ERROR, which they retry, and its followers "
             "copy nothing; brokers with room lead and are in sync in its place, where there are "
             "enough; reads, retention and deletions go on. Give it room, or shorten the "
             "retention of the topics in it; no restart is needed as long as the node has "
             "something in reserve (space.reserve)";
  }
  return "";
}

bool Same(const TopicId& stored, const TopicId& wanted) {
  return stored.IsZero() || stored == wanted;
}

}  // namespace

Result<std::unique_ptr<LogDirectories>> LogDirectories::Open(LogDirectoriesOptions options) {
  CHECK(options.file_system != nullptr && options.clock != nullptr && options.random != nullptr);
  CHECK(!options.directories.empty());
  std::unique_ptr<LogDirectories> logs(new LogDirectories(std::move(options)));
  SLUICE_RETURN_IF_ERROR(logs->OpenAll());
  return logs;
}

LogDirectories::LogDirectories(LogDirectoriesOptions options) : options_(std::move(options)) {}

LogDirectories::~LogDirectories() = default;

Status LogDirectories::OpenAll() {
  std::set<std::string> paths;
  for (const std::string& path : options_.directories) {
    if (!paths.insert(path).second)
      return Status::InvalidArgument("log.dirs names " + path + " twice");
    directories_.push_back({std::make_shared<DirectoryState>(path), nullptr});
    states_.push_back(directories_.back().state);
  }
  std::vector<Status> outcomes;
  for (Directory& directory : directories_) {
    outcomes.push_back(Prepare(directory));
    SLUICE_RETURN_IF_ERROR(outcomes.front());
  }
  OpenPrepared(outcomes);
  for (size_t i = 0; i < directories_.size(); ++i) {
    const Directory& directory = directories_[i];
    const Status& opened = outcomes[i];
    if (opened.ok()) continue;
    // A wrong directory is the operator's mistake, a failed one only takes its replicas away.
    const bool failed = opened.code() == StatusCode::kIoError ||
                        opened.code() == StatusCode::kDiskFull ||
                        opened.code() == StatusCode::kCorruption;
    if (&directory == &directories_.front() || !failed) return opened;
    LOG(ERROR) << "log directory " << directory.state->path()
               << " is offline, and its replicas with it: " << opened.ToString();
    directory.state->PutOffline(opened);
  }
  SLUICE_RETURN_IF_ERROR(CheckDuplicates());
  NoteLoneCopies();
  RefreshSpace();
  return Status::Ok();
}

// Who the directory belongs to; one that is new is formatted for this node.
Result<DirectoryIdentity> LogDirectories::Identify(const std::string& path, bool first) const {
  SLUICE_ASSIGN_OR_RETURN(const auto found, LogManager::ReadIdentity(*options_.file_system, path));
  if (found) return *found;
  if (first) {
    return Status::NotFound(path + " is not formatted: it has no " +
                            std::string(kMetaPropertiesName));
  }
  DirectoryIdentity identity = identity_;
  identity.directory_id = Uuid::Generate(*options_.random);
  SLUICE_RETURN_IF_ERROR(LogManager::Format(*options_.file_system, path, identity));
  const std::string made = "log directory " + path + " was empty and is now formatted with id " +
                           identity.directory_id.ToString();
  const bool has_run = options_.file_system->Exists(options_.directories.front() + "/" +
                                                    kRecoveryPointCheckpointName);
  if (!has_run) {
    LOG(INFO) << made;
    return identity;
  }
  // A disk that is not mounted looks just so.
  LOG(WARNING)
      << made << ", although this node has run before. If it is new in log.dirs all is "
      << "well. If a disk belongs there that is not mounted: stop the node now, remove " << path
      << "/" << kMetaPropertiesName
      << ", mount the disk and start the node; otherwise its replicas are copied again from "
         "the others, and begin empty where there are none";
  return identity;
}

// Disks recover side by side.
void LogDirectories::OpenPrepared(std::vector<Status>& outcomes) {
  std::vector<std::thread> helpers;
  for (size_t i = 0; i < directories_.size(); ++i) {
    if (!outcomes[i].ok()) continue;
    const auto open = [this, i, &outcomes] { outcomes[i] = OpenOne(directories_[i]); };
    // One thread: the simulator wants the same order each time.
    if (options_.recovery_threads == 1)
      open();
    else
      helpers.emplace_back(open);
  }
  for (std::thread& helper : helpers) helper.join();
}

// Everything but opening the logs.
Status LogDirectories::Prepare(Directory& directory) {
  const bool first = &directory == &directories_.front();
  const std::string& path = directory.state->path();
  SLUICE_ASSIGN_OR_RETURN(const DirectoryIdentity identity, Identify(path, first));
  if (first) identity_ = identity;
  if (identity.cluster_id != identity_.cluster_id || identity.node_id != identity_.node_id) {
    return Status::InvalidArgument(
        path + " belongs to node " + std::to_string(identity.node_id.value()) + " of cluster " +
        identity.cluster_id + ", but " + options_.directories[0] + " to node " +
        std::to_string(identity_.node_id.value()) + " of cluster " + identity_.cluster_id);
  }
  for (const DirectoryPtr& other : states_) {
    if (other != directory.state && other->id() == identity.directory_id) {
      return Status::InvalidArgument(path + " and " + other->path() + " have the same id, " +
                                     identity.directory_id.ToString() +
                                     ": one is a copy of the other");
    }
  }
  directory.state->Identify(identity.directory_id);
  return Status::Ok();
}

Status LogDirectories::OpenOne(Directory& directory) {
  const std::string& path = directory.state->path();
  LogManagerOptions options;
  options.directory = path;
  options.file_system = options_.file_system;
  options.clock = options_.clock;
  options.config = options_.config;
  options.recovery_threads = options_.recovery_threads;
  options.logs_to_recover = options_.logs_to_recover;
  options.host_restarted = HostRestarted(*options_.file_system, path, options_.boot_id);
  options.taken_over = TakenOver(*options_.file_system, path);
  options.run_later = options_.run_later;
  SLUICE_ASSIGN_OR_RETURN(directory.manager, LogManager::Open(std::move(options)));
  // A log that did not open, for want of room too, was not read since the power was cut.
  if (directory.manager->read_whole()) KeepBootId(*options_.file_system, path, options_.boot_id);
  directory.state->PutOnline(directory.manager->last_shutdown());
  return Status::Ok();
}

Status LogDirectories::CheckDuplicates() {
  std::map<TopicPartition, const Directory*> found;
  for (const Directory& directory : directories_) {
    if (!Online(directory)) continue;
    std::vector<TopicPartition> names = directory.manager->Partitions();
    for (const auto& [name, damage] : directory.manager->DamagedLogs()) names.push_back(name);
    for (const TopicPartition& name : names) {
      const auto [other, added] = found.emplace(name, &directory);
      if (added) continue;
      const TopicId here = directory.manager->TopicIdOf(name);
      const TopicId there = other->second->manager->TopicIdOf(name);
      // A topic that was deleted and made again while one of its directories was away: the image
      // tells which is the old one.
      if (!here.IsZero() && !there.IsZero() && here != there) continue;
      SLUICE_ASSIGN_OR_RETURN(const bool settled, RemoveOlder(name, other->second, directory));
      if (settled) continue;
      return Status::InvalidArgument("two log directories hold " + name.ToString() + ": " +
                                     other->second->state->path() + "/" + name.ToString() +
                                     " and " + directory.state->path() + "/" + name.ToString() +
                                     "; move away the one that is not to be used");
    }
  }
  return Status::Ok();
}

std::vector<Uuid> LogDirectories::OnlineIds() const {
  std::vector<Uuid> ids;
  for (const DirectoryPtr& state : states_) {
    if (state->online()) ids.push_back(state->id());
  }
  return ids;
}

std::map<TopicPartition, Status> LogDirectories::DamagedLogs() const {
  std::map<TopicPartition, Status> damaged;
  for (const Directory& directory : directories_) {
    if (Online(directory)) damaged.merge(directory.manager->DamagedLogs());
  }
  return damaged;
}

std::set<TopicPartition> LogDirectories::MissingLogs() const {
  std::set<TopicPartition> missing;
  for (const Directory& directory : directories_) {
    if (Online(directory)) missing.merge(std::set(directory.manager->MissingLogs()));
  }
  std::erase_if(missing, [this](const TopicPartition& partition) {
    return std::any_of(directories_.begin(), directories_.end(), [&](const Directory& directory) {
      return Online(directory) && directory.manager->Holds(partition);
    });
  });
  return missing;
}

std::vector<TopicPartition> LogDirectories::Partitions() const {
  std::set<TopicPartition> partitions;
  for (const Directory& directory : directories_) {
    if (!Online(directory)) continue;
    for (TopicPartition& partition : directory.manager->Partitions())
      partitions.insert(std::move(partition));
  }
  return {partitions.begin(), partitions.end()};
}

const LogDirectories::Directory* LogDirectories::Holder(const TopicPartition& partition) const {
  for (const Directory& directory : directories_) {
    if (Online(directory) && directory.manager->Holds(partition)) return &directory;
  }
  return nullptr;
}

std::shared_ptr<Log> LogDirectories::Find(const TopicPartition& partition) const {
  const Directory* holder = Holder(partition);
  return holder == nullptr ? nullptr : holder->manager->Find(partition);
}

DirectoryPtr LogDirectories::DirectoryOf(const TopicPartition& partition) const {
  const Directory* holder = Holder(partition);
  return holder == nullptr ? nullptr : holder->state;
}

Status LogDirectories::SetAside(const Directory& directory, const TopicPartition& partition,
                                const std::string& why) {
  const TopicId stored = directory.manager->TopicIdOf(partition);
  SLUICE_ASSIGN_OR_RETURN(const std::string renamed, directory.manager->SetAside(partition));
  LOG(WARNING) << directory.state->path() << "/" << partition.ToString() << " of topic id "
               << stored << " is set aside as " << renamed << ": " << why
               << ". Nobody reads or removes it. Remove it by hand where its records are not "
                  "wanted; to have them served, stop the node and give it the old name back once "
                  "the metadata has that topic, with that id, on this node";
  return Status::Ok();
}

Status LogDirectories::SetOtherTopicsAside(const ReplicaSpec& spec) {
  for (const Directory& directory : directories_) {
    if (!Online(directory) || !directory.manager->Holds(spec.partition)) continue;
    const TopicId stored = directory.manager->TopicIdOf(spec.partition);
    if (Same(stored, spec.topic_id) || FaultPlanted(ReplicationFault::kOldLogKept)) continue;
    if (!spec.may_remove(stored)) return Misplaced(directory.state->path(), spec.partition, stored);
    const Status renamed =
        SetAside(directory, spec.partition,
                 "the topic of that name has another id, " + spec.topic_id.ToString());
    LOG_IF(ERROR, !renamed.ok()) << "setting " << spec.partition.ToString()
                                 << " aside: " << renamed.ToString();
  }
  return Status::Ok();
}

PlacedLog LogDirectories::GetOrCreate(const ReplicaSpec& spec) {
  const Status others = SetOtherTopicsAside(spec);
  const Directory* directory = Holder(spec.partition);
  // The directory may have failed just now.
  if (!others.ok()) return {directory == nullptr ? nullptr : directory->state, others};
  const Directory* const told = directory == nullptr ? nullptr : WithId(spec.directory);
  // It may have moved there: then the log that was found is an old one.
  if (told != nullptr && told != directory && !Online(*told)) {
    return {nullptr,
            Status::Unavailable("its log directory " + told->state->path() +
                                " is offline, and what lies in " + directory->state->path() +
                                " may be older: it serves once " + told->state->path() +
                                " is back, or is taken out of log.dirs")};
  }
  const bool broken_off = told != nullptr && told != directory &&
                          told->manager->HoldsAbandonedFuture(spec.partition, spec.topic_id);
  if (directory == nullptr) {
    const Result<const Directory*> chosen = Choose(spec);
    if (!chosen.ok()) return Unplaced(spec, chosen.status());
    directory = *chosen;
    if (PlacedLog held_up = SettleDepartures(spec.partition, *directory); held_up.directory)
      return held_up;
  }
  PlacedLog placed{directory->state,
                   directory->manager->GetOrCreate(spec.partition, spec.topic_id, spec.config)};
  placed.move_broken_off = broken_off;
  return placed;
}

// What another directory had under that name is gone for good before the new log can be durable:
// after a power cut there would be two logs of one partition, and no start. With a directory where
// that was not achieved.
PlacedLog LogDirectories::SettleDepartures(const TopicPartition& partition,
                                           const Directory& target) const {
  for (const Directory& directory : directories_) {
    if (directory.manager == nullptr || &directory == &target) continue;
    Status settled = directory.manager->SettleDeparture(partition);
    if (settled.ok()) continue;
    return {directory.state, std::move(settled)};
  }
  return {};
}

// No directory online has it.
Result<const LogDirectories::Directory*> LogDirectories::Choose(const ReplicaSpec& spec) {
  bool any_offline = false;
  for (const Directory& directory : directories_) {
    const bool online = Online(directory);
    any_offline = any_offline || !online;
    if (spec.directory.IsZero() || spec.directory != directory.state->id()) continue;
    if (online && MovesHere(spec, directory)) continue;
    if (online) return &directory;
    return Status::Unavailable("its log directory " + directory.state->path() +
                               " is offline: " + directory.state->failure());
  }
  if (spec.is_new || !any_offline) return DirectoryForNew(spec.partition);
  for (const Directory& directory : directories_) {
    // It was about to move here, and had not yet: it is where it was.
    if (Online(directory) && MovesHere(spec, directory))
      return Status::Unavailable("a log directory is offline that it was about to leave");
  }
  // It may be in the one that is away: metadata that names no directory, or one that is not known
  // here, proves nothing while a directory could not even be asked for its id.
  const bool all_known = std::all_of(states_.begin(), states_.end(), [](const DirectoryPtr& state) {
    return !state->id().IsZero();
  });
  if (!spec.directory.IsZero() && all_known) return DirectoryForNew(spec.partition);
  return Status::Unavailable("a log directory is offline that may hold it");
}

Result<const LogDirectories::Directory*> LogDirectories::DirectoryWithMostSpace() const {
  uint64_t most_bytes = 0;
  for (const Directory& directory : directories_) {
    if (Online(directory)) most_bytes = std::max(most_bytes, directory.state->free_bytes());
  }
  const Directory* best = nullptr;
  size_t fewest = 0;
  for (const Directory& directory : directories_) {
    const uint64_t free_bytes = directory.state->free_bytes();
    if (!Online(directory) || free_bytes < most_bytes - most_bytes / kSameSpaceFraction) continue;
    const size_t count = directory.manager->LogCount();
    if (best != nullptr && count >= fewest) continue;
    best = &directory;
    fewest = count;
  }
  if (best == nullptr) return Status::Unavailable("no log directory is online");
  return best;
}

Status LogDirectories::Delete(const TopicPartition& partition, const MayRemove& may_remove) {
  Status outcome = Status::NotFound("no log directory online has " + partition.ToString());
  for (const Directory& directory : directories_) {
    if (!Online(directory) || !directory.manager->Holds(partition)) continue;
    const TopicId stored = directory.manager->TopicIdOf(partition);
    outcome = may_remove(stored) ? directory.manager->Delete(partition)
                                 : Misplaced(directory.state->path(), partition, stored);
  }
  return outcome;
}

Status LogDirectories::SetAside(const TopicPartition& partition, const MayRemove& may_remove,
                                const std::string& why) {
  Status outcome = Status::NotFound("no log directory online has " + partition.ToString());
  for (const Directory& directory : directories_) {
    if (!Online(directory) || !directory.manager->Holds(partition)) continue;
    const TopicId stored = directory.manager->TopicIdOf(partition);
    outcome = may_remove(stored) ? SetAside(directory, partition, why)
                                 : Misplaced(directory.state->path(), partition, stored);
  }
  return outcome;
}

bool LogDirectories::PutOffline(const DirectoryPtr& directory, const Status& why) {
  for (const Directory& own : directories_) {
    if (own.state != directory) continue;
    if (!own.state->PutOffline(why)) return false;
    LOG(ERROR) << "log directory " << own.state->path()
               << " has failed, and is offline until the next start: " << why.ToString();
    return true;
  }
  return false;
}

bool LogDirectories::AnyOnline() const {
  return std::any_of(states_.begin(), states_.end(),
                     [](const DirectoryPtr& state) { return state->online(); });
}

std::vector<DirectoryPtr> LogDirectories::RefreshSpace() {
  std::vector<DirectoryPtr> gone;
  for (Directory& directory : directories_) {
    if (!Online(directory)) continue;
    DirectoryState& state = *directory.state;
    const auto space = options_.file_system->Space(state.path());
    if (space.status().code() == StatusCode::kNotFound) {
      gone.push_back(directory.state);
      continue;
    }
    if (!space.ok()) {
      // What was known stays: a disk that is really gone says so at the next write.
      LOG(WARNING) << "free space: " << space.status().message();
      continue;
    }
    state.SetSpace(*space, options_.marks);
    const SpaceLevel now = state.counts_as_full() ? SpaceLevel::kFull : state.level();
    const SpaceLevel before = std::exchange(directory.told_level, now);
    if (directory.told_level == before) continue;
    LOG(WARNING) << "log directory " << state.path() << " has " << space->free_bytes
                 << " bytes free, "
                 << MeaningOf(before, directory.told_level, options_.marks.Of(space->total_bytes));
  }
  return gone;
}

std::optional<Offset> LogDirectories::CheckpointedHighWatermark(
    const TopicPartition& partition) const {
  const Directory* holder = Holder(partition);
  return holder == nullptr ? std::nullopt : holder->manager->CheckpointedHighWatermark(partition);
}

std::optional<Offset> LogDirectories::CleanedUpto(const TopicPartition& partition) const {
  const Directory* holder = Holder(partition);
  return holder == nullptr ? std::nullopt : holder->manager->CleanedUpto(partition);
}

Status LogDirectories::SetCleanedUpto(const TopicPartition& partition, Offset offset) {
  const Directory* holder = Holder(partition);
  if (holder == nullptr) return Status::Unavailable(partition.ToString() + " is not here any more");
  return holder->manager->SetCleanedUpto(partition, offset);
}

std::vector<LogDirectories::Failure> LogDirectories::WriteCheckpoints(
    const std::map<TopicPartition, Offset>& high_watermarks) {
  std::vector<Failure> failures;
  for (const Directory& directory : directories_) {
    if (!Online(directory)) continue;
    Status written = directory.manager->WriteCheckpoints(high_watermarks);
    if (!written.ok()) failures.push_back({directory.state, std::move(written)});
  }
  return failures;
}

std::vector<LogDirectories::Failure> LogDirectories::KeepBrokerEpoch(BrokerEpoch epoch) {
  std::vector<Failure> failures;
  for (const Directory& directory : directories_) {
    if (!Online(directory)) continue;
    Status kept = directory.manager->KeepBrokerEpoch(epoch);
    if (!kept.ok()) failures.push_back({directory.state, std::move(kept)});
  }
  return failures;
}

Status LogDirectories::CloseCleanly(
    const std::map<TopicPartition, Offset>& high_watermarks,
    const std::function<std::optional<BrokerEpoch>(const DirectoryState&)>& epoch) {
  Status outcome;
  for (const Directory& directory : directories_) {
    if (!Online(directory)) continue;
    Status closed = directory.manager->CloseCleanly(high_watermarks, epoch(*directory.state));
    if (!closed.ok() && outcome.ok()) outcome = std::move(closed);
  }
  return outcome;
}

}  // namespace sluice::storage
