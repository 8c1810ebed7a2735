#include "broker/group/testing/model_log.h"

#include <glog/logging.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/bytes.h"
#include "kafka/record_batch.h"

namespace sluice::broker::testing {

using kafka::ErrorCode;

namespace {

constexpr int64_t kTickMs = 50;

// A file that is in memory and never changes.
class BytesFile final : public File {
 public:
  explicit BytesFile(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) const override {
    return std::string_view(bytes_).substr(offset).copy(out, size);
  }
  Status WriteParts(uint64_t, std::span<const std::string_view>) override { return ReadOnly(); }
  Status Truncate(uint64_t) override { return ReadOnly(); }
  Result<uint64_t> Size() const override { return bytes_.size(); }
  Status Sync() override { return Status::Ok(); }

 private:
  static Status ReadOnly() { return Status::InvalidArgument("it is read only"); }

  const std::string bytes_;
};

}  // namespace

// What a broker's coordinator sees of its replica.
class ModelLog::Replicas final : public ReplicaManager {
 public:
  Replicas(ModelLog& log, NodeId id) : log_(log), id_(id) {}

  void Produce(ProduceRequestParams params,
               std::function<void(std::vector<ProduceEntryResult>)> done) override {
    log_.Produce(id_, std::move(params), std::move(done));
  }
  std::optional<LocalState> TakeLocalState(const PartitionKey&) override {
    return log_.TakeLocalState(id_);
  }
  LocalRead ReadLocal(const PartitionKey&, Offset from, size_t) override {
    return log_.ReadLocal(id_, from);
  }

  void Fetch(FetchRequestParams, std::function<void(std::vector<FetchEntryResult>)>) override {
    Unmodelled();
  }
  void ListOffsets(std::vector<ListOffsetsEntry>, ParkedRequests*,
                   std::function<void(std::vector<ListOffsetsResult>)>) override {
    Unmodelled();
  }
  std::vector<EpochEndResult> OffsetsForLeaderEpoch(const std::vector<EpochEndEntry>&) override {
    Unmodelled();
    return {};
  }
  void DeleteRecords(DeleteRecordsParams,
                     std::function<void(std::vector<DeleteRecordsResult>)>) override {
    Unmodelled();
  }
  std::vector<kafka::ErrorCode> AlterLogDirs(const std::vector<AlterLogDirEntry>&) override {
    Unmodelled();
    return {};
  }
  std::vector<PartitionStatus> Status() const override { return {}; }
  void KeepBrokerEpoch(BrokerEpoch, std::function<void()> done) override { done(); }
  storage::CompactorStats CompactionStats() const override { return {}; }
  std::map<storage::TopicPartition, Offset> Stop() override { return {}; }

 private:
  static void Unmodelled() { LOG(FATAL) << "a coordinator does not need it"; }

