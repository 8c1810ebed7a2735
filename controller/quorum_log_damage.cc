// What QuorumLog does when it opens a log that is damaged. The order counts, for the process may
// stop after any step: first it is durable that entries are lost, and with it that this voter does
// not vote; then the files are copied aside; then the marker of what was synced goes down to what
// is whole; only then the rest is cut. Until the cut is done the next opening finds the damage
// again, and does the same.
#include <algorithm>

#include "controller/quorum_log.h"
#include "controller/tail_evidence.h"
#include "storage/file_names.h"

namespace sluice::controller {

// `found`, where nothing can be done: then nothing was changed. Afterwards the log can be opened.
Status QuorumLog::DoWithoutDamage(const Status& found) {
  log_.reset();
  SLUICE_ASSIGN_OR_RETURN(const std::optional<LogDamage> damage, FindLoss());
  if (!damage.has_value() || NobodyElseHasIt(*damage)) return found;
  VoteSlots::State state = slots_->state();
  // An opening that was stopped amid the cut has all copies: what is there now is less.
  const bool kept = state.hard_state.lost.any() && state.synced_end <= damage->from;
  state.hard_state.lost = state.hard_state.lost.And({damage->upto, state.hard_state.term});
  SLUICE_RETURN_IF_ERROR(slots_->WriteSynced(state));
  LOG(ERROR) << damage->what << ". What the log held from index " << damage->from << " to "
             << damage->upto
             << " is lost here: this voter neither votes nor stands for election until the others "
                "have given it back. The files as they were found lie beside it as "
                "<name>.damaged";
  if (!kept) SLUICE_RETURN_IF_ERROR(KeepAside(fs_, options_.directory, *damage));
  state.synced_end = std::min(state.synced_end, damage->from);
  SLUICE_RETURN_IF_ERROR(slots_->WriteSynced(state));
  return CutFrom(damage->from);
}

Result<std::optional<LogDamage>> QuorumLog::FindLoss() {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<SnapshotName> names, snapshots_.List());
  LogIndex lost_snapshot = raft::kNoIndex;
  newest_snapshot_.reset();
  for (const SnapshotName& name : names) {
    const Result<raft::Snapshot> snapshot = snapshots_.Load(name);
    if (!snapshot.ok() && snapshot.status().code() != StatusCode::kCorruption)
      return snapshot.status();
    if (snapshot.ok()) {
      newest_snapshot_ = name;
    } else {
      lost_snapshot = name.index;
    }
  }
  LogExtent extent{.start_max =
                       newest_snapshot_.has_value() ? newest_snapshot_->index + 1 : LogIndex(0)};
  SLUICE_ASSIGN_OR_RETURN(extent.synced_end,
                          EvidenceOf({fs_, options_.directory, slots_->state().synced_end}));
  SLUICE_ASSIGN_OR_RETURN(std::optional<LogDamage> damage,
                          FindDamage(fs_, options_.directory, extent));
  // What an unreadable snapshot stood for was acknowledged.
  if (damage.has_value()) damage->upto = std::max(damage->upto, lost_snapshot);
  return damage;
}

// By the newest configuration that can be read.
bool QuorumLog::NobodyElseHasIt(const LogDamage& damage) const {
  std::optional<raft::Membership> members;
  LogIndex as_of = raft::kNoIndex;
  if (newest_snapshot_.has_value()) {
    const Result<raft::Snapshot> snapshot = snapshots_.Load(*newest_snapshot_);
    if (snapshot.ok()) {
      members = snapshot->meta.members;
      as_of = snapshot->meta.index;
    }
  }
  if (damage.members.has_value() && damage.members->first > as_of) members = damage.members->second;
  if (!members.has_value()) return options_.alone;
  return members->voters.size() == 1 && members->voters.front().id == options_.self;
}

// Trusts nothing that was known of the log: all of it is read, and cut at the first bad batch.
Status QuorumLog::CutFrom(LogIndex from) {
  // It says of the terms what the damaged headers do not, and the log would be taken for another
  // one. Without it, it is made again.
  const std::string terms = options_.directory + "/" + storage::kEpochCheckpointName;
  if (fs_.Exists(terms)) SLUICE_RETURN_IF_ERROR(fs_.Remove(terms));
  SLUICE_ASSIGN_OR_RETURN(log_, storage::Log::Open(LogOptionsFrom(LogIndex(0))));
  const Offset end(from.value());
  if (log_->log_start_offset() > end || log_->log_end_offset() < end) {
    SLUICE_RETURN_IF_ERROR(log_->TruncateFullyAndStartAt(end));
  } else {
    SLUICE_RETURN_IF_ERROR(log_->TruncateTo(end));
  }
  const Status closed = log_->Close();
  log_.reset();
  return closed;
}

}  // namespace sluice::controller
