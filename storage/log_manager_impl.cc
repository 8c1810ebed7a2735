#include "storage/log_manager_impl.h"

#include <algorithm>
#include <thread>

#include "base/planted_fault.h"
#include "storage/broker_epoch_file.h"
#include "storage/file_names.h"
#include "storage/log_directory.h"
#include "storage/meta_properties.h"
#include "storage/partition_metadata.h"
#include "storage/shutdown_marker.h"

namespace sluice::storage {
namespace {

constexpr char kLockName[] = ".lock";
constexpr int64_t kProgressIntervalMs = 3000;

std::string AfterWhat(const ShutdownState& last) {
  if (last.clean) return "a clean stop";
  if (last.why_unclean.empty()) return "a crash";
  return "a stop that could not vouch for them (" + last.why_unclean + ")";
}

// Its name, and those of parents made for it, as durable as what is synced in it: else a power cut
// may leave the disk without the directory, and the next start makes an empty one.
Status CreateDurably(FileSystem& fs, const std::string& directory) {
  std::vector<std::string> parents;  // of what is made
  for (std::string path = directory; !fs.Exists(path); path = parents.back()) {
    const size_t slash = path.find_last_of('/');
    if (slash == std::string::npos)
      parents.emplace_back(".");
    else
      parents.push_back(slash == 0 ? "/" : path.substr(0, slash));
  }
  SLUICE_RETURN_IF_ERROR(fs.CreateDirectories(directory));
  for (const std::string& parent : parents) SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(parent));
  return Status::Ok();
}

}  // namespace

Result<std::optional<DirectoryIdentity>> LogManager::ReadIdentity(FileSystem& fs,
                                                                  const std::string& directory) {
  const std::string path = directory + "/" + kMetaPropertiesName;
  if (!fs.Exists(path)) return std::optional<DirectoryIdentity>();
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path));
  auto identity = ParseMetaProperties(text);
  if (!identity.ok())
    return Status(identity.status().code(), directory + ": " + identity.status().message());
  return std::optional(*identity);
}

Status LogManager::CheckFormattable(FileSystem& fs, const std::string& directory) {
  const std::string path = directory + "/" + kMetaPropertiesName;
  if (fs.Exists(path))
    return Status::AlreadyExists(directory + " is formatted already: " + path + " exists");
  if (!fs.IsDirectory(directory)) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(directory));
  for (const std::string& name : names) {
    const auto partition = ParseDirectoryName(name);
    if (!partition || partition->topic == kMetadataTopic) continue;
    return Status::Corruption(directory + " holds the partition " + name + " but no " +
                              kMetaPropertiesName + ", which says whose it is");
  }
  return Status::Ok();
}

Status LogManager::Format(FileSystem& fs, const std::string& directory,
                          const DirectoryIdentity& identity) {
  SLUICE_RETURN_IF_ERROR(CheckFormattable(fs, directory));
  SLUICE_RETURN_IF_ERROR(CreateDurably(fs, directory));
  return WriteFileAtomically(fs, directory + "/" + kMetaPropertiesName,
                             FormatMetaProperties(identity));
}

Result<std::unique_ptr<LogManager>> LogManager::Open(LogManagerOptions options) {
  CHECK(options.file_system != nullptr && options.clock != nullptr);
  FileSystem& fs = *options.file_system;
  SLUICE_ASSIGN_OR_RETURN(const auto identity, ReadIdentity(fs, options.directory));
  if (!identity) {
    return Status::NotFound(options.directory + " is not formatted: it has no " +
                            std::string(kMetaPropertiesName));
  }
  auto lock = fs.Lock(options.directory + "/" + kLockName);
  if (!lock.ok()) {
    return Status(lock.status().code(), "log directory " + options.directory +
                                            " cannot be locked: " + lock.status().message());
  }
  auto manager = std::make_unique<LogManagerImpl>(std::move(options), *identity, std::move(*lock));
  SLUICE_RETURN_IF_ERROR(manager->OpenLogs());
  return std::unique_ptr<LogManager>(std::move(manager));
}

LogManagerImpl::LogManagerImpl(LogManagerOptions options, DirectoryIdentity identity,
                               std::unique_ptr<FileLock> lock)
    : options_(std::move(options)),
      identity_(std::move(identity)),
      lock_(std::move(lock)),
      files_(std::make_shared<FileCache>(*options_.file_system, options_.open_files_max)),
      checkpoints_(*options_.file_system, options_.directory) {}