  ModelLog& log_;
  const NodeId id_;
};

ModelLog::ModelLog(::sluice::testing::SimScheduler& scheduler, Random random,
                   ModelLogOptions options, Listener listener)
    : scheduler_(scheduler),
      random_(random),
      options_(std::move(options)),
      listener_(std::move(listener)),
      world_(scheduler) {
  for (const NodeId id : options_.nodes) {
    replicas_[id];
    managers_[id] = std::make_unique<Replicas>(*this, id);
    in_sync_.insert(id);
  }
  Tick();
}

ModelLog::~ModelLog() = default;

ReplicaManager& ModelLog::replicas(NodeId id) { return *managers_.at(id); }

bool ModelLog::Linked(NodeId a, NodeId b) const { return !At(a).cut && !At(b).cut; }

void ModelLog::On(NodeId id, int64_t delay_ms, std::function<void()> task) {
  if (At(id).loop != nullptr) At(id).loop->RunAfter(delay_ms, std::move(task));
}

void ModelLog::Note(NodeId id) {
  if (!std::exchange(At(id).told, true)) On(id, 0, [this, id] { listener_.on_change(id); });
}

// --- Faults ---

void ModelLog::Start(NodeId id) {
  Replica& replica = At(id);
  CHECK(replica.loop == nullptr);
  replica.loop = std::make_unique<::sluice::testing::PausableLoop>(scheduler_);
  // The checkpoint of the high watermark is not written with each change of it.
  const auto known = static_cast<size_t>(
      std::count_if(replica.batches.begin(), replica.batches.end(),
                    [&](const auto& batch) { return batch->end <= replica.high_watermark; }));
  const size_t older = known - random_.Below(std::min<size_t>(known, 10) + 1);
  replica.high_watermark = older == 0 ? Offset(0) : replica.batches[older - 1]->end;
  replica.lowest_end = replica.end();
  replica.knows_role = replica.leads = replica.told = replica.fetching = false;
  replica.leader = kNoNode;
  replica.epoch = kNoEpoch;
  replica.fenced = true;
  Note(id);
}

void ModelLog::Kill(NodeId id) {
  Replica& replica = At(id);
  replica.loop.reset();
  replica.waiting.clear();
  // Its connections break, and a new one is refused.
  world_.RunAfter(random_.Between(5, 60), [this, id] {
    if (At(id).loop == nullptr) Fence(id);
  });
}

void ModelLog::SetCut(NodeId id, bool cut) {
  At(id).cut = cut;
  if (cut) return;
  On(id, Delay(), [this, id] { TakeRole(id); });
  KickAll();
}

void ModelLog::SetPaused(NodeId id, bool paused) {
  Replica& replica = At(id);
  if (replica.loop == nullptr) return;
  if (paused) replica.loop->Pause();
  if (!paused) replica.loop->Resume();
  if (!paused) KickAll();
}

// --- Controller ---

void ModelLog::Tick() {
  for (auto& [id, replica] : replicas_) {
    if (Reachable(replica)) {
      if (replica.fenced) On(id, Delay(), [this, id = id] { TakeRole(id); });
      if (!replica.fenced) {
        replica.contact_ms = NowMs();
        listener_.on_contact(id);
      }
    } else if (!replica.fenced &&
               NowMs() - replica.contact_ms > options_.session_ms + 2 * kTickMs) {
      Fence(id);
    }
    ExpireWaiting(id);
  }
  ShrinkInSync();
  if (leader_ == kNoNode) Elect();
  world_.RunAfter(kTickMs, [this] { Tick(); });
}

void ModelLog::Fence(NodeId id) {
  At(id).fenced = true;
  if (leader_ == id) Elect();
}

void ModelLog::Elect() {
  std::vector<NodeId> able;
  for (const NodeId id : in_sync_) {
    if (!At(id).fenced) able.push_back(id);
  }
  if (able.empty()) {
    if (leader_ != kNoNode) SetLeader(kNoNode);
  } else {
    SetLeader(able[random_.Below(able.size())]);
  }
}

void ModelLog::SetLeader(NodeId id) {
  leader_ = id;
  epoch_ = epoch_ + 1;
  SpreadMetadata();
}

bool ModelLog::Move(NodeId to) {
  if (to == leader_ || At(to).fenced || !in_sync_.contains(to)) return false;
  SetLeader(to);
  return true;
}

// The leader asks for it, so only one that the controller hears.
void ModelLog::ShrinkInSync() {
  if (leader_ == kNoNode || !Reachable(At(leader_)) || At(leader_).epoch != epoch_) return;
  std::erase_if(in_sync_, [this](NodeId id) { return id != leader_ && At(id).fenced; });
  At(leader_).in_sync = in_sync_;
  AdvanceHighWatermark(leader_);
}

void ModelLog::SpreadMetadata() {
  for (auto& [id, replica] : replicas_) {
    // One that is not reached now hears of it when its session begins anew.
    if (replica.cut || replica.fenced) continue;
    On(id, Delay(), [this, id = id] {
      if (!At(id).cut) TakeRole(id);
    });
  }
}

void ModelLog::TakeRole(NodeId id) {
  Replica& replica = At(id);
  if (replica.cut) return;
  replica.fenced = false;
  replica.contact_ms = NowMs();
  listener_.on_contact(id);
  listener_.on_metadata(id);
  if (replica.knows_role && replica.epoch == epoch_ && replica.leader == leader_) return;
  FailWaiting(id, ErrorCode::kNotLeaderOrFollower);
  replica.knows_role = true;
  replica.epoch = epoch_;
  replica.leader = leader_;
  replica.leads = leader_ == id;
  replica.epoch_start = replica.end();
  replica.follower_ends.clear();
  replica.in_sync = in_sync_;
  replica.fetching = false;
  ++replica.fetch;
  Note(id);
  KickAll();
}

NodeId ModelLog::LeaderKnownTo(NodeId id) const {
  return At(id).knows_role ? At(id).leader : kNoNode;
}

bool ModelLog::Settled() const {
  if (leader_ == kNoNode || in_sync_.size() != replicas_.size()) return false;
  const Replica& leader = At(leader_);
  return std::all_of(replicas_.begin(), replicas_.end(), [&](const auto& entry) {
    const Replica& replica = entry.second;
    return replica.running() && replica.epoch == epoch_ && !replica.cut &&
           replica.end() == leader.end() && replica.high_watermark == leader.end();
  });
}

// --- Replicas ---

void ModelLog::KickAll() {
  for (auto& [id, replica] : replicas_) {
    // What it waited for may have been lost.
    ++replica.fetch;
    replica.fetching = false;
    Kick(id);
  }
}

void ModelLog::Kick(NodeId follower) {
  Replica& replica = At(follower);
  if (!replica.running() || replica.leads || !replica.knows_role || replica.fetching) return;
  if (replica.leader == kNoNode || !Linked(follower, replica.leader)) return;
  replica.fetching = true;
  On(replica.leader, Delay(),
     [this, follower, fetch = ++replica.fetch] { Serve(follower, fetch); });
}

void ModelLog::Serve(NodeId follower, uint64_t fetch) {
  Replica& replica = At(follower);
  if (replica.fetch != fetch || !replica.running() || !Linked(follower, replica.leader)) return;
  const NodeId id = replica.leader;
  Replica& leader = At(id);
  if (!leader.leads || leader.epoch != replica.epoch) return;
  Served served{fetch, std::min(leader.batches.size(), replica.batches.size()), {}, {}};
  while (served.common > 0 &&
         leader.batches[served.common - 1] != replica.batches[served.common - 1])
    --served.common;
  if (served.common == replica.batches.size()) {
    leader.follower_ends[follower] = replica.end();
    // One that has all is in sync, and stays so until it is fenced.
    if (replica.end() == leader.end() && !in_sync_.contains(follower) && id == leader_ &&
        leader.epoch == epoch_ && Reachable(leader) && !replica.fenced) {
      in_sync_.insert(follower);
      leader.in_sync = in_sync_;
    }
    AdvanceHighWatermark(id);
  }
  const size_t count =
      std::min<size_t>(leader.batches.size() - served.common, 1 + random_.Below(20));
  const auto from = leader.batches.begin() + static_cast<ptrdiff_t>(served.common);
  served.batches.assign(from, from + static_cast<ptrdiff_t>(count));
  served.high_watermark = leader.high_watermark;
  On(follower, Delay(), [this, follower, served] { TakeServed(follower, served); });
}

void ModelLog::TakeServed(NodeId follower, const Served& served) {
  Replica& replica = At(follower);
  if (replica.fetch != served.fetch || replica.cut) return;
  replica.fetching = false;
  const bool grows = !served.batches.empty() || served.common < replica.batches.size();
  if (served.common < replica.batches.size()) Cut(replica, served.common);
  replica.batches.insert(replica.batches.end(), served.batches.begin(), served.batches.end());
  const Offset high_watermark = std::min(served.high_watermark, replica.end());
  if (high_watermark > replica.high_watermark) {
    replica.high_watermark = high_watermark;
    Note(follower);
  }
  // Also so that the leader hears that it has them; and what has come since it was asked.
  const Replica& leader = At(replica.leader);
  if (grows || leader.end() != replica.end() || leader.high_watermark > replica.high_watermark)
    Kick(follower);
}

void ModelLog::Cut(Replica& replica, size_t batches) {
  replica.batches.resize(batches);
  CHECK(replica.end() >= replica.high_watermark) << "what is committed was cut away";
  replica.lowest_end = std::min(replica.lowest_end, replica.end());
}

void ModelLog::AdvanceHighWatermark(NodeId id) {
  Replica& leader = At(id);
  if (!leader.leads || leader.in_sync.size() < options_.in_sync_min) return;
  Offset committable = leader.end();
  for (const NodeId other : leader.in_sync) {
    if (other == id) continue;
    const auto known = leader.follower_ends.find(other);
    committable =
        std::min(committable, known == leader.follower_ends.end() ? Offset(0) : known->second);
  }
  if (committable <= leader.high_watermark) return;
  leader.high_watermark = committable;
  NoteCommitted(leader);
  Acknowledge(id);
  Note(id);
  for (auto& [other, replica] : replicas_) Kick(other);
}

void ModelLog::NoteCommitted(const Replica& leader) {
  const size_t known = std::min(committed_.size(), leader.batches.size());
  CHECK(known == 0 || committed_[known - 1] == leader.batches[known - 1])
      << "what is committed has changed at " << committed_[known - 1]->base;
  for (size_t at = committed_.size(); at < leader.batches.size(); ++at) {
    const ModelBatchPtr& batch = leader.batches[at];
    if (batch->end > leader.high_watermark) break;
    committed_.push_back(batch);
    listener_.on_committed(batch);
  }
}

void ModelLog::Acknowledge(NodeId id) {
  Replica& leader = At(id);
  // Without a lease another leader may exist.
  if (NowMs() - leader.contact_ms >= options_.session_ms) return;
  while (!leader.waiting.empty() && leader.waiting.front().end <= leader.high_watermark) {
    Waiting done = std::move(leader.waiting.front());
    leader.waiting.pop_front();
    On(id, random_.Between(0, 2), [done = std::move(done)] {
      ProduceEntryResult result;
      result.base_offset = done.base;
      done.done({result});
    });
  }
}

void ModelLog::FailWaiting(NodeId id, ErrorCode error) {
  for (Waiting& failed : std::exchange(At(id).waiting, {})) {
    On(id, random_.Between(0, 2), [failed = std::move(failed), error] {
      ProduceEntryResult result;
      result.base_offset = failed.base;
      result.error = error;
      failed.done({result});
    });
  }
}

void ModelLog::ExpireWaiting(NodeId id) {
  Replica& replica = At(id);
  if (!replica.running() || replica.waiting.empty()) return;
  Acknowledge(id);
  while (!replica.waiting.empty() && replica.waiting.front().deadline_ms <= NowMs()) {
    Waiting expired = std::move(replica.waiting.front());
    replica.waiting.pop_front();
    ProduceEntryResult result;
    result.base_offset = expired.base;
    result.error = ErrorCode::kRequestTimedOut;
    expired.done({result});
  }
}

// --- As ReplicaManager has them ---

ErrorCode ModelLog::CheckAppend(const Replica& replica, const ProduceEntry& entry) {
  if (NowMs() - replica.contact_ms >= options_.session_ms || !replica.knows_role || !replica.leads)
    return ErrorCode::kNotLeaderOrFollower;
  if (entry.leader_epoch != kNoEpoch && entry.leader_epoch != replica.epoch)
    return ErrorCode::kFencedLeaderEpoch;
  if (replica.in_sync.size() < options_.in_sync_min) return ErrorCode::kNotEnoughReplicas;
  if (random_faults_ && random_.Chance(options_.refusals, 1000))
    return random_.Chance(1, 2) ? ErrorCode::kKafkaStorageError : ErrorCode::kMessageTooLarge;
  return ErrorCode::kNone;
}

void ModelLog::Produce(NodeId id, ProduceRequestParams params,
                       std::function<void(std::vector<ProduceEntryResult>)> done) {
  Replica& replica = At(id);
  CHECK(replica.running() && params.entries.size() == 1);
  ProduceEntryResult refused;
  refused.error = CheckAppend(replica, params.entries[0]);
  if (refused.error != ErrorCode::kNone) return done({refused});
  auto batch = std::make_shared<ModelBatch>();
  batch->base = replica.end();
  batch->epoch = replica.epoch;
  batch->bytes = params.entries[0].records.bytes();
  StoreBigEndian<int64_t>(batch->bytes.data() + kafka::batch_layout::kBaseOffset,
                          batch->base.value());
  StoreBigEndian<int32_t>(batch->bytes.data() + kafka::batch_layout::kPartitionLeaderEpoch,
                          batch->epoch.value());
  batch->end = kafka::RecordBatchView::Parse(batch->bytes)->next_offset();
  replica.waiting.push_back(
      {batch->base, batch->end, NowMs() + params.timeout_ms, std::move(done)});
  replica.batches.push_back(std::move(batch));
  for (auto& [other, follower] : replicas_) Kick(other);
}

std::optional<LocalState> ModelLog::TakeLocalState(NodeId id) {
  Replica& replica = At(id);
  replica.told = false;
  return LocalState{.usable = true,
                    .is_leader = replica.leads,
                    .leader_epoch = replica.epoch,
                    .epoch_start = replica.epoch_start,
                    .high_watermark = replica.high_watermark,
                    .log_start = Offset(0),
                    .lowest_end = std::exchange(replica.lowest_end, Offset(INT64_MAX))};
}

LocalRead ModelLog::ReadLocal(NodeId id, Offset from) {
  const Replica& replica = At(id);
  LocalRead read;
  if (random_faults_ && random_.Chance(options_.bad_reads, 1000)) {
    read.error = ErrorCode::kKafkaStorageError;
    return read;
  }
  std::string bytes;
  auto batch = std::upper_bound(
      replica.batches.begin(), replica.batches.end(), from,
      [](Offset offset, const ModelBatchPtr& candidate) { return offset < candidate->end; });
  for (size_t left = 1 + random_.Below(50); left > 0; --left, ++batch) {
    if (batch == replica.batches.end() || (*batch)->end > replica.high_watermark) break;
    bytes += (*batch)->bytes;
  }
  read.size_bytes = bytes.size();
  if (bytes.empty()) return read;
  FileSlice& slice = read.records.emplace_back();
  slice.size_bytes = static_cast<uint32_t>(bytes.size());
  slice.file = std::make_shared<BytesFile>(std::move(bytes));
  return read;
}

std::string ModelLog::Describe() const {
  std::ostringstream out;
  out << "leader " << leader_ << " of epoch " << epoch_ << ", committed up to " << committed_end();
  for (const auto& [id, replica] : replicas_) {
    out << "\n  " << id
        << (replica.loop == nullptr ? " dead"
            : replica.running()     ? ""
                                    : " paused")
        << (replica.cut ? " cut" : "") << (replica.fenced ? " fenced" : "")
        << (in_sync_.contains(id) ? " in sync" : "") << (replica.leads ? " leads" : "") << " epoch "
        << replica.epoch << " end " << replica.end() << " high watermark "
        << replica.high_watermark;
  }
  return out.str();
}

}  // namespace sluice::broker::testing
