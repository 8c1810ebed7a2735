#include "controller/quorum_log.h"

#include <algorithm>

#include "controller/tail_evidence.h"
#include "raft/fault.h"

namespace sluice::controller {
namespace {

constexpr char kVoteFileName[] = "quorum-state";
constexpr size_t kScanBytes = 4 << 20;

// Kafka's id of the metadata topic.
Uuid MetadataTopicId() { return Uuid::FromBytes(std::string(15, '\0') + '\1'); }

std::string VotePath(const std::string& directory) { return directory + "/" + kVoteFileName; }

storage::LogOptions LogOptionsFor(const QuorumLogOptions& options, LogIndex synced_end) {
  storage::LogOptions log;
  log.directory = options.directory;
  log.topic_id = MetadataTopicId();
  // What is dropped is what Raft says, never what time or size say.
  log.config = {.segment_bytes = options.segment_bytes,
                .segment_ms = INT64_MAX,
                .retention_ms = -1,
                .retention_bytes = -1,
                .cleanup_delete = false};
  log.file_system = options.file_system;
  log.clock = options.clock;
  log.recovery_point = Offset(FaultPlanted(raft::Fault::kCutsSynced) ? 0 : synced_end.value());
  log.cut_unsynced_damage = true;  // EvidenceOf found no synced entry behind it
  return log;
}

Offset ToOffset(LogIndex index) { return Offset(index.value()); }
LogIndex ToIndex(Offset offset) { return LogIndex(offset.value()); }

}  // namespace

Status QuorumLog::Format(FileSystem& fs, const Clock& clock, const std::string& directory,
                         const raft::Bootstrap& bootstrap) {
  return FormatWith(fs, clock, directory, &bootstrap);
}

Status QuorumLog::FormatToJoin(FileSystem& fs, const Clock& clock, const std::string& directory) {
  return FormatWith(fs, clock, directory, nullptr);
}

Status QuorumLog::FormatWith(FileSystem& fs, const Clock& clock, const std::string& directory,
                             const raft::Bootstrap* bootstrap) {
  if (IsFormatted(fs, directory)) return Status::AlreadyExists(directory + " is formatted already");
  SLUICE_RETURN_IF_ERROR(fs.CreateDirectories(directory));
  const QuorumLogOptions options{.directory = directory, .file_system = &fs, .clock = &clock};
  SLUICE_ASSIGN_OR_RETURN(const auto log, storage::Log::Open(LogOptionsFor(options, LogIndex(0))));
  // A formatting that was interrupted is begun anew: without the vote file nobody has used it.
  if (log->log_end_offset() > Offset(0))
    SLUICE_RETURN_IF_ERROR(log->TruncateFullyAndStartAt(Offset(0)));
  if (bootstrap != nullptr) {
    const EncodedEntry entry =
        EncodeEntry(raft::BootstrapEntry(*bootstrap), {.timestamp_ms = clock.WallMs()});
    SLUICE_RETURN_IF_ERROR(log->AppendAsFollower(entry.batch, LeaderEpoch(0)));
  }
  SLUICE_RETURN_IF_ERROR(log->Close());
  SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(directory));
  SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(directory.substr(0, directory.rfind('/'))));
  // Last: this file is what makes the directory formatted.
  const LogIndex synced_end(bootstrap == nullptr ? 0 : 1);
  return VoteSlots::Create(fs, VotePath(directory), {.synced_end = synced_end});
}

bool QuorumLog::IsFormatted(FileSystem& fs, const std::string& directory) {
  return fs.Exists(VotePath(directory));
}

Result<std::unique_ptr<QuorumLog>> QuorumLog::Open(const QuorumLogOptions& options) {
  if (!IsFormatted(*options.file_system, options.directory)) {
    return Status::NotFound(options.directory + " was never formatted: run `sluice cluster init`");
  }
  std::unique_ptr<QuorumLog> log(new QuorumLog(options));
  SLUICE_ASSIGN_OR_RETURN(log->slots_, VoteSlots::Open(log->fs_, VotePath(options.directory)));
  Status opened = log->OpenLog();
  if (opened.code() == StatusCode::kCorruption) {
    SLUICE_RETURN_IF_ERROR(log->DoWithoutDamage(opened));
    opened = log->OpenLog();
  }
  SLUICE_RETURN_IF_ERROR(opened);
  SLUICE_RETURN_IF_ERROR(log->CheckVotes());
  // What the last process wrote and did not sync may be in the page cache only; from here on it
  // counts as durable.
  SLUICE_RETURN_IF_ERROR(log->Flush());
  SLUICE_RETURN_IF_ERROR(log->slots_->SyncHint());
  return log;
}