Status LogManagerImpl::OpenLogs() {
  SLUICE_ASSIGN_OR_RETURN(whole_, fs().OpenWhole(options_.directory));
  // Before the marker goes: where they cannot be read, this was no start.
  SLUICE_RETURN_IF_ERROR(checkpoints_.Read());
  SLUICE_ASSIGN_OR_RETURN(const int64_t kept_epoch, ReadBrokerEpoch(fs(), options_.directory));
  SLUICE_ASSIGN_OR_RETURN(last_shutdown_, TakeShutdownMarker(fs(), options_.directory));
  last_shutdown_.kept_epoch = kept_epoch;
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs().List(options_.directory));
  // A process that was killed may have taken names away moments before, and did not live to sync
  // that: they must not come back beside a log that takes one of them in another directory.
  const bool any_retired = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.ends_with(kDeleteSuffix) || name.ends_with(kStraySuffix);
  });
  if (any_retired && !last_shutdown_.clean)
    SLUICE_RETURN_IF_ERROR(fs().SyncDirectory(options_.directory));
  std::vector<TopicPartition> found;
  for (const std::string& name : names) {
    const std::string path = options_.directory + "/" + name;
    if (!fs().IsDirectory(path)) continue;
    if (IsDeletedDirectoryName(name)) {
      RemoveDirectoryLater(path);
      continue;
    }
    if (const auto moving = ParseFutureDirectoryName(name)) {
      NoteAbandoned(*moving, path);
      continue;
    }
    // The controller's log may share the directory; it is the quorum's, not a partition's.
    const auto partition = ParseDirectoryName(name);
    if (partition && partition->topic != kMetadataTopic) found.push_back(*partition);
  }
  missing_ = checkpoints_.WithRecords();
  std::erase_if(missing_, [](const auto& log) { return log.topic == kMetadataTopic; });
  for (const TopicPartition& partition : found) missing_.erase(partition);
  OpenAll(found);
  if (const Status settled = SettleGaps(); !settled.ok()) {
    LOG(WARNING) << options_.directory << ": " << settled.ToString();
    gaps_settled_ = false;
  }
  return Status::Ok();
}

// A gap that was believed is one for good once it lies below a recovery point. Left above it, the
// next start, of a directory that is no longer new, would take it for a torn tail of ours.
Status LogManagerImpl::SettleGaps() {
  bool any = false;
  for (const auto& [partition, hosted] : logs_) {
    if (!hosted.log->recovery().gaps_left) continue;
    const FlushTarget target = hosted.log->PrepareFlush();
    const Status outcome = target.Run();
    hosted.log->OnFlushed(target.upto, outcome);
    SLUICE_RETURN_IF_ERROR(outcome);
    any = true;
  }
  return any ? WriteCheckpoints({}) : Status::Ok();
}

bool LogManagerImpl::read_whole() const {
  std::lock_guard lock(mutex_);
  return damaged_.empty() && gaps_settled_;
}

void LogManagerImpl::OpenAll(const std::vector<TopicPartition>& found) {
  if (options_.logs_to_recover != nullptr)
    options_.logs_to_recover->fetch_add(static_cast<int64_t>(found.size()));
  const int64_t start_ms = options_.clock->SteadyMs();
  OpeningProgress progress;
  progress.total = found.size();
  progress.next_report_ms = start_ms + kProgressIntervalMs;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < found.size(); i = next++)
      NoteOpened(found[i], OpenFound(found[i]), progress);
  };
  std::vector<std::thread> helpers;
  const size_t threads = std::min<size_t>(std::max(options_.recovery_threads, 1), found.size());
  for (size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
  LOG_IF(INFO, !found.empty()) << options_.directory << ": opened " << found.size()
                               << " logs after " << AfterWhat(last_shutdown_) << " in "
                               << options_.clock->SteadyMs() - start_ms << " ms, checked "
                               << progress.checked_bytes << " bytes";
}

