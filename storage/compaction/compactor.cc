#include "storage/compaction/compactor.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "storage/compaction/compaction_run.h"
#include "storage/compaction/io_budget.h"

namespace sluice::storage {
namespace {

constexpr uint64_t kStepBytes = 2u << 20;

using TargetPtr = std::shared_ptr<CompactionTarget>;

// A worker's present run.
struct ActiveRun {
  TargetPtr target;
  std::string directory;
  std::unique_ptr<CompactionRun> run;
  CompactionRun::Stats told;  // what the common counters have of it
  int64_t began_ms = 0;
};

// What is remembered of a log between runs; of another log by that name it tells nothing.
struct Remark {
  std::weak_ptr<CompactionTarget> target;
  Status uncleanable;
};

class Cleaner : public std::enable_shared_from_this<Cleaner> {
 public:
  explicit Cleaner(CompactorOptions options)
      : options_(std::move(options)),
        budget_(options_.io_bytes_per_second_max),
        random_(options_.random),
        runs_(options_.loops.size()) {}

  void Start() {
    for (size_t worker = 0; worker < options_.loops.size(); ++worker) Again(worker, 0);
  }
  void Stop() { stopped_ = true; }

  CompactorStats stats() const {
    std::lock_guard lock(mutex_);
    CompactorStats stats = stats_;
    for (const auto& [name, remark] : remarks_) {
      if (!remark.uncleanable.ok() && !remark.target.expired()) ++stats.uncleanable_partitions;
    }
    return stats;
  }

  Status Uncleanable(const TopicPartition& partition) const {
    std::lock_guard lock(mutex_);
    const auto found = remarks_.find(partition);
    const bool known = found != remarks_.end() && !found->second.target.expired();
    return known ? found->second.uncleanable : Status::Ok();
  }

 private:
  void Again(size_t worker, int64_t delay_ms) {
    options_.loops[worker]->RunAfter(delay_ms, [weak = weak_from_this(), worker] {
      if (const auto self = weak.lock()) self->Work(worker);
    });
  }

  void Work(size_t worker) {
    std::unique_ptr<ActiveRun>& run = runs_[worker];
    if (stopped_) {
      run.reset();
      return;
    }
    if (run == nullptr) {
      run = Begin();
      Again(worker, run == nullptr ? options_.backoff_ms : 0);
      return;
    }
    const Result<bool> more = Step(*run);
    const int64_t delay_ms =
        budget_.Spend(CountNew(*run), options_.loops[worker]->clock().SteadyMicros());
    if (more.ok() && *more) {
      Again(worker, delay_ms);
      return;
    }
    const bool done = more.ok();
    // A file that is cut while it is read looks damaged.
    const Status overtaken = Status::Unavailable("the log was truncated or closed");
    if (!done) Failed(*run, run->run->stale() ? overtaken : more.status());
    End(*run);
    run.reset();
    Again(worker, done ? delay_ms : options_.backoff_ms);
  }

  std::unique_ptr<ActiveRun> Begin() {
    TargetPtr target = Pick();
    if (target == nullptr) return nullptr;
    auto active = std::make_unique<ActiveRun>();
    active->target = target;
    active->began_ms = options_.loops.front()->clock().SteadyMs();
    // Before the plan: what is durable only grows.
    const std::optional<Offset> stay_from = options_.tombstones_stay_from
                                                ? options_.tombstones_stay_from(target->name())
                                                : std::nullopt;
    auto plan = target->PlanCompaction(options_.cleaned_upto(target->name()));
    if (!plan.ok()) {
      Failed(*active, plan.status());
      End(*active);
      return nullptr;
    }
    if (stay_from) plan->tombstones_stay_from = *stay_from;
    active->directory = plan->directory;
    active->run = std::make_unique<CompactionRun>(
        *std::move(plan), CompactionRun::Options{
                              .file_system = options_.file_system,
                              .map_bytes_max = options_.dedupe_buffer_bytes / options_.loops.size(),
                              .map_load_factor = options_.dedupe_load_factor,
                              .hasher = NewHasher()});
    return active;
  }

  KeyHasher NewHasher() {
    std::lock_guard lock(mutex_);
    return KeyHasher(random_);
  }

  // The dirtiest log that is due and that no other worker has. It is marked as taken.
  TargetPtr Pick() {
    TargetPtr best;
    double best_ratio = -1;
    double ratio_max = 0;
    for (const TargetPtr& target : options_.targets()) {
      if (stopped_) return nullptr;
      const auto survey = target->SurveyCompaction(options_.cleaned_upto(target->name()));
      if (!survey) continue;
      const double ratio = survey->dirty_ratio();
      ratio_max = std::max(ratio_max, ratio);
      if (!survey->due() || ratio <= best_ratio || !MayRun(target)) continue;
      best = target;
      best_ratio = ratio;
    }
    std::lock_guard lock(mutex_);
    stats_.dirty_ratio_max = ratio_max;
    if (best == nullptr || !taken_.insert(best->name()).second) return nullptr;
    return best;
  }

  bool MayRun(const TargetPtr& target) {
    std::lock_guard lock(mutex_);
    if (taken_.contains(target->name())) return false;
    const auto found = remarks_.find(target->name());
    if (found == remarks_.end()) return true;
    const Remark& remark = found->second;
    if (remark.target.lock() != target) {
      remarks_.erase(found);
      return true;
    }
    return remark.uncleanable.ok();
  }

