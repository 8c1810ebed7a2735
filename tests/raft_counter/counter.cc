// A counter on three nodes, from nothing but raft/raft.h: with a disk and a network in memory this
// is all that the library asks for. Two leaders are killed; the first one comes back and is needed.
#define SLUICE_RAFT_EXAMPLE
#include <algorithm>
#include <future>
#include <iostream>
#include <thread>

#include "raft/raft.h"

namespace sluice::raft::example {
namespace {

// Outlives the process that writes to it.
class MemoryLog final : public LogStore {
 public:
  explicit MemoryLog(Entry first) : entries_{std::move(first)} {}
  LogStore& Open(EventLoop& loop) {
    loop_ = &loop;
    const LogIndex first = entries_.empty() ? snapshot_->meta.index + 1 : entries_.front().index;
    opened_ = {.hard_state = hard_state_, .first_index = first, .last_index = first - 1};
    if (snapshot_.has_value()) opened_.snapshot = snapshot_->meta;
    for (const Entry& entry : entries_) {
      opened_.last_index = entry.index;
      if (opened_.term_starts.empty() || opened_.term_starts.back().second != entry.term)
        opened_.term_starts.emplace_back(entry.index, entry.term);
      if (SetsMembers(entry.type)) opened_.memberships.emplace_back(entry.index, *MembersIn(entry));
    }
    return *this;
  }
  const OpenedLog& opened() const override { return opened_; }
  void Persist(PersistRequest request, std::function<void(Status)> done) override {
    if (request.hard_state.has_value()) hard_state_ = *request.hard_state;
    if (request.received != nullptr) Receive(*request.received);
    if (request.snapshot.has_value()) snapshot_ = request.snapshot;
    if (request.reset_log) entries_.clear();
    while (!entries_.empty() && entries_.front().index < request.drop_before.value_or(kNoIndex))
      entries_.pop_front();
    const LogIndex keep_upto = request.truncate_from.value_or(LogIndex(INT64_MAX));
    while (!entries_.empty() && entries_.back().index >= keep_upto) entries_.pop_back();
    for (Entry& entry : request.entries) entries_.push_back(std::move(entry));
    loop_->Post([done = std::move(done)] { done(Status::Ok()); });
  }
  Result<std::vector<Entry>> Read(LogIndex from, LogIndex to, size_t) const override {
    const auto first = entries_.begin() + (from - entries_.front().index);
    return std::vector<Entry>(first, first + (to - from));
  }
  Result<Snapshot> LoadSnapshot() const override { return *snapshot_; }
  void ReadSnapshot(const SnapshotRead& read,
                    std::function<void(Result<SnapshotChunk>)> done) override {
    Result<SnapshotChunk> chunk = Status::NotFound("a newer one has taken its place");
    if (snapshot_.has_value() && snapshot_->meta.index == read.index)
      chunk = ChunkOf(*snapshot_, read);
    loop_->Post([done = std::move(done), chunk = std::move(chunk)] { done(chunk); });
  }
  void LoadReceived(std::function<void(Result<Snapshot>)> done) override {
    // Memory keeps what it was given.
    loop_->Post([done = std::move(done), received = received_] { done(received); });
  }

 private:
  void Receive(const SnapshotChunk& chunk) {
    std::string data = chunk.offset == 0 ? "" : *received_.data;
    received_ = {chunk.meta, std::make_shared<const std::string>(data + chunk.data)};
  }

  EventLoop* loop_ = nullptr;
  OpenedLog opened_;
  HardState hard_state_;
  std::deque<Entry> entries_;
  std::optional<Snapshot> snapshot_;
  Snapshot received_;
};

// Knows who runs. What is for others is lost.
class Wires final : public Transport {
 public:
  void Plug(NodeId id, Driver* driver) {
    std::lock_guard lock(mutex_);
    drivers_[id] = driver;
  }
  void Unplug(NodeId id) {
    std::lock_guard lock(mutex_);
    drivers_.erase(id);
    for (const auto& [other, driver] : drivers_) driver->PeerLost(id, true);
  }
  void Send(NodeId to, Message message) override {
    std::lock_guard lock(mutex_);
    const auto driver = drivers_.find(to);
    if (driver != drivers_.end()) driver->second->Step(std::move(message));
  }
  void SetPeers(const std::vector<Member>&) override {}