void LogManagerImpl::NoteOpened(const TopicPartition& partition, Result<Hosted> hosted,
                                OpeningProgress& progress) {
  const int64_t now_ms = options_.clock->SteadyMs();
  if (options_.logs_to_recover != nullptr) options_.logs_to_recover->fetch_sub(1);
  std::lock_guard lock(mutex_);
  ++progress.done;
  if (hosted.ok() && hosted->log != nullptr) {
    progress.checked_bytes += hosted->log->recovery().checked_bytes;
    logs_[partition] = std::move(*hosted);
  } else if (!hosted.ok()) {
    LOG(ERROR) << "partition " << partition.ToString()
               << " is out of service: " << hosted.status().ToString();
    damaged_[partition] = hosted.status();
  }
  if (now_ms < progress.next_report_ms) return;
  progress.next_report_ms = now_ms + kProgressIntervalMs;
  LOG(INFO) << options_.directory << ": opened " << progress.done << " of " << progress.total
            << " logs, checked " << progress.checked_bytes << " bytes";
}

LogOptions LogManagerImpl::OptionsFor(const TopicPartition& partition, TopicId topic_id,
                                      const LogConfig& config) {
  LogOptions options;
  options.directory = PathOf(partition);
  options.topic_id = topic_id;
  options.config = config;
  options.file_system = options_.file_system;
  options.clock = options_.clock;
  options.files = files_;
  options.cut_unsynced_damage = options_.host_restarted;
  options.host_stayed_up = !options_.host_restarted;
  options.taken_over = options_.taken_over;
  options.checked_tail_bytes = options_.checked_tail_bytes;
  options.lower_recovery_point = [this, partition](Offset offset) {
    return checkpoints_.Lower(partition, offset);
  };
  options.run_later = [this](std::function<void()> task) { RunLater(std::move(task)); };
  return options;
}

// Zero where none was written.
Result<TopicId> LogManagerImpl::StoredTopicId(const std::string& directory) const {
  const std::string path = directory + "/" + kPartitionMetadataName;
  if (!fs().Exists(path)) return TopicId();
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs(), path));
  if (PartitionMetadataIsBlank(text)) return TopicId();
  return ParsePartitionMetadata(text);
}

// A log whose topic's id a power cut has taken may be that of a topic which was deleted and made
// again since; adopted by the new one, its records would pass for what that one holds at these
// offsets. A flush syncs the id before the records, but the page cache writes records back on its
// own, at any time, and one sync of the whole file system has no order. So there is such a log only
// where no flush of it ever came to its end. To give it up costs nothing that was promised:
//   - durability=fsync: nothing of it was acknowledged by this replica, or counted as replicated,
//   before its first flush had ended;
//   - durability=replicated: records that only this host's memory had may have been. With the other
//   boot id the controllers take the replica out of the ISR and the eligible ones all the same, and
//   it copies what the others have. Where no other has it, the bytes are there under another name.
// A log has kept its id, or never had one (Kafka before 2.8, whose logs were taken over), where the
// host stayed up, where all was synced by a clean stop, or by the flush that a recovery point tells
// of: then the id that the metadata has is adopted.
bool LogManagerImpl::NeverFlushed(const TopicPartition& partition) const {
  return options_.host_restarted && !options_.taken_over && !last_shutdown_.clean &&
         checkpoints_.RecoveryPoint(partition).value_or(Offset(0)) == Offset(0);
}

// Of a log that NeverFlushed, and has no id.
Status LogManagerImpl::PutAway(const TopicPartition& partition) {
  const std::string path = PathOf(partition);
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs().List(path));
  uint64_t size_bytes = 0;
  for (const std::string& name : names) {
    if (ClassifyFile(name).kind != DirectoryEntry::Kind::kLog) continue;
    SLUICE_ASSIGN_OR_RETURN(const uint64_t size, fs().FileSize(path + "/" + name));
    size_bytes += size;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string renamed,
                          Retire(partition, size_bytes == 0 ? kDeleteSuffix : kStraySuffix));
  if (size_bytes == 0) {
    RemoveDirectoryLater(renamed, partition);
    return Status::Ok();
  }
  LOG(WARNING) << path << " is set aside as " << renamed << ": a power cut took "
               << kPartitionMetadataName << ", which says whose its " << size_bytes
               << " bytes are, before they were synced for the first time. The replica begins "
                  "empty and copies from the others. Remove it by hand where no other has more";
  return Status::Ok();
}