QuorumLog::QuorumLog(const QuorumLogOptions& options)
    : options_(options),
      fs_(*options.file_system),
      snapshots_(fs_, options.directory, options.snapshot_block_bytes),
      receiver_(fs_, options.directory, options.snapshot_block_bytes) {}

Status QuorumLog::OpenLog() {
  opened_ = {.hard_state = slots_->state().hard_state};
  newest_snapshot_.reset();
  chain_ = kNoChain;
  SLUICE_RETURN_IF_ERROR(OpenFiles());
  SLUICE_RETURN_IF_ERROR(ChooseSnapshot());
  SLUICE_RETURN_IF_ERROR(FinishReset());
  SLUICE_RETURN_IF_ERROR(ScanEntries());
  const LogIndex newest = newest_snapshot_.has_value() ? newest_snapshot_->index : raft::kNoIndex;
  SLUICE_ASSIGN_OR_RETURN(opened_.received, receiver_.Reopen(newest));
  return Status::Ok();
}

Status QuorumLog::OpenFiles() {
  Tail tail{fs_, options_.directory, slots_->state().synced_end};
  SLUICE_ASSIGN_OR_RETURN(tail.synced_end, EvidenceOf(tail));
  SLUICE_RETURN_IF_ERROR(RewriteTail(tail));
  SLUICE_ASSIGN_OR_RETURN(log_, storage::Log::Open(LogOptionsFrom(tail.synced_end)));
  return Status::Ok();
}

storage::LogOptions QuorumLog::LogOptionsFrom(LogIndex synced_end) {
  storage::LogOptions log_options = LogOptionsFor(options_, synced_end);
  log_options.lower_recovery_point = [this](Offset offset) {
    if (ToIndex(offset) >= slots_->state().synced_end) return Status::Ok();
    return slots_->WriteSynced({slots_->state().hard_state, ToIndex(offset)});
  };
  return log_options;
}

Status QuorumLog::ChooseSnapshot() {
  SLUICE_RETURN_IF_ERROR(snapshots_.RemoveTemporaries());
  SLUICE_ASSIGN_OR_RETURN(std::vector<SnapshotName> names, snapshots_.List());
  std::vector<SnapshotName> damaged;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const Result<raft::Snapshot> snapshot = snapshots_.Load(*name);
    if (!snapshot.ok()) {
      // The one before it will do when the log reaches back that far.
      LOG(ERROR) << snapshot.status().ToString();
      damaged.push_back(*name);
      continue;
    }
    newest_snapshot_ = *name;
    opened_.snapshot = snapshot->meta;
    break;
  }
  const LogIndex first = ToIndex(log_->log_start_offset());
  const bool gap =
      first > (newest_snapshot_.has_value() ? newest_snapshot_->index + 1 : LogIndex(0));
  if (gap) {
    return Status::Corruption(options_.directory + ": the log starts at index " +
                              std::to_string(first.value()) +
                              " and no readable snapshot reaches it. Nothing was changed");
  }
  // Under its name it would count as one of the two that are kept.
  for (const SnapshotName& name : damaged) SLUICE_RETURN_IF_ERROR(snapshots_.PutAside(name));
  return Status::Ok();
}

// A log that ends before its snapshot, or disagrees with it, is what the crash of a snapshot's
// installation leaves behind.
Status QuorumLog::FinishReset() {
  if (!newest_snapshot_.has_value()) return Status::Ok();
  const LogIndex index = newest_snapshot_->index;
  const LogIndex first = ToIndex(log_->log_start_offset());
  if (first == index + 1) return Status::Ok();
  if (index < ToIndex(log_->log_end_offset())) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<DecodedEntry> at, ReadEntries(index, index + 1, 1));
    if (at.front().entry.term == newest_snapshot_->term) return Status::Ok();
  }
  LOG(WARNING) << options_.directory << ": finishing the installation of the snapshot at index "
               << index;
  return log_->TruncateFullyAndStartAt(ToOffset(index + 1));
}

Status QuorumLog::ScanEntries() {
  opened_.first_index = ToIndex(log_->log_start_offset());
  opened_.last_index = opened_.first_index - 1;
  const LogIndex end = ToIndex(log_->log_end_offset());
  while (opened_.last_index + 1 < end) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<DecodedEntry> entries,
                            ReadEntries(opened_.last_index + 1, end, kScanBytes));
    for (const DecodedEntry& decoded : entries) SLUICE_RETURN_IF_ERROR(NoteEntry(decoded));
  }
  return Status::Ok();
}

