#include "storage/compaction/compaction_run.h"

#include <algorithm>

#include "storage/file_names.h"

namespace sluice::storage {
namespace {

// Of what was not in memory before so much stays there: what is mapped may soon be copied.
constexpr uint64_t kColdBytesMax = 64u << 20;

}  // namespace

CompactionRun::CompactionRun(CompactionPlan plan, const Options& options)
    : plan_(std::move(plan)),
      options_(options),
      cold_pages_(kColdBytesMax, /*holds_files=*/true),
      mapped_upto_(plan_.survey.first_dirty),
      tracker_(plan_.aborted) {
  const Offset first = plan_.survey.first_dirty;
  const auto dirty =
      std::find_if(plan_.segments.begin(), plan_.segments.end(),
                   [&](const SourceSegment& segment) { return segment.end > first; });
  source_ = static_cast<size_t>(dirty - plan_.segments.begin());
}

CompactionRun::~CompactionRun() { cold_pages_.DropAll(); }

Result<CompactionRun::Progress> CompactionRun::Step(uint64_t budget_bytes) {
  if (phase_ == Phase::kMapping) {
    SLUICE_ASSIGN_OR_RETURN(const bool mapped, MapSome(budget_bytes));
    if (mapped) BeginCleaning();
    return phase_ == Phase::kDone ? Progress::kDone : Progress::kWorking;
  }
  if (phase_ == Phase::kCleaning) return CleanSome(budget_bytes);
  return Progress::kDone;
}

Status CompactionRun::OpenSource(const SourceSegment& source) {
  source_path_ = plan_.directory + "/" + OffsetFileName(source.base, kLogSuffix);
  auto file = options_.file_system->Open(source_path_, OpenMode::kRead);
  if (!file.ok()) {
    const bool gone = file.status().code() == StatusCode::kNotFound;
    return gone ? Status::Unavailable(source_path_ + " is gone") : file.status();
  }
  source_file_ = std::move(*file);
  scanner_ =
      std::make_unique<BatchScanner>(*source_file_, 0, source.size_bytes, options_.read_bytes);
  source_bytes_ = source.size_bytes;
  asked_upto_ = 0;
  source_base_ = expected_ = source.base;
  source_is_cold_ = cold_sources_.contains(source.base);
  source_end_ = source.end;
  return Status::Ok();
}

void CompactionRun::CloseSource() {
  scanner_.reset();
  source_file_.reset();
  ++source_;
}

Status CompactionRun::Damaged(uint64_t position, std::string_view why) const {
  return Status::Corruption(source_path_ + ": " + std::string(why) + " at position " +
                            std::to_string(position));
}

// Adds file and position to what a batch's own parts have to say.
Status CompactionRun::AtBatch(const Status& status) const {
  if (status.ok()) return status;
  return Status(status.code(), source_path_ + ": " + status.message() + ", at position " +
                                   std::to_string(scanner_->position()));
}

// The disk works while batches are taken apart and files are synced.
void CompactionRun::ReadAhead() {
  const uint64_t ahead = 4 * uint64_t{options_.read_bytes};
  if (scanner_->next_position() + ahead / 2 < asked_upto_) return;
  const uint64_t upto = std::min(source_bytes_, scanner_->next_position() + ahead);
  if (upto <= asked_upto_) return;
  // Before it is read: the first pass may have brought it into memory for the second.
  if (cold_pages_.Note(source_file_, asked_upto_, upto - asked_upto_) != nullptr) {
    cold_sources_.insert(source_base_);
    source_is_cold_ = true;
  }
  source_file_->WillRead(asked_upto_, upto - asked_upto_);
  asked_upto_ = upto;
}

Result<bool> CompactionRun::NextBatch(std::string_view& bytes) {
  ReadAhead();
  SLUICE_ASSIGN_OR_RETURN(const bool more, scanner_->Next());
  if (!more) {
    if (scanner_->damaged()) return Damaged(scanner_->next_position(), "no batch begins");
    return false;
  }
  const BatchHeader& batch = scanner_->header();
  SLUICE_ASSIGN_OR_RETURN(bytes, scanner_->Bytes());
  if (!BatchChecksumHolds(bytes))
    return Damaged(scanner_->position(), "a batch fails its checksum");
  if (batch.base_offset < expected_ || batch.last_offset >= source_end_)
    return Damaged(scanner_->position(), "a batch has offsets that do not belong there");
  expected_ = batch.last_offset + 1;
  stats_.bytes_read += bytes.size();
  return true;
}

// True when there is nothing left to map, or no room.
Result<bool> CompactionRun::MapSome(uint64_t budget_bytes) {
  const uint64_t stop_at = stats_.bytes_read + budget_bytes;
  while (stats_.bytes_read < stop_at) {
    if (source_ == plan_.segments.size() || plan_.segments[source_].end > plan_.survey.upper) {
      mapped_upto_ = std::max(mapped_upto_, plan_.survey.upper);
      return true;
    }
    if (scanner_ == nullptr) SLUICE_RETURN_IF_ERROR(OpenSource(plan_.segments[source_]));
    std::string_view bytes;
    SLUICE_ASSIGN_OR_RETURN(const bool more, NextBatch(bytes));
    if (!more) {
      mapped_upto_ = std::max(mapped_upto_, plan_.segments[source_].end);
      CloseSource();
      continue;
    }
    const BatchHeader& batch = scanner_->header();
    if (batch.last_offset < plan_.survey.first_dirty) continue;
    SLUICE_ASSIGN_OR_RETURN(const bool fits, MapOne(batch, bytes));
    if (!fits) return true;
    mapped_upto_ = batch.last_offset + 1;
  }
  return false;
}

// Its offsets are counted from where the first mapped batch begins: where the checkpoint was lost,
// billions of offsets without records may come before it.
void CompactionRun::MakeMap(Offset base) {
  const int64_t span = std::max<int64_t>(plan_.survey.upper - base, 0);
  map_ = std::make_unique<OffsetMap>(
      OffsetMap::Options{.bytes_max = options_.map_bytes_max,
                         .load_factor = options_.map_load_factor,
                         .base = base,
                         .entries_expected = static_cast<uint64_t>(span)});
}

Result<bool> CompactionRun::MapOne(const BatchHeader& batch, std::string_view bytes) {
  if (batch.is_control()) {
    tracker_.OnControlBatch(batch, bytes);
    return true;
  }
  if (tracker_.OnDataBatch(batch)) return true;
  const Offset first = plan_.survey.first_dirty;
  if (map_ == nullptr) MakeMap(std::max(first, batch.base_offset));
  auto mapped = MapBatch(batch, bytes, first, options_.hasher, *map_);
  if (!mapped.ok()) return AtBatch(mapped.status());
  if (*mapped) return true;
  stats_.map_was_full = true;
  if (mapped_upto_ > first) return false;
  return Status::ResourceExhausted(
      source_path_ + ": the batch at position " + std::to_string(scanner_->position()) +
      " has more keys than fit into the cleaner's map of " + std::to_string(map_->entries_max()) +
      "; raise log.cleaner.dedupe.buffer.size");
}

void CompactionRun::BeginCleaning() {
  scanner_.reset();
  source_file_.reset();
  source_ = 0;
  if (map_ == nullptr) MakeMap(plan_.survey.upper);
  stats_.map_entries = map_->size();
  phase_ = Phase::kDone;
  if (mapped_upto_ <= plan_.survey.first_dirty) return;
  std::vector<SourceSegment> sources;
  for (const SourceSegment& segment : plan_.segments) {
    if (segment.base < mapped_upto_ && segment.end <= plan_.survey.upper)
      sources.push_back(segment);
  }
  groups_ = GroupSources(sources, plan_.limits);
  tracker_ = TransactionTracker(plan_.aborted);
  filter_ = std::make_unique<BatchFilter>(
      FilterRules{.map = map_.get(),
                  .hasher = options_.hasher,
                  .mapped_upto = mapped_upto_,
                  .now_ms = plan_.now_ms,
                  .delete_retention_ms = plan_.rules.delete_retention_ms,
                  .tombstones_stay_from = plan_.tombstones_stay_from});
  phase_ = groups_.empty() ? Phase::kDone : Phase::kCleaning;
}

Result<CompactionRun::Progress> CompactionRun::CleanSome(uint64_t budget_bytes) {
  const uint64_t stop_at = stats_.bytes_read + stats_.bytes_written + budget_bytes;
  while (stats_.bytes_read + stats_.bytes_written < stop_at) {
    if (group_ == groups_.size()) {
      phase_ = Phase::kDone;
      return Progress::kDone;
    }
    const std::vector<SourceSegment>& group = groups_[group_];
    if (writer_ == nullptr) {
      SLUICE_ASSIGN_OR_RETURN(
          writer_, CleanedWriter::Create({.file_system = options_.file_system,
                                          .directory = plan_.directory,
                                          .base = group.front().base,
                                          .index_interval_bytes = plan_.index_interval_bytes}));
      changed_ = group.size() > 1;
      const auto last = std::find_if(group.rbegin(), group.rend(),
                                     [](const SourceSegment& s) { return s.size_bytes > 0; });
      last_filled_ = static_cast<size_t>(group.rend() - last);
    }
    if (source_ == group.size()) {
      SLUICE_ASSIGN_OR_RETURN(const bool ready, EndGroup());
      if (ready) return Progress::kSegmentReady;
      continue;
    }
    if (scanner_ == nullptr) SLUICE_RETURN_IF_ERROR(OpenSource(group[source_]));
    std::string_view bytes;
    SLUICE_ASSIGN_OR_RETURN(const bool more, NextBatch(bytes));
    if (!more) {
      CloseSource();
      continue;
    }
    const bool ends_group =
        source_ + 1 == last_filled_ && scanner_->next_position() == group[source_].size_bytes;
    SLUICE_RETURN_IF_ERROR(CleanBatch(scanner_->header(), bytes, ends_group));
  }
  return Progress::kWorking;
}

// True when a new segment waits for its commit; false when the old one may stay as it is.
Result<bool> CompactionRun::EndGroup() {
  SLUICE_RETURN_IF_ERROR(writer_->AddAborted(tracker_.TakeIndexEntries()));
  stats_.records_without_key = filter_->stats().records_without_key;
  if (!changed_) {
    NextGroup();
    return false;
  }
  SLUICE_RETURN_IF_ERROR(writer_->Finish());
  ready_ = {.sources = groups_[group_],
            .size_bytes = writer_->size_bytes(),
            .has_txn_index = writer_->has_txn_index(),
            .generation = plan_.generation,
            .planned_generation = plan_.planned_generation};
  for (const SourceSegment& source : ready_.sources) stats_.bytes_before += source.size_bytes;
  stats_.bytes_after += ready_.size_bytes;
  return true;
}

void CompactionRun::OnCommitted() {
  writer_->Keep();
  NextGroup();
}

void CompactionRun::NextGroup() {
  writer_.reset();
  source_ = 0;
  ++group_;
}

bool CompactionRun::IsLastOfProducer(const BatchHeader& batch) const {
  const auto found = plan_.producers.find(batch.producer_id);
  if (found == plan_.producers.end()) return false;
  const ActiveProducer& producer = found->second;
  if (producer.last_data_offset.value() >= 0) return batch.last_offset == producer.last_data_offset;
  return batch.is_control() && batch.producer_epoch == producer.epoch;
}

BatchRetention CompactionRun::RetentionOf(const BatchHeader& batch, std::string_view bytes,
                                          bool ends_group) {
  BatchRetention retention;
  retention.keep_empty = ends_group || (batch.has_producer() && IsLastOfProducer(batch));
  if (batch.is_control()) {
    const bool horizon_set = (batch.attributes & kafka::batch_layout::kDeleteHorizonBit) != 0;
    retention.marker_is_done = tracker_.OnControlBatch(batch, bytes);
    retention.drop_records = retention.marker_is_done && horizon_set &&
                             batch.base_timestamp_ms <= plan_.now_ms &&
                             batch.last_offset < plan_.tombstones_stay_from;
  } else {
    retention.drop_records = tracker_.OnDataBatch(batch);
  }
  return retention;
}

Status CompactionRun::CleanBatch(const BatchHeader& batch, std::string_view bytes,
                                 bool ends_group) {
  rewritten_.clear();
  writer_->set_leaves_memory(source_is_cold_);
  const BatchRetention retention = RetentionOf(batch, bytes, ends_group);
  auto filtered = filter_->Filter(batch, bytes, retention, rewritten_);
  if (!filtered.ok()) return AtBatch(filtered.status());
  const FilterVerdict verdict = *filtered;
  if (verdict != FilterVerdict::kKeep) changed_ = true;
  if (verdict == FilterVerdict::kDrop) return Status::Ok();
  if (verdict == FilterVerdict::kKeep) {
    stats_.bytes_written += bytes.size();
    return writer_->Add(batch, bytes);
  }
  const auto header = BatchHeader::Parse(rewritten_);
  CHECK(header && header->size_bytes == rewritten_.size()) << source_path_;
  stats_.bytes_written += rewritten_.size();
  return writer_->Add(*header, rewritten_);
}

}  // namespace sluice::storage