// Without a log where it was put away.
Result<LogManagerImpl::Hosted> LogManagerImpl::OpenFound(const TopicPartition& partition) {
  LogOptions options = OptionsFor(partition, TopicId(), options_.config);
  options.recovery_point = checkpoints_.RecoveryPoint(partition).value_or(Offset(0));
  options.log_start_offset = checkpoints_.LogStart(partition);
  options.cleaned_upto = checkpoints_.Cleaned(partition).value_or(Offset(0));
  options.damaged_at = checkpoints_.DamagedAt(partition);
  options.clean = last_shutdown_.clean;
  SLUICE_ASSIGN_OR_RETURN(options.topic_id, StoredTopicId(PathOf(partition)));
  const TopicId topic_id = options.topic_id;
  if (topic_id.IsZero() && NeverFlushed(partition) &&
      !FaultPlanted(ReplicationFault::kNobodysLogKept)) {
    SLUICE_RETURN_IF_ERROR(PutAway(partition));
    return Hosted();
  }
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<Log> log, Log::Open(std::move(options)));
  return Hosted{std::move(log), topic_id};
}

std::map<TopicPartition, Status> LogManagerImpl::DamagedLogs() const {
  std::lock_guard lock(mutex_);
  return damaged_;
}

std::vector<TopicPartition> LogManagerImpl::Partitions() const {
  std::lock_guard lock(mutex_);
  std::vector<TopicPartition> partitions;
  for (const auto& [partition, hosted] : logs_) partitions.push_back(partition);
  return partitions;
}

size_t LogManagerImpl::LogCount() const {
  std::lock_guard lock(mutex_);
  return logs_.size();
}

bool LogManagerImpl::Holds(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  return logs_.contains(partition) || damaged_.contains(partition);
}

LogManagerImpl::Claim::Claim(LogManagerImpl& manager, TopicPartition partition)
    : manager_(manager), partition_(std::move(partition)) {
  std::unique_lock lock(manager_.mutex_);
  manager_.idle_.wait(lock, [this] { return manager_.busy_.insert(partition_).second; });
}

LogManagerImpl::Claim::~Claim() {
  std::lock_guard lock(manager_.mutex_);
  manager_.busy_.erase(partition_);
  manager_.idle_.notify_all();
}

// Why the log cannot be used; one that the disk had no room to open is tried again.
Status LogManagerImpl::CheckDamaged(const TopicPartition& partition) {
  {
    std::lock_guard lock(mutex_);
    const auto damaged = damaged_.find(partition);
    if (damaged == damaged_.end()) return Status::Ok();
    if (damaged->second.code() != StatusCode::kDiskFull) return damaged->second;
  }
  SLUICE_ASSIGN_OR_RETURN(Hosted hosted, OpenFound(partition));
  std::lock_guard lock(mutex_);
  damaged_.erase(partition);
  if (hosted.log != nullptr) logs_[partition] = std::move(hosted);
  return Status::Ok();
}

// Of a log that an older Kafka wrote, or whose file was removed by hand: see NeverFlushed.
Status LogManagerImpl::AdoptTopicId(const TopicPartition& partition, TopicId topic_id) {
  SLUICE_RETURN_IF_ERROR(WriteFileAtomically(fs(), PathOf(partition) + "/" + kPartitionMetadataName,
                                             FormatPartitionMetadata(topic_id)));
  std::lock_guard lock(mutex_);
  logs_[partition].topic_id = topic_id;
  return Status::Ok();
}

Result<std::shared_ptr<Log>> LogManagerImpl::GetOrCreate(const TopicPartition& partition,
                                                         TopicId topic_id,
                                                         const LogConfig& config) {
  const Claim claim(*this, partition);
  SLUICE_RETURN_IF_ERROR(CheckDamaged(partition));
  Hosted hosted;
  {
    std::lock_guard lock(mutex_);
    if (const auto found = logs_.find(partition); found != logs_.end()) hosted = found->second;
  }
  if (hosted.log != nullptr) {
    if (hosted.topic_id.IsZero()) {
      SLUICE_RETURN_IF_ERROR(AdoptTopicId(partition, topic_id));
      hosted.topic_id = topic_id;
    }
    if (hosted.topic_id != topic_id && !FaultPlanted(ReplicationFault::kOldLogKept)) {
      return Status::Fenced(PathOf(partition) + " belongs to topic id " +
                            hosted.topic_id.ToString() + ", not to " + topic_id.ToString());
    }
    hosted.log->set_config(config);
    return hosted.log;
  }
  // Checkpoints of an older partition of this name would make the new one look damaged after a
  // crash.
  SLUICE_RETURN_IF_ERROR(checkpoints_.Forget(partition));
  const bool existed = fs().Exists(PathOf(partition));
  auto opened = Log::Open(OptionsFor(partition, topic_id, config));
  if (!opened.ok()) {
    // Half a directory, for want of room perhaps, must not be found by the next start.
    if (!existed) (void)fs().RemoveAll(PathOf(partition));
    return opened.status();
  }
  std::shared_ptr<Log> log = *std::move(opened);
  std::lock_guard lock(mutex_);
  logs_[partition] = {log, topic_id};
  return log;
}

