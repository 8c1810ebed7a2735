// LogDirectories: logs that move from one directory of the node to another.
//
// The copy grows as a future log in the target, of which the partition knows nothing. FinishMove
// gives it one move more than the old log has, and then the partition's name: that rename, synced,
// is the moment of the move. The old log is removed after it; where a crash comes in between, the
// next start finds both, and the counts tell which one it was.
#include <algorithm>
#include <utility>

#include "storage/log_directories.h"

namespace sluice::storage {

const LogDirectories::Directory* LogDirectories::WithId(const Uuid& id) const {
  if (id.IsZero()) return nullptr;
  for (const Directory& directory : directories_) {
    if (directory.state->id() == id) return &directory;
  }
  return nullptr;
}

Result<bool> LogDirectories::RemoveOlder(const TopicPartition& partition, const Directory*& known,
                                         const Directory& found) {
  SLUICE_ASSIGN_OR_RETURN(const MoveHistory of_known, known->manager->MovesOf(partition));
  SLUICE_ASSIGN_OR_RETURN(const MoveHistory of_found, found.manager->MovesOf(partition));
  if (of_known.line.empty() || of_known.line != of_found.line || of_known.moves == of_found.moves)
    return false;
  const Directory* const newer = of_known.moves > of_found.moves ? known : &found;
  const Directory* const older = newer == known ? &found : known;
  // Where the newer one cannot be read, the older one may be wanted.
  const bool wanted = newer->manager->DamagedLogs().contains(partition);
  LOG(WARNING) << older->state->path() << "/" << partition.ToString()
               << (wanted ? " is set aside: " : " is removed: ") << "the log has moved to "
               << newer->state->path() << ", and the stop came before that";
  const Status removed =
      wanted ? older->manager->SetAside(partition).status() : older->manager->Delete(partition);
  known = newer;
  if (removed.ok()) return true;
  // As at opening: a failed disk only takes its replicas away.
  if (older == &directories_.front()) return removed;
  LOG(ERROR) << "log directory " << older->state->path()
             << " is offline, and its replicas with it: " << removed.ToString();
  older->state->PutOffline(removed);
  return true;
}

std::vector<LogMoveSpec> LogDirectories::BrokenOffMoves() const {
  std::vector<LogMoveSpec> moves;
  for (const Directory& directory : directories_) {
    if (!Online(directory)) continue;
    for (auto& [partition, topic_id] : directory.manager->AbandonedFutures())
      moves.push_back({std::move(partition), topic_id, directory.state});
  }
  return moves;
}

Result<std::shared_ptr<Log>> LogDirectories::StartMove(const LogMoveSpec& spec,
                                                       const LogConfig& config) {
  const Directory* const target = WithId(spec.target->id());
  if (target == nullptr || !Online(*target))
    return Status::Unavailable("log directory " + spec.target->path() + " is offline");
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<Log> copy,
                          target->manager->StartFuture(spec.partition, spec.topic_id, config));
  // Only now: while the metadata may have the log here, a start has to find that it was to come.
  GiveUpMove(spec, nullptr);
  return copy;
}

void LogDirectories::GiveUpMove(const LogMoveSpec& spec, const Log* copy) {
  const Directory* const target = WithId(spec.target->id());
  // What is left in one that has failed is removed, or begun anew, when it is back.
  if (target == nullptr || !Online(*target)) return;
  if (copy == nullptr && lone_copies_.contains(spec.partition))
    target->manager->SetFuturesAside(spec.partition);
  else
    target->manager->DropFuture(spec.partition, copy);
}

void LogDirectories::NoteLoneCopies() {
  for (const LogMoveSpec& move : BrokenOffMoves()) {
    if (Holder(move.partition) == nullptr) lone_copies_.insert(move.partition);
  }
}

Status LogDirectories::FinishMove(const LogMoveSpec& spec, const MovedLog& moved,
                                  bool& source_lost) {
  const Directory* const source = WithId(moved.source->id());
  const Directory* const target = WithId(spec.target->id());
  if (source == nullptr || !Online(*source) || target == nullptr || !Online(*target))
    return Status::Unavailable(spec.partition.ToString() + " cannot move to " +
                               spec.target->path() + " any more");
  Result<MoveHistory> history = source->manager->MovesOf(spec.partition);
  if (!history.ok()) return Status::Unavailable(history.status().message());
  if (history->line.empty()) {
    history->line = source->state->id().ToString() + "." + std::to_string(options_.clock->WallMs());
    const Status begun = source->manager->SetMoves(spec.partition, *history);
    // From a full disk it moves all the same: a crash in the last step then leaves two logs between
    // which the next start asks the operator to choose.
    if (!begun.ok() && begun.code() != StatusCode::kDiskFull)
      return Status::Unavailable("its log cannot be written: " + begun.message());
  }
  bool perhaps_named = false;
  const Status adopted =
      target->manager->AdoptFuture(spec.partition,
                                   {.future = moved.copy,
                                    .high_watermark = moved.high_watermark,
                                    .cleaned_upto = source->manager->CleanedUpto(spec.partition),
                                    .history = {history->moves + 1, history->line}},
                                   perhaps_named);
  if (!adopted.ok()) {
    // A name that was given may come back with the disk, after whatever the old log gets until
    // then.
    if (perhaps_named)
      source_lost =
          !source->manager->SetMoves(spec.partition, {history->moves + 2, history->line}).ok();
    return adopted;
  }
  // What stays is removed by the next start.
  for (const Status& removed :
       {source->manager->Delete(spec.partition), source->manager->Forget(spec.partition)}) {
    LOG_IF(ERROR, !removed.ok()) << "removing " << source->state->path() << "/"
                                 << spec.partition.ToString() << ", which has moved to "
                                 << target->state->path() << ": " << removed.ToString();
  }
  return Status::Ok();
}

// A log that could not be placed, and is in the only directory that is away if it was about to
// leave it for the one that the metadata has.
PlacedLog LogDirectories::Unplaced(const ReplicaSpec& spec, const Status& why) const {
  PlacedLog placed{nullptr, why};
  const Directory* const told = WithId(spec.directory);
  if (told == nullptr || !Online(*told) || !MovesHere(spec, *told)) return placed;
  const auto away = [this](const Directory& directory) { return !Online(directory); };
  const auto found = std::find_if(directories_.begin(), directories_.end(), away);
  const bool only = std::count_if(directories_.begin(), directories_.end(), away) == 1;
  if (!only || found->state->id().IsZero()) return placed;
  placed.directory = found->state;
  placed.move_broken_off = true;
  return placed;
}

void LogDirectories::Prefer(const TopicPartition& partition, const DirectoryPtr& directory) {
  // Anybody may ask so of any name.
  constexpr size_t kPreferredMax = 10000;
  std::lock_guard lock(mutex_);
  if (preferred_.size() >= kPreferredMax && !preferred_.contains(partition)) return;
  preferred_[partition] = directory;
}

Result<const LogDirectories::Directory*> LogDirectories::DirectoryForNew(
    const TopicPartition& partition) {
  DirectoryPtr preferred;
  {
    std::lock_guard lock(mutex_);
    if (auto node = preferred_.extract(partition)) preferred = std::move(node.mapped());
  }
  if (preferred != nullptr && preferred->online()) return WithId(preferred->id());
  return DirectoryWithMostSpace();
}

}  // namespace sluice::storage