 private:
  std::mutex mutex_;  // guards drivers_, which stay while they are given a message
  std::map<NodeId, Driver*> drivers_;
};

struct Process {
  Process(VoterId self, MemoryLog& log, Wires& given, const Clock& clock)
      : id(self.id), wires(given), loop("counter", clock), node(self, loop, log.Open(loop), wires) {
    wires.Plug(id, &node.driver());
  }
  ~Process() {
    wires.Unplug(id);
    loop.Stop();
  }
  const NodeId id;
  Wires& wires;
  ThreadEventLoop loop;
  CounterNode node;
};

template <typename T, typename Ask>
Result<T> Await(Ask ask) {
  const auto answer = std::make_shared<std::promise<Result<T>>>();
  ask([answer](Result<T> result) { answer->set_value(std::move(result)); });
  return answer->get_future().get();
}

int Run() {
  const SystemClock clock;
  Wires wires;
  std::vector<VoterId> voters;
  for (const char c : {'a', 'b', 'c'})
    voters.push_back({NodeId(c), Uuid::FromBytes(std::string(16, c))});
  std::vector<MemoryLog> logs(3, MemoryLog(BootstrapEntry({"count", voters, ""})));
  std::vector<std::unique_ptr<Process>> all(3);
  const auto start = [&](size_t i) {
    all[i] = std::make_unique<Process>(voters[i], logs[i], wires, clock);
  };
  const auto leader = [&]() -> std::unique_ptr<Process>& {
    for (size_t i = 0;; i = (i + 1) % all.size(), std::this_thread::yield())
      if (all[i] != nullptr && all[i]->node.driver().status().leader_ready) return all[i];
  };
  int64_t added = 0;
  int64_t unknown = 0;  // the lead was lost meanwhile: these count, or not
  const auto add = [&](int times) {
    for (const int64_t goal = added + times; added < goal;) {
      const auto done = Await<LogIndex>([&](auto tell) { leader()->node.Add(1, tell); });
      added += done.ok();
      unknown += done.status().code() == StatusCode::kUnavailable;
    }
  };
  for (size_t i = 0; i < all.size(); ++i) start(i);
  // A cluster begins when all of its voters have heard of each other once. Two of them may have
  // begun to count before the third one has, and without it the first one's death ends that.
  const auto takes_part = [](const std::unique_ptr<Process>& process) {
    const DriverStatus status = process->node.driver().status();
    return status.commit > LogIndex(0) && !status.inquiring;
  };
  while (!std::ranges::all_of(all, takes_part)) std::this_thread::yield();
  add(200);
  std::unique_ptr<Process>& first = leader();
  first.reset();
  for (int i = 0; i < 3; ++i) {  // two of three go on, and drop what the third one lacks
    add(100);
    for (const auto& process : all)
      if (process != nullptr) process->node.TakeSnapshot();
  }
  start(static_cast<size_t>(&first - all.data()));
  leader().reset();
  add(200);  // no majority without the one that has come back
  Result<int64_t> value = Status::Unavailable("not asked yet");
  while (!value.ok()) value = Await<int64_t>([&](auto tell) { leader()->node.Get(tell); });
  std::cout << "added " << added << ", unknown " << unknown << ", counted " << *value << "\n";
  const bool caught_up = first->node.driver().status().counts.snapshots_installed > 0;
  return caught_up && *value >= added && *value <= added + unknown ? 0 : 1;
}

}  // namespace
}  // namespace sluice::raft::example

int main() { return sluice::raft::example::Run(); }
