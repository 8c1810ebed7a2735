#include "raft/testing/sim_log_store.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/crc32c.h"

namespace sluice::raft::testing {

void SimDisk::Execute(PersistRequest request) {
  if (request.hard_state.has_value()) hard_state = *request.hard_state;
  if (!LacksSomething()) lost_terms.clear();
  if (request.received != nullptr) Receive(*request.received);
  if (request.snapshot.has_value()) {
    if (received.has_value() && received->meta.index <= request.snapshot->meta.index)
      received.reset();
    snapshot_before = std::exchange(snapshot, std::move(request.snapshot));
    newest_stands_alone = false;
  }
  if (request.reset_log) FinishReset();
  if (request.drop_before.has_value()) {
    while (!entries.empty() && first_index < *request.drop_before) {
      entries.pop_front();
      ++first_index;
    }
  }
  if (request.truncate_from.has_value()) {
    while (!entries.empty() && last_index() >= *request.truncate_from) entries.pop_back();
  }
  for (Entry& entry : request.entries) {
    CHECK_EQ(entry.index, last_index() + 1);
    entries.push_back(std::move(entry));
  }
}

void SimDisk::Receive(const SnapshotChunk& chunk) {
  if (chunk.offset == 0) {
    received = ReceivedSnapshot{chunk.meta, chunk.size_total, chunk.whole_crc, 0};
    received_data.clear();
  }
  CHECK(received.has_value() && received->meta == chunk.meta) << "a part of another snapshot";
  CHECK_EQ(received->held, chunk.offset);
  received_data += chunk.data;
  received->held = received_data.size();
}

Result<Snapshot> SimDisk::LoadReceived() const {
  if (!received.has_value()) return Status::NotFound("simulated disk has a newer snapshot");
  CHECK_EQ(received->held, received->size_total);
  if (Crc32c(received_data) != received->whole_crc)
    return Status::Corruption("simulated disk has another snapshot than was sent");
  return Snapshot{received->meta, std::make_shared<const std::string>(received_data)};
}

Result<SnapshotChunk> SimDisk::ReadSnapshot(const SnapshotRead& read) const {
  for (const std::optional<Snapshot>* kept : {&snapshot, &snapshot_before}) {
    if (kept->has_value() && (*kept)->meta.index == read.index) return ChunkOf(**kept, read);
  }
  return Status::NotFound("simulated disk has no such snapshot any more");
}

void SimDisk::FinishReset() {
  if (!snapshot.has_value()) return;
  const LogIndex index = snapshot->meta.index;
  const bool before_log = index < first_index;
  const bool agrees = !before_log && index <= last_index() &&
                      entries[static_cast<size_t>(index - first_index)].term == snapshot->meta.term;
  if (agrees || (before_log && index == first_index - 1)) return;
  entries.clear();
  first_index = index + 1;
  newest_stands_alone = true;
}

std::optional<Term> SimDisk::TermAt(LogIndex index) const {
  if (snapshot.has_value() && snapshot->meta.index == index) return snapshot->meta.term;
  if (index < first_index || index > last_index()) return std::nullopt;
  return entries[static_cast<size_t>(index - first_index)].term;
}

bool SimDisk::ReachesBackWithoutNewest() const {
  const LogIndex before = snapshot_before.has_value() ? snapshot_before->meta.index : kNoIndex;
  return first_index <= before + 1;
}

void SimDisk::LoseNewestSnapshot() {
  if (!snapshot.has_value() || newest_stands_alone || !ReachesBackWithoutNewest()) return;
  snapshot = std::exchange(snapshot_before, std::nullopt);
  newest_stands_alone = true;
}

void SimDisk::Rot(Random& random) {
  if (received.has_value() && !received_data.empty())
    received_data[random.Below(received_data.size())] ^= 1;
  if (snapshot.has_value() && random.Chance(1, 5)) {
    const bool in_reserve = !newest_stands_alone && ReachesBackWithoutNewest();
    return in_reserve ? LoseNewestSnapshot() : LoseSnapshotAndLog();
  }
  if (entries.empty()) return;
  // What was written last matters most.
  const size_t depth = random.Chance(1, 2) ? std::min<size_t>(entries.size(), 10) : entries.size();
  LoseEntriesFrom(last_index() - static_cast<int64_t>(random.Below(depth)));
}

void SimDisk::NoteLost(LogIndex from) {
  for (LogIndex index = from; index <= last_index(); ++index)
    lost_terms[index] = entries[static_cast<size_t>(index - first_index)].term;
  hard_state.lost =
      hard_state.lost.And({std::max(last_index(), snapshot_index()), hard_state.term});
}

void SimDisk::LoseEntriesFrom(LogIndex from) {
  NoteLost(from);
  while (last_index() >= from) entries.pop_back();
  FinishReset();
}

void SimDisk::FormatAgain(Entry bootstrap) {
  NoteLost(first_index);
  std::map<LogIndex, Term> terms = std::move(lost_terms);
  *this = {};
  entries.push_back(std::move(bootstrap));
  lost_terms = std::move(terms);
  formatted_again = true;
}

// The log needs a state to go on from.
void SimDisk::LoseSnapshotAndLog() {
  NoteLost(first_index);
  snapshot = std::exchange(snapshot_before, std::nullopt);
  newest_stands_alone = true;
  entries.clear();
  first_index = snapshot_index() + 1;
}

SimLogStore::SimLogStore(SimDisk& disk, EventLoop& loop, Random random, SimDiskLatency latency)
    : disk_(disk), loop_(loop), random_(random), latency_(latency) {
  disk_.FinishReset();
  opened_.hard_state = disk_.hard_state;
  opened_.first_index = disk_.first_index;
  opened_.last_index = disk_.last_index();
  if (disk_.snapshot.has_value()) opened_.snapshot = disk_.snapshot->meta;
  opened_.received = disk_.received;
  for (const Entry& entry : disk_.entries) {
    if (SetsMembers(entry.type)) opened_.memberships.emplace_back(entry.index, *MembersIn(entry));
    if (!opened_.term_starts.empty() && opened_.term_starts.back().second == entry.term) continue;
    opened_.term_starts.emplace_back(entry.index, entry.term);
  }
}

void SimLogStore::set_on_append(OnAppend on_append) {
  on_append_ = std::move(on_append);
  terms_.clear();
  for (const Entry& entry : disk_.entries) terms_[entry.index] = entry.term;
  if (disk_.snapshot.has_value()) terms_[disk_.snapshot->meta.index] = disk_.snapshot->meta.term;
}

void SimLogStore::NoteAppend(const PersistRequest& request) {
  if (!on_append_) return;
  if (request.snapshot.has_value())
    terms_[request.snapshot->meta.index] = request.snapshot->meta.term;
  if (request.entries.empty()) return;
  const LogIndex first = request.entries.front().index;
  terms_.erase(terms_.lower_bound(first), terms_.end());
  if (first > LogIndex(0)) on_append_(terms_.at(first - 1), request.entries);
  for (const Entry& entry : request.entries) terms_[entry.index] = entry.term;
}

void SimLogStore::Persist(PersistRequest request, std::function<void(Status)> done) {
  NoteAppend(request);
  queue_.push_back({std::move(request), std::move(done)});
  if (writing_ == 0) StartWrite();
}

void SimLogStore::StartWrite() {
  writing_ = queue_.size();
  loop_.RunAfter(random_.Between(latency_.ms_min, latency_.ms_max), [this] { FinishWrite(); });
}

void SimLogStore::FinishWrite() {
  for (; writing_ > 0; --writing_) {
    Waiting waiting = std::move(queue_.front());
    queue_.pop_front();
    if (failing_) {
      waiting.done(Status::IoError("simulated: the disk is gone"));
    } else {
      disk_.Execute(std::move(waiting.request));
      waiting.done(Status::Ok());
    }
  }
  if (!queue_.empty()) StartWrite();
}

void SimLogStore::Crash(Random& random) {
  const uint64_t whole = random.Below(queue_.size() + 1);
  for (uint64_t i = 0; i < whole; ++i) disk_.Execute(queue_[i].request);
  if (whole < queue_.size()) disk_.Execute(Torn(queue_[whole].request, random));
  if (random.Chance(1, 10)) disk_.LoseNewestSnapshot();
}

// Any prefix of the request's parts.
PersistRequest SimLogStore::Torn(const PersistRequest& whole, Random& random) {
  PersistRequest torn;
  const uint64_t parts = random.Below(6);
  if (parts >= 1) torn.hard_state = whole.hard_state;
  if (parts >= 1 && whole.received != nullptr) {
    auto received = std::make_shared<SnapshotChunk>(*whole.received);
    received->data.resize(random.Below(received->data.size() + 1));
    torn.received = std::move(received);
  }
  if (parts >= 2) torn.snapshot = whole.snapshot;
  if (parts >= 3) torn.reset_log = whole.reset_log;
  if (parts >= 4) torn.drop_before = whole.drop_before;
  if (parts < 5) return torn;
  torn.truncate_from = whole.truncate_from;
  const uint64_t count = random.Below(whole.entries.size() + 1);
  torn.entries.assign(whole.entries.begin(), whole.entries.begin() + static_cast<int64_t>(count));
  return torn;
}

Result<std::vector<Entry>> SimLogStore::Read(LogIndex from, LogIndex to, size_t bytes_max) const {
  if (from < disk_.first_index || to > disk_.last_index() + 1 || from >= to) {
    return Status::OutOfRange("simulated log holds " + std::to_string(disk_.first_index.value()) +
                              " to " + std::to_string(disk_.last_index().value()));
  }
  std::vector<Entry> entries;
  size_t bytes = 0;
  for (LogIndex index = from; index < to; ++index) {
    const Entry& entry = disk_.entries[static_cast<size_t>(index - disk_.first_index)];
    bytes += entry.data.size();
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back(entry);
  }
  return entries;
}

void SimLogStore::ReadSnapshot(const SnapshotRead& read,
                               std::function<void(Result<SnapshotChunk>)> done) {
  queue_.push_back({{}, [this, read, done = std::move(done)](const Status& disk) {
                      done(disk.ok() ? disk_.ReadSnapshot(read) : disk);
                    }});
  if (writing_ == 0) StartWrite();
}

void SimLogStore::LoadReceived(std::function<void(Result<Snapshot>)> done) {
  queue_.push_back({{}, [this, done = std::move(done)](const Status& disk) {
                      done(disk.ok() ? disk_.LoadReceived() : disk);
                    }});
  if (writing_ == 0) StartWrite();
}

Result<Snapshot> SimLogStore::LoadSnapshot() const {
  if (!disk_.snapshot.has_value()) return Status::NotFound("simulated log has no snapshot");
  return *disk_.snapshot;
}

}  // namespace sluice::raft::testing
