// LogManager: logs that move here from another directory of the node.

#include <algorithm>
#include <charconv>

#include "storage/file_names.h"
#include "storage/log_directory.h"
#include "storage/log_manager_impl.h"

namespace sluice::storage {
namespace {

std::string FormatMoves(const MoveHistory& history) {
  return std::to_string(history.moves) + " " + history.line + "\n";
}

}  // namespace

// It tells where a log was about to be, and is of no other use: the copy begins anew.
void LogManagerImpl::NoteAbandoned(const TopicPartition& partition, const std::string& path) {
  const Result<TopicId> stored = StoredTopicId(path);
  if (stored.ok() && !stored->IsZero()) {
    std::lock_guard lock(mutex_);
    futures_.emplace(partition, Future{path, *stored, nullptr});
    return;
  }
  // It was not synced once, so that nobody was told that the log would come here; or it is somebody
  // else's, and nobody knows of what.
  if (HoldsRecords(path))
    SetFutureAside(partition, {path, TopicId(), nullptr});
  else
    RemoveDirectoryLater(path);
}

bool LogManagerImpl::HoldsRecords(const std::string& path) const {
  const auto names = fs().List(path);
  if (!names.ok()) return true;
  return std::any_of(names->begin(), names->end(), [&](const std::string& name) {
    if (!ParseOffsetFileName(name, kLogSuffix)) return false;
    const Result<uint64_t> size_bytes = fs().FileSize(path + "/" + name);
    return !size_bytes.ok() || *size_bytes > 0;
  });
}

bool LogManagerImpl::HoldsAbandonedFuture(const TopicPartition& partition, TopicId topic_id) const {
  std::lock_guard lock(mutex_);
  const auto [first, last] = futures_.equal_range(partition);
  return std::any_of(first, last, [&](const auto& entry) {
    return entry.second.log == nullptr && entry.second.topic_id == topic_id;
  });
}

std::vector<std::pair<TopicPartition, TopicId>> LogManagerImpl::AbandonedFutures() const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<TopicPartition, TopicId>> abandoned;
  for (const auto& [partition, future] : futures_) {
    if (future.log == nullptr) abandoned.emplace_back(partition, future.topic_id);
  }
  return abandoned;
}

Result<std::shared_ptr<Log>> LogManagerImpl::StartFuture(const TopicPartition& partition,
                                                         TopicId topic_id,
                                                         const LogConfig& config) {
  if (!FutureNameFits(partition))
    return Status::InvalidArgument("the name of " + partition.ToString() + " is too long to move");
  const std::string path = FreePath(partition, kFutureSuffix);
  LogOptions options = OptionsFor(partition, topic_id, config);
  options.directory = path;
  // The checkpoints know nothing of it; what they may still hold is of another log.
  options.lower_recovery_point = nullptr;
  auto opened = Log::Open(std::move(options));
  Status made = opened.status();
  if (made.ok()) {
    const FlushTarget names = (*opened)->PrepareFlush();
    made = names.Run();
    (*opened)->OnFlushed(names.upto, made);
  }
  if (!made.ok()) {
    (void)fs().RemoveAll(path);
    return made;
  }
  std::shared_ptr<Log> log = *std::move(opened);
  std::lock_guard lock(mutex_);
  futures_.emplace(partition, Future{path, topic_id, log});
  return log;
}

// With null those that were abandoned.
std::vector<LogManagerImpl::Future> LogManagerImpl::TakeFutures(const TopicPartition& partition,
                                                                const Log* future) {
  std::vector<Future> taken;
  std::lock_guard lock(mutex_);
  auto [next, last] = futures_.equal_range(partition);
  while (next != last) {
    if (next->second.log.get() != future) {
      ++next;
      continue;
    }
    taken.push_back(std::move(next->second));
    next = futures_.erase(next);
  }
  return taken;
}

Result<std::string> LogManagerImpl::RetireFuture(const TopicPartition& partition,
                                                 const Future& future, std::string_view suffix) {
  std::string retired = FreePath(partition, suffix);
  SLUICE_RETURN_IF_ERROR(fs().Rename(future.path, retired));
  return retired;
}

void LogManagerImpl::DropFuture(const TopicPartition& partition, const Log* future) {
  for (const Future& each : TakeFutures(partition, future)) {
    // A start in the midst of the removal must not take what is left for a copy.
    const Result<std::string> retired = RetireFuture(partition, each, kDeleteSuffix);
    RemoveDirectoryLater(retired.ok() ? *retired : each.path);
  }
}