  // False when the run is finished.
  Result<bool> Step(ActiveRun& active) {
    CompactionRun& run = *active.run;
    if (run.stale()) return Status::Unavailable("overtaken");
    if (!active.target->WantsCompaction())
      return Status::Unavailable("it is not compacted any more");
    SLUICE_ASSIGN_OR_RETURN(const CompactionRun::Progress progress, run.Step(kStepBytes));
    if (progress == CompactionRun::Progress::kWorking) return true;
    if (progress == CompactionRun::Progress::kSegmentReady) {
      if (stopped_) return Status::Unavailable("the node stops");
      SLUICE_RETURN_IF_ERROR(active.target->CommitCompaction(run.ready()));
      run.OnCommitted();
      // Before the checkpoint can say that this part is clean.
      SLUICE_RETURN_IF_ERROR(SyncNames(active));
      return true;
    }
    return Finished(active);
  }

  Status SyncNames(const ActiveRun& active) {
    const Status synced = options_.file_system->SyncDirectory(active.directory);
    if (synced.ok()) return synced;
    if (synced.code() == StatusCode::kNotFound) return Status::Unavailable("it was deleted");
    const Status failure = Status::IoError(synced.message());
    if (options_.sync_failed) options_.sync_failed(active.target->name(), failure);
    return failure;
  }

  Result<bool> Finished(ActiveRun& active) {
    const TopicPartition& name = active.target->name();
    const CompactionRun& run = *active.run;
    SLUICE_RETURN_IF_ERROR(options_.set_cleaned_upto(name, run.cleaned_upto()));
    // A truncation in between has lowered what this has just raised again.
    if (run.stale()) SLUICE_RETURN_IF_ERROR(options_.set_cleaned_upto(name, Offset(0)));
    const CompactionRun::Stats& stats = run.stats();
    LOG(INFO) << name.ToString() << " is clean up to offset " << run.cleaned_upto() << ": "
              << stats.bytes_before << " bytes became " << stats.bytes_after << " in "
              << options_.loops.front()->clock().SteadyMs() - active.began_ms << " ms, "
              << stats.map_entries << " keys" << (stats.map_was_full ? ", the map was full" : "");
    if (stats.records_without_key > 0) {
      LOG(WARNING) << name.ToString() << ": " << stats.records_without_key
                   << " records without a key were dropped";
    }
    std::lock_guard lock(mutex_);
    ++stats_.runs;
    return false;
  }

  void Failed(const ActiveRun& active, const Status& why) {
    const TopicPartition& name = active.target->name();
    switch (why.code()) {
      case StatusCode::kUnavailable:  // overtaken by a truncation, a deletion, a stop
      case StatusCode::kFenced:
        LOG(INFO) << name.ToString() << ": not cleaned, " << why.message();
        return;
      case StatusCode::kDiskFull:
        LOG(WARNING) << name.ToString() << ": not cleaned for want of "
                     << "room, tried again later: " << why.message();
        return;
      default: break;
    }
    LOG(ERROR) << name.ToString()
               << " cannot be cleaned and is set aside until the next start: " << why.ToString();
    std::lock_guard lock(mutex_);
    Remark& remark = remarks_[name];
    remark.target = active.target;
    remark.uncleanable = why;
  }

  void End(const ActiveRun& active) {
    std::lock_guard lock(mutex_);
    taken_.erase(active.target->name());
  }

  // Adds what the run did since the last time to the counters; returns the bytes.
  uint64_t CountNew(ActiveRun& active) {
    const CompactionRun::Stats now = active.run->stats();
    const uint64_t read = now.bytes_read - active.told.bytes_read;
    const uint64_t written = now.bytes_written - active.told.bytes_written;
    const uint64_t before = now.bytes_before - active.told.bytes_before;
    const uint64_t after = now.bytes_after - active.told.bytes_after;
    active.told = now;
    std::lock_guard lock(mutex_);
    stats_.bytes_read += read;
    stats_.bytes_written += written;
    if (before > after) stats_.bytes_removed += before - after;
    return read + written;
  }

  const CompactorOptions options_;
  std::atomic<bool> stopped_{false};
  IoBudget budget_;
  mutable std::mutex mutex_;  // guards all below but runs_
  Random random_;
  std::set<TopicPartition> taken_;
  std::map<TopicPartition, Remark> remarks_;
  CompactorStats stats_;
  std::vector<std::unique_ptr<ActiveRun>> runs_;  // each of its worker alone
};

class CompactorHandle final : public Compactor {
 public:
  explicit CompactorHandle(CompactorOptions options)
      : cleaner_(std::make_shared<Cleaner>(std::move(options))) {
    cleaner_->Start();
  }
  ~CompactorHandle() override { cleaner_->Stop(); }
  void Stop() override { cleaner_->Stop(); }
  CompactorStats stats() const override { return cleaner_->stats(); }
  Status Uncleanable(const TopicPartition& partition) const override {
    return cleaner_->Uncleanable(partition);
  }

 private:
  const std::shared_ptr<Cleaner> cleaner_;
};

}  // namespace

std::unique_ptr<Compactor> Compactor::Start(CompactorOptions options) {
  CHECK(!options.loops.empty());
  return std::make_unique<CompactorHandle>(std::move(options));
}

}  // namespace sluice::storage