std::shared_ptr<Log> LogManagerImpl::Find(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  const auto found = logs_.find(partition);
  return found == logs_.end() ? nullptr : found->second.log;
}

TopicId LogManagerImpl::TopicIdOf(const TopicPartition& partition) const {
  std::lock_guard lock(mutex_);
  const auto found = logs_.find(partition);
  if (found != logs_.end()) return found->second.topic_id;
  if (!damaged_.contains(partition)) return TopicId();
  const Result<TopicId> stored = StoredTopicId(PathOf(partition));
  return stored.ok() ? *stored : TopicId();
}

std::string LogManagerImpl::FreePath(const TopicPartition& partition, std::string_view suffix) {
  std::string path;
  do {
    path = options_.directory + "/" +
           RetiredDirectoryName(partition, suffix, options_.clock->WallMs(), next_deletion_++);
  } while (fs().Exists(path));
  return path;
}

Result<std::string> LogManagerImpl::Retire(const TopicPartition& partition,
                                           std::string_view suffix) {
  std::string target = FreePath(partition, suffix);
  SLUICE_RETURN_IF_ERROR(fs().Rename(PathOf(partition), target));
  departures_->Add(partition, target);
  return target;
}

Result<std::string> LogManagerImpl::RenameAway(const TopicPartition& partition,
                                               std::string_view suffix) {
  const Claim claim(*this, partition);
  if (!Holds(partition))
    return Status::NotFound(options_.directory + " has no partition " + partition.ToString());
  // While the rename can fail the log stays known, and can be deleted again.
  SLUICE_ASSIGN_OR_RETURN(std::string target, Retire(partition, suffix));
  std::lock_guard lock(mutex_);
  logs_.erase(partition);
  damaged_.erase(partition);
  deleted_.insert(partition);
  return target;
}

Status LogManagerImpl::Delete(const TopicPartition& partition) {
  SLUICE_ASSIGN_OR_RETURN(const std::string renamed, RenameAway(partition, kDeleteSuffix));
  RemoveDirectoryLater(renamed, partition);
  return Status::Ok();
}

Result<std::string> LogManagerImpl::SetAside(const TopicPartition& partition) {
  return RenameAway(partition, kStraySuffix);
}

void LogManagerImpl::RunLater(std::function<void()> task) {
  if (options_.run_later)
    options_.run_later(std::move(task));
  else
    worker_.Post(std::move(task));
}

void LogManagerImpl::Departures::Add(const TopicPartition& partition, const std::string& path) {
  std::lock_guard lock(mutex);
  unsynced[partition] = path;
}

std::optional<std::string> LogManagerImpl::Departures::Find(const TopicPartition& partition) {
  std::lock_guard lock(mutex);
  const auto found = unsynced.find(partition);
  return found == unsynced.end() ? std::nullopt : std::optional(found->second);
}

// The directory was synced after the name had become `path`.
void LogManagerImpl::Departures::Settle(const TopicPartition& partition, const std::string& path) {
  std::lock_guard lock(mutex);
  const auto found = unsynced.find(partition);
  if (found != unsynced.end() && found->second == path) unsynced.erase(found);
}

Status LogManagerImpl::SettleDeparture(const TopicPartition& partition) {
  const std::optional<std::string> path = departures_->Find(partition);
  if (!path) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(fs().SyncDirectory(options_.directory));
  departures_->Settle(partition, *path);
  return Status::Ok();
}

void LogManagerImpl::RemoveDirectoryLater(const std::string& path,
                                          const std::optional<TopicPartition>& partition) {
  RunLater([files = options_.file_system, directory = options_.directory, path, partition,
            departures = departures_] {
    // First the name: if a power cut brought the old one back and not the segments that had been
    // removed, that would be a log that starts later than it does. What stays is removed at the
    // next start.
    Status removed = files->SyncDirectory(directory);
    if (removed.ok() && partition) departures->Settle(*partition, path);
    if (removed.ok()) removed = files->RemoveAll(path);
    if (!removed.ok()) LOG(WARNING) << path << ": " << removed.ToString();
  });
}

