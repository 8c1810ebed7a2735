#include "bench/floor/store.h"

#include <glog/logging.h>

#include <algorithm>

#include "kafka/record_batch.h"

namespace sluice::bench {

FloorPartition::FloorPartition(FileSystem& files, std::string directory, const TopicShape& shape)
    : files_(files), directory_(std::move(directory)), shape_(shape) {
  CHECK(files_.CreateDirectories(directory_).ok());
}

std::optional<int64_t> FloorPartition::Append(std::span<char> batch) {
  const auto view = kafka::RecordBatchView::Parse({batch.data(), batch.size()});
  if (!view.ok() || view->size_bytes() != batch.size() || !view->CheckCrc().ok())
    return std::nullopt;
  std::lock_guard lock(mutex_);
  if (segments_.empty() || segments_.back()->size_bytes + batch.size() > shape_.segment_bytes)
    Roll();
  Segment& segment = *segments_.back();
  const int64_t base = next_offset_;
  kafka::SetBaseOffset(batch.data(), Offset(base));
  CHECK(segment.file->WriteAt(segment.size_bytes, {batch.data(), batch.size()}).ok());
  segment.batches.push_back({base, segment.size_bytes});
  segment.size_bytes += batch.size();
  size_bytes_ += batch.size();
  next_offset_ = base + view->last_offset_delta() + 1;
  return base;
}

void FloorPartition::Roll() {
  auto segment = std::make_shared<Segment>();
  segment->path = directory_ + "/" + std::to_string(next_offset_) + ".log";
  auto file = files_.Open(segment->path, OpenMode::kCreateTruncate);
  CHECK(file.ok()) << segment->path;
  segment->file = *std::move(file);
  segments_.push_back(std::move(segment));
  DropOld();
}

void FloorPartition::DropOld() {
  while (segments_.size() > 1 && size_bytes_ > shape_.retention_bytes) {
    size_bytes_ -= segments_.front()->size_bytes;
    CHECK(files_.Remove(segments_.front()->path).ok());
    segments_.erase(segments_.begin());
    const auto& batches = segments_.front()->batches;
    first_offset_ = batches.empty() ? next_offset_ : batches.front().base_offset;
  }
}

FloorPartition::Ends FloorPartition::ends() const {
  std::lock_guard lock(mutex_);
  return {first_offset_, next_offset_};
}

kafka::Records FloorPartition::Read(int64_t offset, uint64_t bytes_max) const {
  std::lock_guard lock(mutex_);
  std::vector<FileSlice> slices;
  for (const auto& segment : segments_) {
    const auto& batches = segment->batches;
    if (batches.empty() || (segment != segments_.back() && offset > batches.back().base_offset))
      continue;
    const auto later = std::upper_bound(
        batches.begin(), batches.end(), offset,
        [](int64_t value, const BatchPlace& at) { return value < at.base_offset; });
    const auto from = later == batches.begin() ? later : later - 1;
    uint64_t end = segment->size_bytes;
    for (auto at = from + 1; at != batches.end() && end == segment->size_bytes; ++at)
      if (at->position - from->position >= bytes_max) end = at->position;
    slices.push_back({segment->file, from->position, static_cast<uint32_t>(end - from->position)});
    break;
  }
  return kafka::Records::Files(std::move(slices));
}

Store::Store(std::string directory)
    : directory_(std::move(directory)), files_(NewPosixFileSystem()) {}

bool Store::Create(const std::string& name, const TopicShape& shape) {
  std::lock_guard lock(mutex_);
  if (topics_.contains(name)) return false;
  auto topic = std::make_shared<Topic>();
  for (int32_t i = 0; i < shape.partitions; ++i) {
    topic->push_back(std::make_unique<FloorPartition>(
        *files_, directory_ + "/" + name + "-" + std::to_string(i), shape));
  }
  topics_[name] = std::move(topic);
  return true;
}

void Store::Delete(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  if (found == topics_.end()) return;
  for (size_t i = 0; i < found->second->size(); ++i)
    CHECK(files_->RemoveAll(directory_ + "/" + name + "-" + std::to_string(i)).ok());
  topics_.erase(found);
}

std::shared_ptr<Store::Topic> Store::Find(const std::string& name) const {
  std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : found->second;
}

FloorPartition* Store::Find(const std::shared_ptr<Topic>& topic, int32_t partition) const {
  if (topic == nullptr || partition < 0 || static_cast<size_t>(partition) >= topic->size())
    return nullptr;
  return (*topic)[partition].get();
}

std::vector<std::string> Store::names() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [name, topic] : topics_) found.push_back(name);
  return found;
}

}  // namespace sluice::bench