Status QuorumLog::CheckVotes() const {
  if (!opened_.term_starts.empty() && opened_.term_starts.back().second > opened_.hard_state.term) {
    return Status::Corruption(
        VotePath(options_.directory) + " is at term " +
        std::to_string(opened_.hard_state.term.value()) + ", the log at " +
        std::to_string(opened_.term_starts.back().second.value()) +
        ": the file is older than the log. This node must not vote under its old disk id");
  }
  return Status::Ok();
}

Status QuorumLog::NoteEntry(const DecodedEntry& decoded) {
  const raft::Entry& entry = decoded.entry;
  const bool has_previous = opened_.last_index >= opened_.first_index;
  if (has_previous && decoded.previous_chain != chain_) {
    return Status::Corruption(
        options_.directory + ": entry " + std::to_string(entry.index.value()) +
        " does not follow the entry before it: their checksums disagree. Nothing was cut");
  }
  const bool term_falls =
      !opened_.term_starts.empty() && entry.term < opened_.term_starts.back().second;
  if (term_falls) {
    return Status::Corruption(options_.directory + ": the term falls at index " +
                              std::to_string(entry.index.value()));
  }
  if (opened_.term_starts.empty() || entry.term != opened_.term_starts.back().second) {
    opened_.term_starts.emplace_back(entry.index, entry.term);
  }
  if (raft::SetsMembers(entry.type)) {
    Result<raft::Membership> members = raft::MembersIn(entry);
    if (!members.ok()) {
      return Status::Corruption(options_.directory + ": entry " +
                                std::to_string(entry.index.value()) + ": " +
                                members.status().message());
    }
    opened_.memberships.emplace_back(entry.index, *std::move(members));
  }
  opened_.last_index = entry.index;
  chain_ = decoded.chain;
  return Status::Ok();
}

Result<std::vector<DecodedEntry>> QuorumLog::ReadEntries(LogIndex from, LogIndex to,
                                                         size_t bytes_max) const {
  storage::ReadResult read;
  {
    std::lock_guard lock(log_mutex_);
    SLUICE_ASSIGN_OR_RETURN(
        read, log_->Read(ToOffset(from), bytes_max, ToOffset(to), /*one_at_least=*/true));
  }
  std::string bytes(read.size_bytes, '\0');
  size_t at = 0;
  for (const FileSlice& slice : read.slices) {
    SLUICE_ASSIGN_OR_RETURN(const size_t got,
                            slice.file->ReadAt(slice.offset, bytes.data() + at, slice.size_bytes));
    if (got != slice.size_bytes)
      return Status::IoError(options_.directory + ": a segment is shorter than its index says");
    at += got;
  }
  std::vector<DecodedEntry> entries;
  kafka::BatchIterator batches(bytes);
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const auto batch, batches.Next());
    if (!batch.has_value()) break;
    SLUICE_ASSIGN_OR_RETURN(DecodedEntry decoded, DecodeEntry(*batch));
    if (decoded.entry.index != from + static_cast<int64_t>(entries.size())) {
      return Status::Corruption(
          options_.directory + ": index " + std::to_string(decoded.entry.index.value()) +
          " where " + std::to_string(from.value() + static_cast<int64_t>(entries.size())) +
          " belongs");
    }
    if (decoded.entry.index >= to) break;
    entries.push_back(std::move(decoded));
  }
  if (entries.empty())
    return Status::OutOfRange(options_.directory + " holds no index " +
                              std::to_string(from.value()));
  return entries;
}

Result<std::vector<raft::Entry>> QuorumLog::Read(LogIndex from, LogIndex to,
                                                 size_t bytes_max) const {
  SLUICE_ASSIGN_OR_RETURN(std::vector<DecodedEntry> decoded, ReadEntries(from, to, bytes_max));
  std::vector<raft::Entry> entries;
  entries.reserve(decoded.size());
  for (DecodedEntry& one : decoded) entries.push_back(std::move(one.entry));
  return entries;
}

// Twice its bytes, for the older ones go only when it is there.
bool QuorumLog::HasRoomForSnapshot(uint64_t bytes) const {
  const Result<DiskSpace> space = fs_.Space(options_.directory);
  return !space.ok() || space->free_bytes >= 2 * bytes;
}

Result<raft::Snapshot> QuorumLog::LoadSnapshot() const {
  std::optional<SnapshotName> name;
  {
    std::lock_guard lock(log_mutex_);
    name = newest_snapshot_;
  }
  if (!name.has_value()) return Status::NotFound(options_.directory + " has no snapshot");
  return snapshots_.Load(*name);
}

}  // namespace sluice::controller
