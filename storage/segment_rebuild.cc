#include "storage/segment_rebuild.h"

#include <utility>

namespace sluice::storage {
namespace {

constexpr std::string_view kSuffixes[] = {kIndexSuffix, kTimeIndexSuffix};

}  // namespace

SegmentRebuild::SegmentRebuild(const SegmentHome& home, Offset base,
                               const Segment::Expected& expected, uint64_t bytes_max)
    : home_{home.directory, home.cache},
      expected_(expected),
      bytes_max_(bytes_max),
      built_(Segment::Open(home_, base)),
      damage_{.why = Status::Ok(), .whole_end = base} {}

SegmentRebuild::~SegmentRebuild() { Discard(); }

void SegmentRebuild::Discard() {
  if (!done() || std::exchange(settled_, true)) return;
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
  outcome_ = built_->Rebuild({.end_max = expected_.end,
                              .complete = true,
                              .index_interval_bytes = expected_.index_interval_bytes,
                              .bytes_max = bytes_max_,
                              .where = Segment::IndexFiles::kAside,
                              .damage = &damage_});
  done_.store(true, std::memory_order_release);
}

void SegmentRebuild::Abandon() {
  std::lock_guard lock(mutex_);
  if (done()) return;
  outcome_ = Status::Unavailable(built_->path() + " was changed");
  done_.store(true, std::memory_order_release);
}

Status SegmentRebuild::Install() {
  if (settled_) return Status::Ok();
  for (const std::string_view suffix : kSuffixes) {
    const std::string path = home_.PathOf(built_->base_offset(), suffix);
    SLUICE_RETURN_IF_ERROR(home_.fs().Rename(path + std::string(kTempSuffix), path));
  }
  settled_ = true;
  return Status::Ok();
}

Status Segment::TakeRebuild(Damage* damage) {
  if (!rebuild_->done() && home_.lacking != nullptr) {
    home_.lacking->mending = rebuild_;
    return Status::WouldWait(path() + ": its indexes are to be built again");
  }
  rebuild_->Run();
  if (Status outcome = rebuild_->outcome_; !outcome.ok()) {
    if (damage != nullptr) *damage = rebuild_->damage_;
    // One that is loaded keeps the answer: it would be the same for the next who is misled.
    if (!loaded() || outcome.code() != StatusCode::kCorruption) rebuild_.reset();
    return outcome;
  }
  Status adopted = Adopt(*rebuild_);
  if (adopted.code() != StatusCode::kWouldWait) rebuild_.reset();
  return adopted;
}

Status Segment::Adopt(SegmentRebuild& rebuild) {
  SLUICE_RETURN_IF_ERROR(rebuild.Install());
  auto fresh = std::make_unique<Indexes>(home_, base_, IndexFiles::kInPlace);
  const Segment& built = *rebuild.built_;
  SLUICE_RETURN_IF_ERROR(fresh->offsets.Load(built.size_).status());
  SLUICE_RETURN_IF_ERROR(fresh->times.Load().status());
  SLUICE_ASSIGN_OR_RETURN(const auto file, OpenFile());
  SLUICE_ASSIGN_OR_RETURN(const uint64_t file_bytes, file->Size());
  if (!loaded() && file_bytes != built.size_) {
    return Status::Corruption(path() + " was changed while its indexes were built again");
  }
  const uint64_t grown_to = loaded() ? size_ : built.size_;
  const Offset grown_end = loaded() ? end_ : built.end_;
  auto recent = loaded() ? std::move(recent_) : nullptr;
  indexes_ = std::move(fresh);
  size_ = built.size_;
  end_ = built.end_;
  max_timestamp_ = built.max_timestamp_;
  first_timestamp_ms_ = built.first_timestamp_ms_;
  bytes_since_index_ = built.bytes_since_index_;
  // All of it was checked, or written by this process.
  unwalked_upto_ = 0;
  walked_.reset();
  const Status noted = NoteGrowth(grown_to);
  // Whatever came of that: so much is in the log.
  size_ = grown_to;
  end_ = grown_end;
  if (recent != nullptr) recent_ = std::move(recent);
  return noted;
}

// What was appended while its indexes were built again.
Status Segment::NoteGrowth(uint64_t upto) {
  SLUICE_ASSIGN_OR_RETURN(auto file, OpenFile());
  BatchScanner grown(std::move(file), size_, upto, BatchScanner::kHeadersOnly);
  while (size_ < upto) {
    SLUICE_ASSIGN_OR_RETURN(const bool more, grown.Next());
    if (!more || grown.header().base_offset < end_) return NoBatchAt(size_, "one was appended");
    SLUICE_RETURN_IF_ERROR(Note(grown.header(), index_interval_bytes_));
  }
  return Status::Ok();
}

Status Segment::Mend(const std::string& why) {
  const auto begin = [&](const Expected& expected, uint64_t bytes_max) {
    rebuild_ = std::make_shared<SegmentRebuild>(home_, base_, expected, bytes_max);
  };
  const bool first = rebuild_ == nullptr;
  LOG_IF(WARNING, first) << why << ". The index is damaged: both of the segment are built again";
  if (!loaded()) {
    // Loading, which has asked, goes on with it.
    if (first) begin(*expected_, kBytesMax);
    return Status::WouldWait(path() + ": its indexes are to be built again");
  }
  // What came since is added when the new ones are taken over: a little, of the newest segment. One
  // that was sealed meanwhile gets indexes that are whole and durable.
  const uint64_t grown = first ? 0 : size_ - rebuild_->expected_.size_bytes;
  const bool outgrown = grown > 0 && rebuild_->done() &&
                        (recent_ == nullptr || (home_.lacking != nullptr && grown > kTailBytesMax));
  // Whoever ran it may still hold it: it must not take away what the next writes.
  if (outgrown) rebuild_->Discard();
  if (first || outgrown) begin({size_, end_, false, index_interval_bytes_}, size_);
  return TakeRebuild(nullptr);
}

// The log is about to be cut.
void Segment::DropRebuild() {
  if (rebuild_ == nullptr) return;
  rebuild_->Abandon();
  rebuild_->Discard();
  rebuild_.reset();
}

}  // namespace sluice::storage
