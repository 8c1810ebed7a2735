#pragma once
// HandFed: one node (id 1, a voter of three, or with an empty log) alone, fed with messages made by
// hand. What it wants written is kept until a test says that it is durable, what it wants sent
// until a test looks at it.
//
// Thread rule: that of Core.

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/testing/sim_event_loop.h"
#include "raft/core.h"
#include "raft/testing/sim_log_store.h"

namespace sluice::raft::testing {

inline constexpr char kClusterId[] = "by hand";

inline VoterId Voter(int id) {
  return {NodeId(id), Uuid::FromBytes(std::string(16, static_cast<char>(id)))};
}

inline Entry Normal(int64_t index, int64_t term) {
  return {LogIndex(index), Term(term), EntryType::kNormal, "of term " + std::to_string(term)};
}

// Entries first..last of one term.
inline std::vector<Entry> EntriesOf(int64_t first, int64_t last, int64_t term) {
  std::vector<Entry> entries;
  for (int64_t index = first; index <= last; ++index) entries.push_back(Normal(index, term));
  return entries;
}

class HandFed {
 public:
  HandFed() : HandFed({FirstEntry()}) {}
  // Tests begin in the middle: with `inquire` off a disk as it was formatted is a new one.
  explicit HandFed(std::deque<Entry> log, bool inquire = false) : inquire_(inquire) {
    disk_.entries = std::move(log);
    Open();
  }

  // The process ends, and with it whatever was not written yet, and starts again at once.
  void Restart() {
    writes_.clear();
    held_.clear();
    reads_.clear();
    load_received_ = 0;
    sent_.clear();
    const int64_t now_ms = core_->now_ms();
    Open();
    core_->Tick(now_ms);
  }

  void Open() {
    core_.reset();
    store_ = std::make_unique<SimLogStore>(disk_, loop_, Random(1), SimDiskLatency{});
    // Nothing that is durable stays in memory.
    core_ =
        std::make_unique<Core>(CoreOptions{.config = {.inquire = inquire_, .cache_bytes_max = 1},
                                           .cluster_id = kClusterId,
                                           .self = Voter(1),
                                           .random = Random(1)},
                               *store_);
  }

  static Entry FirstEntry() {
    return BootstrapEntry({.cluster_id = kClusterId, .voters = {Voter(1), Voter(2), Voter(3)}});
  }

  void Step(int from, int64_t term, MessageBody body) {
    // As an answer to what this process has asked.
    if (auto* vote = std::get_if<VoteResponse>(&body)) vote->process = core_->process();
    core_->Step({kClusterId, Voter(from), NodeId(1), Term(term), std::move(body)});
  }

  void Append(int from, int64_t term, AppendRequest request) {
    Step(from, term, std::move(request));
  }

  // A snapshot in one chunk.
  static SnapshotChunk WholeSnapshot(int64_t index, int64_t term) {
    const std::string data = "state";
    return {.meta = {LogIndex(index), Term(term), MembershipOf({Voter(1), Voter(2), Voter(3)})},
            .size_total = data.size(),
            .chunk_crc = Crc32c(data),
            .whole_crc = Crc32c(data),
            .data = data};
  }

  // Starts what the core wants written, and keeps what it wants sent.
  void Work() {
    while (core_->HasReady()) {
      Ready ready = core_->TakeReady();
      if (ready.persist_id != 0) writes_.emplace_back(ready.persist_id, std::move(ready.persist));
      loaded_ = loaded_ || ready.load_snapshot.has_value();
      if (ready.peers.has_value()) peers_ = *ready.peers;
      if (ready.load_received != 0) load_received_ = ready.load_received;
      reads_.insert(reads_.end(), ready.snapshot_reads.begin(), ready.snapshot_reads.end());
      refused_.insert(refused_.end(), ready.refused.begin(), ready.refused.end());
      for (Message& message : ready.send_now) sent_.push_back(std::move(message));
      for (Message& message : ready.send_after_persist) {
        if (writes_.empty()) {
          sent_.push_back(std::move(message));
        } else {
          held_.emplace_back(writes_.back().first, std::move(message));
        }
      }
    }
  }

  // Two others elect it.
  void Lead() {
    core_->Tick(core_->next_deadline_ms());
    Work();
    Step(2, core_->term().value() + 1, VoteResponse{.pre_vote = true, .granted = true});
    FinishWrites();
    Step(2, core_->term().value(), VoteResponse{.granted = true});
    FinishWrites();
    sent_.clear();
  }

  // The oldest part of a snapshot that is wanted comes from the disk, or as `fails` says.
  void FinishOneRead(const Status& fails = Status::Ok()) {
    const SnapshotRead read = reads_.front();
    reads_.pop_front();
    core_->SnapshotWasRead(read,
                           fails.ok() ? disk_.ReadSnapshot(read) : Result<SnapshotChunk>(fails));
    Work();
  }

  // What was received is read back.
  void LoadReceived() {
    core_->ReceivedWasLoaded(std::exchange(load_received_, 0), disk_.LoadReceived());
    Work();
  }

  // The oldest write is durable now.
  void FinishOneWrite() {
    const auto [id, request] = std::move(writes_.front());
    writes_.pop_front();
    disk_.Execute(request);
    for (; !held_.empty() && held_.front().first <= id; held_.pop_front())
      sent_.push_back(std::move(held_.front().second));
    core_->Persisted(id);
    Work();
  }

  void FinishWrites() {
    Work();
    while (!writes_.empty() || load_received_ != 0)
      writes_.empty() ? LoadReceived() : FinishOneWrite();
  }

  template <typename Body>
  std::vector<Body> Sent() const {
    std::vector<Body> bodies;
    for (const Message& message : sent_) {
      if (const auto* body = std::get_if<Body>(&message.body)) bodies.push_back(*body);
    }
    return bodies;
  }

  const bool inquire_;
  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimEventLoop loop_{scheduler_};
  SimDisk disk_;
  std::unique_ptr<SimLogStore> store_;
  std::unique_ptr<Core> core_;
  std::deque<std::pair<uint64_t, PersistRequest>> writes_;
  std::deque<std::pair<uint64_t, Message>> held_;  // by the write they wait for
  std::deque<SnapshotRead> reads_;                 // that nothing has come of yet
  uint64_t load_received_ = 0;
  std::vector<Message> sent_;
  std::vector<Refused> refused_;
  std::vector<Member> peers_;  // as told last
  bool loaded_ = false;
};

}  // namespace sluice::raft::testing
