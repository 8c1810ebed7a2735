#include "storage/testing/crash_script.h"

#include <algorithm>

#include "kafka/record_batch_builder.h"
#include "storage/testing/run_compaction.h"

namespace sluice::storage::testing {
namespace {

constexpr char kDirectory[] = "/data";
constexpr char kViewDirectory[] = "/kv";
constexpr char kStream[] = "orders-0";
constexpr int kSteps = 14;
constexpr int kCompactingSteps = 24;  // of two runs of the cleaner the second forgets deletions
constexpr int64_t kForEver = -1;
constexpr KvFamily kEntries = 0;

const TopicPartition kName{"orders", PartitionIndex(0)};
const TopicId kTopicId = Uuid::FromBytes("0123456789abcdef");

}  // namespace

std::ostream& operator<<(std::ostream& out, const KeyedRecord& record) {
  return out << record.offset << " " << record.key << "=" << record.value.value_or("null");
}

void CrashModel::TruncateTo(int64_t offset) {
  std::erase_if(batches, [&](const ModelBatch& batch) {
    if (batch.seen.last < offset) return false;
    offset = std::min(offset, batch.seen.base);
    return true;
  });
  end = std::max(offset, start);
  synced = end;
}

CrashScript::CrashScript(uint64_t seed, ::sluice::testing::SimFileSystem& fs)
    : random_(seed), compacts_(seed % 4 == 0), numbered_(seed / 4 % 2 == 0), fs_(fs) {}

CrashScript::~CrashScript() = default;

LogConfig CrashScript::Config() const {
  LogConfig config;
  config.segment_bytes = compacts_ ? 300 : 600;
  config.index_interval_bytes = 150;
  config.retention_ms = kForEver;
  config.retention_bytes = compacts_ ? 2000 : 1200;
  config.cleanup_compact = compacts_;
  config.delete_retention_ms = 0;
  return config;
}

void CrashScript::Run(const Ending& ending) {
  CHECK(LogManager::Format(fs_, kDirectory, {"cluster", NodeId(1), Uuid::Generate(random_)}).ok());
  CHECK(fs_.SyncFileSystem("/").ok());
  checked_tail_bytes_ = random_.Below(3) * 100;
  first_change_ = fs_.changes();
  fs_.StopAfter(ending.changes);
  if (ending.fault) fs_.InjectFault(*ending.fault);
  OpenView();
  if (!Open(false).ok()) return;
  Settle();
  for (int i = 0; i < (compacts_ ? kCompactingSteps : kSteps); ++i) {
    const Status done = compacts_ ? CompactingStep() : Step();
    if (!done.ok()) {
      // A process lives on where its disk was full for a moment, but for one that stops or starts.
      if (done.code() != StatusCode::kDiskFull || log_ == nullptr || !log_->failure().ok()) return;
      Resume();
    }
    Settle();
    clock_.AdvanceMs(1);
  }
}

// After a refusal for want of room: the log tells whether its operation was done.
void CrashScript::Resume() {
  const int64_t end = log_->log_end_offset().value();
  model_.start = log_->log_start_offset().value();
  if (end > model_.end) {
    model_.batches = allowed_.batches;
    model_.end = end;
  }
  if (end == model_.end) return;
  model_.TruncateTo(end);
  if (model_.end == model_.start) model_.start_kept = 0;
  ++epoch_;
}

void CrashScript::Die() {
  log_.reset();
  logs_.reset();
  kv_.reset();
}

Status CrashScript::Open(bool host_restarted) {
  log_.reset();
  logs_.reset();
  if (kv_ == nullptr) OpenView();
  LogManagerOptions options;
  options.directory = kDirectory;
  options.file_system = &fs_;
  options.clock = &clock_;
  options.config = Config();
  options.recovery_threads = 1;
  options.host_restarted = host_restarted;
  options.open_files_max = 2;
  options.checked_tail_bytes = checked_tail_bytes_;
  options.run_later = [](const std::function<void()>& task) { task(); };
  SLUICE_ASSIGN_OR_RETURN(logs_, LogManager::Open(std::move(options)));
  SLUICE_ASSIGN_OR_RETURN(log_, logs_->GetOrCreate(kName, kTopicId, Config()));
  return Status::Ok();
}

Result<std::vector<ModelBatch>> CrashScript::ReadAll() {
  std::vector<ModelBatch> all;
  for (Offset from = log_->log_start_offset();;) {
    SLUICE_ASSIGN_OR_RETURN(const ReadResult read,
                            log_->Read(from, 1 << 20, Offset(INT64_MAX), true));
    // Where the process has stopped nothing can be read any more.
    if (fs_.stopped()) return Status::IoError("the process has stopped");
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadBytesOf(read));
    const std::vector<SeenBatch> seen = BatchesIn(bytes);
    if (seen.empty()) return all;
    kafka::BatchIterator batches(bytes);
    for (const SeenBatch& each : seen) {
      const auto batch = batches.Next();
      CHECK(batch.ok() && *batch);
      ModelBatch found{each, {}};
      kafka::RecordIterator records(**batch, (*batch)->records());
      for (kafka::Record record; (*batch)->record_count() > 0 && records.Next(record);) {
        found.records.push_back(
            {record.offset.value(), std::string(*record.key),
             record.value ? std::optional<std::string>(*record.value) : std::nullopt});
      }
      all.push_back(std::move(found));
    }
    from = Offset(seen.back().last + 1);
  }
}