void LogManagerImpl::SetFuturesAside(const TopicPartition& partition) {
  for (const Future& each : TakeFutures(partition, nullptr)) SetFutureAside(partition, each);
}

void LogManagerImpl::SetFutureAside(const TopicPartition& partition, const Future& future) {
  const Result<std::string> retired = RetireFuture(partition, future, kStraySuffix);
  if (!retired.ok()) {
    LOG(ERROR) << "setting " << future.path << " aside: " << retired.status().ToString();
    return;
  }
  LOG(WARNING) << future.path << ", of topic id " << future.topic_id << ", is set aside as "
               << *retired
               << ": it is the copy of a log that was to move here, and no log was found "
               << "of which it may be. Nobody reads or removes it. It may lack the newest records; "
               << "remove it by hand where the others are not wanted";
}

Status LogManagerImpl::AdoptFuture(const TopicPartition& partition, const Adoption& adoption,
                                   bool& perhaps_named) {
  const Claim claim(*this, partition);
  Future future;
  {
    std::lock_guard lock(mutex_);
    if (logs_.contains(partition) || damaged_.contains(partition))
      return Status::AlreadyExists(PathOf(partition) + " exists");
    const auto [first, last] = futures_.equal_range(partition);
    const auto found = std::find_if(first, last, [&](const auto& entry) {
      return entry.second.log != nullptr && entry.second.log.get() == adoption.future;
    });
    if (found == last) return Status::NotFound("no log of " + partition.ToString() + " moves here");
    future = found->second;
  }
  SLUICE_RETURN_IF_ERROR(
      WriteFileAtomically(fs(), future.path + "/" + kMoveCountName, FormatMoves(adoption.history)));
  SLUICE_RETURN_IF_ERROR(checkpoints_.Forget(partition));
  if (adoption.cleaned_upto)
    SLUICE_RETURN_IF_ERROR(checkpoints_.SetCleaned(partition, *adoption.cleaned_upto));
  {
    std::lock_guard lock(mutex_);
    logs_[partition] = {future.log, future.topic_id};
    deleted_.erase(partition);
  }
  // Before the name: a start that found the log without them would bring deleted records back.
  Status outcome = WriteCheckpoints({{partition, adoption.high_watermark}});
  if (outcome.ok()) outcome = Rename(partition, future, perhaps_named);
  std::lock_guard lock(mutex_);
  if (!outcome.ok()) {
    logs_.erase(partition);
    return outcome;
  }
  std::erase_if(futures_, [&](const auto& entry) { return entry.second.log == future.log; });
  return Status::Ok();
}

Status LogManagerImpl::Rename(const TopicPartition& partition, const Future& future,
                              bool& perhaps_named) {
  const std::string path = PathOf(partition);
  if (fs().Exists(path)) return Status::AlreadyExists(path + " exists");
  perhaps_named = true;
  SLUICE_RETURN_IF_ERROR(fs().Rename(future.path, path));
  SLUICE_RETURN_IF_ERROR(fs().SyncDirectory(options_.directory));
  // A truncation lowers the checkpoint from now on.
  future.log->set_home(
      path, [this, partition](Offset offset) { return checkpoints_.Lower(partition, offset); });
  return Status::Ok();
}

Result<MoveHistory> LogManagerImpl::MovesOf(const TopicPartition& partition) const {
  const std::string path = PathOf(partition) + "/" + kMoveCountName;
  if (!fs().Exists(path)) return MoveHistory();
  SLUICE_ASSIGN_OR_RETURN(const std::string text, ReadFile(fs(), path));
  MoveHistory history;
  const char* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, history.moves);
  const std::string_view rest(end, static_cast<size_t>(text_end - end));
  if (error != std::errc() || history.moves < 0 || rest.size() < 3 || rest.front() != ' ' ||
      rest.back() != '\n')
    return Status::Corruption(path + " does not tell how often the log has moved");
  history.line = rest.substr(1, rest.size() - 2);
  return history;
}

Status LogManagerImpl::SetMoves(const TopicPartition& partition, const MoveHistory& history) {
  return WriteFileAtomically(fs(), PathOf(partition) + "/" + kMoveCountName, FormatMoves(history));
}

}  // namespace sluice::storage
