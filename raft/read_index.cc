// Linearizable reads (ReadIndex, Raft thesis 6.4): the leader notes its commit, and serves the read
// once a majority has confirmed, after the read came in, that it still leads. Reads share rounds.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"
#include "raft/quorum.h"

namespace sluice::raft {

// Before that a new leader does not know what its predecessors have committed.
bool Core::CommittedInOwnTerm() const { return commit_ >= term_start_index_; }

void Core::ReadIndex(uint64_t id) {
  if (role_ == Role::kLeader) {
    new_reads_.push_back(id);
    leader_input_ = true;
  } else {
    ready_.reads_failed.push_back(id);
  }
}

void Core::StartReadRound() {
  if (new_reads_.empty()) return;
  if (!CommittedInOwnTerm() && !FaultPlanted(Fault::kReadBeforeOwnCommit)) return;
  read_rounds_.push_back({++read_sequence_, commit_, std::move(new_reads_)});
  new_reads_.clear();
  for (auto& [to, progress] : progress_) SendHeartbeat(to, progress);
  FinishReadRounds();
}

void Core::FinishReadRounds() {
  if (read_rounds_.empty()) return;
  std::vector<int64_t> echoed = OfVoters(
      static_cast<int64_t>(read_sequence_),
      [](const Progress& progress) { return static_cast<int64_t>(progress.read_sequence); });
  if (FaultPlanted(Fault::kReadWithoutRound)) echoed = {static_cast<int64_t>(read_sequence_)};
  const auto confirmed = static_cast<uint64_t>(MajorityValue(std::move(echoed)));
  while (!read_rounds_.empty() && read_rounds_.front().sequence <= confirmed) {
    for (const uint64_t id : read_rounds_.front().ids) {
      ready_.reads_ok.push_back({id, read_rounds_.front().index});
      ++metrics_.reads_confirmed;
    }
    read_rounds_.pop_front();
  }
}

void Core::FailReads() {
  for (const ReadBatch& round : read_rounds_) {
    ready_.reads_failed.insert(ready_.reads_failed.end(), round.ids.begin(), round.ids.end());
  }
  ready_.reads_failed.insert(ready_.reads_failed.end(), new_reads_.begin(), new_reads_.end());
  read_rounds_.clear();
  new_reads_.clear();
}

}  // namespace sluice::raft