Status CrashScript::Step() {
  const uint64_t dice = random_.Below(100);
  if (dice < 50) return Append();
  if (dice < 66) return Flush();
  if (dice < 73) return Truncate();
  if (dice < 80) return AdvanceStart();
  if (dice < 86) return Retain();
  if (dice < 94) return WriteCheckpoints();
  return StopAndStart();
}

Status CrashScript::CompactingStep() {
  const uint64_t dice = random_.Below(100);
  if (dice < 42) return Append();
  if (dice < 57) return Flush();
  if (dice < 60) return Truncate();
  if (dice < 62) return AdvanceStart();
  if (dice < 64) return Retain();
  if (dice < 68) return WriteCheckpoints();
  if (dice < 82) return Compact();
  if (dice < 92) return ApplyToView(model_.synced);
  if (dice < 97) return kv_->Flush();
  return StopAndStart();
}

void CrashScript::Settle() {
  allowed_ = {.batches = model_.batches,
              .end_min_after_kill = model_.end,
              .end_min_after_power_cut = std::max(model_.synced, model_.start_kept),
              .start = model_.start,
              .start_max = model_.start,
              .cleaned_max = model_.cleaned_max,
              .tombstones_from = model_.tombstones_from};
}

Status CrashScript::Append() {
  // Offsets have no gaps, and so serve as sequence numbers.
  kafka::RecordBatchBuilder builder(
      {.base_offset = Offset(model_.end),
       .partition_leader_epoch = LeaderEpoch(epoch_),
       .producer_id = numbered_ ? ProducerId(7) : kNoProducer,
       .producer_epoch = static_cast<int16_t>(numbered_ ? 0 : -1),
       .base_sequence = numbered_ ? static_cast<int32_t>(model_.end) : -1});
  ModelBatch batch;
  const int64_t count = random_.Between(1, 4);
  for (int64_t i = 0; i < count; ++i) {
    KeyedRecord record{model_.end + i, "k" + std::to_string(random_.Below(6)), std::nullopt};
    // Each is another, so that one that stands for another shows.
    if (!random_.Chance(1, 5))
      record.value = std::to_string(record.offset) + std::string(random_.Below(100), 'v');
    builder.Append({.timestamp_ms = clock_.WallMs(), .key = record.key, .value = record.value});
    batch.records.push_back(std::move(record));
  }
  const std::string bytes = *builder.Build();
  batch.seen = {model_.end, model_.end + count - 1, epoch_, bytes.size()};
  allowed_.batches.push_back(batch);
  if (random_.Chance(1, 3)) {
    SLUICE_RETURN_IF_ERROR(log_->AppendAsFollower(bytes, LeaderEpoch(epoch_)));
  } else {
    SLUICE_RETURN_IF_ERROR(log_->AppendAsLeader(bytes, LeaderEpoch(epoch_)).status());
  }
  model_.end = batch.seen.last + 1;
  model_.batches.push_back(std::move(batch));
  return Status::Ok();
}

Status CrashScript::Flush() {
  const FlushTarget target = log_->PrepareFlush();
  const Status outcome = target.Run();
  log_->OnFlushed(target.upto, outcome);
  SLUICE_RETURN_IF_ERROR(outcome);
  model_.synced = model_.end;
  return outcome;
}

// Not below what was cleaned: where it would end there, only the cleaned log tells.
Status CrashScript::Truncate() {
  const int64_t lowest = std::max(model_.start, model_.cleaned_max);
  const int64_t offset = random_.Between(std::min(lowest, model_.end), model_.end);
  CrashModel after = model_;
  after.TruncateTo(offset);
  // One that takes everything begins with nothing.
  const int64_t end_min = after.end == after.start ? 0 : after.end;
  allowed_.end_min_after_kill = std::min(allowed_.end_min_after_kill, end_min);
  allowed_.end_min_after_power_cut = std::min(allowed_.end_min_after_power_cut, end_min);
  // Other records will come in place of those that the view has seen.
  if (view_applied().value_or(0) > after.end) SLUICE_RETURN_IF_ERROR(ForgetView());
  const bool cuts = offset < model_.end;
  SLUICE_RETURN_IF_ERROR(log_->TruncateTo(Offset(offset)));
  if (after.end == after.start) after.start_kept = 0;  // it may have gone with all the rest
  if (cuts) model_ = std::move(after);
  ++epoch_;
  return Status::Ok();
}

