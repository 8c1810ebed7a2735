#include "controller/feed_cursor.h"

#include <utility>

#include "base/crc32c.h"
#include "metadata/replay.h"

namespace sluice::controller {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kBatchBytes = 1 << 18;

}  // namespace

metadata::ImageHash FeedImageTexts::Hash(const metadata::ImagePtr& image) {
  std::lock_guard lock(mutex_);
  if (image != hashed_) hash_ = metadata::ToImageHash(*image);
  hashed_ = image;
  return hash_;
}

std::shared_ptr<const std::string> FeedImageTexts::Snapshot(const metadata::ImagePtr& image) {
  std::lock_guard lock(mutex_);
  std::shared_ptr<const std::string> bytes = image == serialised_ ? bytes_.lock() : nullptr;
  if (bytes == nullptr) {
    bytes = std::make_shared<const std::string>(metadata::ToSnapshot(*image));
  }
  serialised_ = image;
  bytes_ = bytes;
  return bytes;
}

FeedCursor::FeedCursor(const FeedLog& feed, FeedImageTexts& texts, const SubscribeRequest& request)
    : feed_(feed),
      texts_(texts),
      have_(
          feed.Resume(LogIndex(request.last_index()), Term(request.last_term()), request.hash())) {}

bool FeedCursor::Next(FeedMessage& message) {
  message.Clear();
  const FeedProgress now = feed_.progress();
  if (now.leader != told_leader_ || now.term != told_term_) progress_due_ = true;
  // A leader's name comes before the data: a subscriber of the wrong controller should not wait
  // for it.
  if (snapshot_ != nullptr) {
    FillChunk(message);
  } else if (progress_due_) {
    FillProgress(now, message);
  } else {
    return FillData(message);
  }
  return true;
}

bool FeedCursor::FillData(FeedMessage& message) {
  FeedStep step = feed_.Next(have_, kBatchBytes);
  if (step.kind == FeedStep::Kind::kWait) return false;
  if (step.kind == FeedStep::Kind::kSnapshot) {
    snapshot_ = texts_.Snapshot(step.image);
    sent_ = 0;
    snapshot_index_ = step.image->last_index;
    FillChunk(message);
    return true;
  }
  for (const FeedEntryPtr& entry : step.entries) {
    auto& out = *message.mutable_batch()->add_entries();
    out.set_index(entry->index.value());
    out.set_term(entry->term.value());
    out.set_data(entry->data);
  }
  have_ = step.entries.back()->index;
  return true;
}

void FeedCursor::FillChunk(FeedMessage& message) {
  const std::string_view data = std::string_view(*snapshot_).substr(sent_, kChunkBytes);
  auto& chunk = *message.mutable_snapshot();
  chunk.set_data(std::string(data));
  chunk.set_crc32c(Crc32c(data));
  sent_ += data.size();
  chunk.set_last(sent_ == snapshot_->size());
  if (!chunk.last()) return;
  have_ = snapshot_index_;
  snapshot_ = nullptr;
}

void FeedCursor::FillProgress(const FeedProgress& now, FeedMessage& message) {
  auto& progress = *message.mutable_progress();
  progress.set_commit_index(now.commit.value());
  progress.set_leader_id(now.leader.value());
  progress.set_term(now.term.value());
  // The hash says something only to who has just this image.
  if (have_ == now.commit) *progress.mutable_hash() = texts_.Hash(now.image);
  progress_due_ = false;
  told_leader_ = now.leader;
  told_term_ = now.term;
}

}  // namespace sluice::controller