std::optional<Offset> LogManagerImpl::CheckpointedHighWatermark(
    const TopicPartition& partition) const {
  return checkpoints_.HighWatermark(partition);
}

Status LogManagerImpl::WriteCheckpoints(const std::map<TopicPartition, Offset>& high_watermarks) {
  return checkpoints_.Write([&](const Checkpoints::Content& stored) {
    Checkpoints::Content content;
    const auto keep = [](const TopicPartition& partition, const OffsetCheckpoint& from,
                         OffsetCheckpoint& to) {
      if (const auto found = from.find(partition); found != from.end()) to.insert(*found);
    };
    std::lock_guard lock(mutex_);
    // What is given for a name deleted meanwhile may be the old partition's.
    const std::set<TopicPartition> deleted = std::exchange(deleted_, {});
    for (const auto& [partition, hosted] : logs_) {
      content.recovery_points[partition] = hosted.log->flushed_offset();
      const Offset start = hosted.log->log_start_offset();
      if (start > Offset(0)) content.log_starts[partition] = start;
      if (const auto at = hosted.log->damaged_at()) content.damaged[partition] = *at;
      const bool given = high_watermarks.contains(partition) && !deleted.contains(partition);
      keep(partition, given ? high_watermarks : stored.high_watermarks, content.high_watermarks);
    }
    // A damaged log keeps its recovery point: without it the damage would pass for a torn tail at
    // the next start. And its start, without which deleted records would come back, and a recovery
    // point that was taken along would vouch for what was never synced.
    for (const auto& [partition, status] : damaged_) {
      keep(partition, stored.recovery_points, content.recovery_points);
      keep(partition, stored.log_starts, content.log_starts);
      keep(partition, stored.damaged, content.damaged);
    }
    return content;
  });
}

Status LogManagerImpl::KeepBrokerEpoch(BrokerEpoch epoch) {
  return storage::KeepBrokerEpoch(fs(), options_.directory, epoch);
}

Status LogManagerImpl::CloseLogs(const std::map<TopicPartition, Hosted>& logs) {
  // One sync of the file system for many files, as the flusher does; few of them open at a time.
  constexpr size_t kGroupFiles = 512;
  constexpr size_t kSyncfsFiles = 32;
  Status outcome;
  const auto note = [&](const Status& closed) {
    if (!closed.ok() && outcome.ok()) outcome = closed;
  };
  for (auto next = logs.begin(); next != logs.end();) {
    std::vector<std::pair<Log*, FlushTarget>> closing;
    size_t files = 0;
    for (; next != logs.end() && files < kGroupFiles; ++next) {
      Log* const log = next->second.log.get();
      auto target = log->BeginClose();
      note(target.status());
      if (!target.ok()) continue;
      files += target->file_count() + target->directories.size();
      closing.emplace_back(log, std::move(*target));
    }
    const bool whole = files > kSyncfsFiles;
    const Status synced = whole ? whole_->Sync() : Status::Ok();
    for (const auto& [log, target] : closing)
      note(log->FinishClose(target.upto, whole ? synced : target.Run()));
  }
  return outcome;
}

Status LogManagerImpl::CloseCleanly(const std::map<TopicPartition, Offset>& high_watermarks,
                                    std::optional<BrokerEpoch> broker_epoch) {
  std::map<TopicPartition, Hosted> logs;
  std::string why_unclean;
  if (!broker_epoch) why_unclean = "the node's registration was not answered yet";
  {
    std::lock_guard lock(mutex_);
    logs = logs_;
    if (!damaged_.empty()) {
      why_unclean = damaged_.begin()->first.ToString() + " was out of service";
      if (damaged_.size() > 1)
        why_unclean += ", and " + std::to_string(damaged_.size() - 1) + " others";
    }
  }
  const Status outcome = CloseLogs(logs);
  SLUICE_RETURN_IF_ERROR(WriteCheckpoints(high_watermarks));
  if (!outcome.ok()) why_unclean = "a log could not be closed: " + outcome.message();
  // The marker vouches for every log of the directory: a damaged one must be looked at again.
  if (why_unclean.empty())
    return WriteShutdownMarker(fs(), options_.directory, broker_epoch.value());
  LOG(WARNING) << options_.directory
               << ": the next start checks the logs as after a crash: " << why_unclean;
  const Status noted = WriteStopNote(fs(), options_.directory, why_unclean);
  return outcome.ok() ? noted : outcome;
}

}  // namespace sluice::storage
