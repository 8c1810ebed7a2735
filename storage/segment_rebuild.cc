#include "storage/segment_rebuild.h"

#include <utility>

namespace sluice::storage {
namespace {

constexpr std::string_view kSuffixes[] = {kIndexSuffix, kTimeIndexSuffix};

}  // namespace

SegmentRebuild::SegmentRebuild(const SegmentHome& home, Offset base,
                               const Segment::Expected& expected)
    : home_{home.directory, home.cache, nullptr},
      expected_(expected),
      built_(Segment::Open(home_, base)),
      damage_{.why = Status::Ok(), .whole_end = base} {}

SegmentRebuild::~SegmentRebuild() {
  if (!done() || installed_) return;
  for (const std::string_view suffix : kSuffixes) {
    const std::string aside =
        home_.PathOf(built_->base_offset(), suffix) + std::string(kTempSuffix);
    // Where it cannot be removed now the next start does it.
    if (home_.fs().Exists(aside)) (void)home_.fs().Remove(aside);
  }
}

void SegmentRebuild::Run() {
  std::lock_guard lock(mutex_);
  if (done()) return;
  outcome_ = built_->Rebuild(expected_.end, true, expected_.index_interval_bytes,
                             Segment::IndexFiles::kAside, &damage_);
  done_.store(true, std::memory_order_release);
}

Status SegmentRebuild::Install() {
  for (const std::string_view suffix : kSuffixes) {
    const std::string path = home_.PathOf(built_->base_offset(), suffix);
    SLUICE_RETURN_IF_ERROR(home_.fs().Rename(path + std::string(kTempSuffix), path));
  }
  installed_ = true;
  return Status::Ok();
}

Status Segment::TakeRebuild(Damage& damage) {
  if (!rebuild_->done() && home_.lacking != nullptr) {
    home_.lacking->mending = rebuild_;
    return Status::WouldWait(path() + ": its indexes are to be built again");
  }
  const std::shared_ptr<SegmentRebuild> rebuild = std::exchange(rebuild_, nullptr);
  rebuild->Run();
  if (!rebuild->outcome_.ok()) {
    damage = rebuild->damage_;
    return rebuild->outcome_;
  }
  SLUICE_RETURN_IF_ERROR(rebuild->Install());
  indexes_.reset();  // of the files that were there before
  SLUICE_ASSIGN_OR_RETURN(const Files files, ReadFiles());
  const Segment& built = *rebuild->built_;
  if (files.log_bytes != built.size_) {
    return Status::Corruption(path() + " was changed while its indexes were built again");
  }
  size_ = built.size_;
  end_ = built.end_;
  max_timestamp_ = built.max_timestamp_;
  first_timestamp_ms_ = built.first_timestamp_ms_;
  bytes_since_index_ = built.bytes_since_index_;
  return Status::Ok();
}

}  // namespace sluice::storage