Status CrashScript::AdvanceStart() {
  const bool all = random_.Chance(1, 2);
  const int64_t offset = all ? model_.end : random_.Between(model_.start, model_.end);
  SLUICE_RETURN_IF_ERROR(ApplyToView(std::max(offset, model_.synced)));
  allowed_.start_max = offset;
  SLUICE_RETURN_IF_ERROR(log_->AdvanceLogStart(Offset(offset)));
  model_.start = offset;
  return Status::Ok();
}

Status CrashScript::Retain() {
  SLUICE_RETURN_IF_ERROR(ApplyToView(model_.synced));
  allowed_.start_max = model_.end;
  SLUICE_RETURN_IF_ERROR(log_->ApplyRetention(Offset(model_.synced)).status());
  model_.start = log_->log_start_offset().value();
  return Status::Ok();
}

// As the compactor does it.
Status CrashScript::Compact() {
  // Other replicas may have more than what is synced here.
  auto plan = log_->PlanCompaction(logs_->CleanedUpto(kName), Offset(model_.end));
  SLUICE_RETURN_IF_ERROR(plan.status());
  if (const auto from = TombstonesStayFrom(*kv_, kStream)) plan->tombstones_stay_from = *from;
  CrashModel& after = model_;
  after.cleaned_max = std::max(after.cleaned_max, plan->survey.upper.value());
  after.tombstones_from =
      std::max(after.tombstones_from, std::min(plan->tombstones_stay_from.value(), after.end));
  allowed_.cleaned_max = after.cleaned_max;
  allowed_.tombstones_from = after.tombstones_from;
  CompactionRun run(*std::move(plan), {.file_system = &fs_, .map_bytes_max = 1 << 16});
  SLUICE_RETURN_IF_ERROR(RunCompaction(run, *log_, fs_, std::string(kDirectory) + "/" + kStream));
  return logs_->SetCleanedUpto(kName, run.cleaned_upto());
}

Status CrashScript::WriteCheckpoints() {
  SLUICE_RETURN_IF_ERROR(logs_->WriteCheckpoints({{kName, Offset(model_.synced)}}));
  model_.start_kept = model_.start;
  return Status::Ok();
}

Status CrashScript::StopAndStart() {
  const Status closed = logs_->CloseCleanly({{kName, Offset(model_.end)}}, BrokerEpoch(1));
  log_.reset();
  SLUICE_RETURN_IF_ERROR(closed);
  model_.synced = model_.end;
  Settle();
  return Open(false);
}

void CrashScript::OpenView() {
  auto kv = kv_disk_.Open({.directory = kViewDirectory, .families = {"entries"}});
  CHECK(kv.ok());
  kv_ = std::move(*kv);
}

std::optional<int64_t> CrashScript::view_applied() const {
  const auto applied = kv_->Applied(kStream).value();
  return applied ? std::optional(applied->value()) : std::nullopt;
}

Entries CrashScript::View() const {
  Entries entries;
  CHECK(kv_->Iterate(nullptr, {kEntries},
                     [&](std::string_view key, std::string_view value) {
                       entries.emplace(key, value);
                       return true;
                     })
            .ok());
  return entries;
}

void CrashScript::Apply(const std::vector<ModelBatch>& batches, int64_t from, int64_t upto,
                        Entries& entries) {
  for (const ModelBatch& batch : batches) {
    for (const KeyedRecord& record : batch.records) {
      if (record.offset < from || record.offset >= upto) continue;
      if (record.value)
        entries[record.key] = *record.value;
      else
        entries.erase(record.key);
    }
  }
}

// Reads on from where the view is. One is begun only where it can have seen everything.
Status CrashScript::ApplyToView(int64_t upto) {
  const int64_t from = view_applied().value_or(0);
  if (from < model_.start || (from == 0 && model_.cleaned_max > 0)) return Status::Ok();
  Entries entries = View();
  SLUICE_ASSIGN_OR_RETURN(const auto batches, ReadAll());
  Apply(batches, from, upto, entries);
  KvBatch batch;
  batch.DeleteRange(kEntries, "", "~");
  for (const auto& [key, value] : entries) batch.Put(kEntries, key, value);
  batch.SetApplied(kStream, Offset(std::max(from, upto)));
  return kv_->Write(batch);
}

Status CrashScript::ForgetView() {
  KvBatch batch;
  batch.DeleteRange(kEntries, "", "~");
  batch.ForgetApplied(kStream);
  SLUICE_RETURN_IF_ERROR(kv_->Write(batch));
  return kv_->Flush();
}

}  // namespace sluice::storage::testing
