#include "broker/feed_applier.h"

#include <utility>

#include "base/crc32c.h"
#include "metadata/replay.h"

namespace sluice::broker {

Status FeedApplier::Apply(const controller::FeedMessage& message) {
  switch (message.message_case()) {
    case controller::FeedMessage::kSnapshot: return ApplySnapshot(message.snapshot());
    case controller::FeedMessage::kBatch: return ApplyBatch(message.batch());
    case controller::FeedMessage::kProgress: return ApplyProgress(message.progress());
    case controller::FeedMessage::MESSAGE_NOT_SET:
      return Status::Ok();  // of a newer controller; the hash will tell
  }
  return Status::Ok();
}

Status FeedApplier::ApplySnapshot(const controller::FeedMessage::SnapshotChunk& chunk) {
  if (Crc32c(chunk.data()) != chunk.crc32c()) {
    return Status::Corruption("a chunk of the metadata snapshot fails its checksum");
  }
  snapshot_bytes_ += chunk.data();
  if (!chunk.last()) return Status::Ok();
  const std::string bytes = std::exchange(snapshot_bytes_, {});
  SLUICE_ASSIGN_OR_RETURN(image_, metadata::FromSnapshot(bytes));
  return Status::Ok();
}

Status FeedApplier::ApplyBatch(const controller::FeedMessage::Batch& batch) {
  metadata::ImageBuilder builder(image_);
  LogIndex last = image_->last_index;
  Term term = image_->last_term;
  for (const auto& entry : batch.entries()) {
    const LogIndex index(entry.index());
    if (index <= last) continue;  // sent twice around a new subscription
    if (index != last + 1) {
      return Status::Corruption("the metadata feed jumps from index " +
                                std::to_string(last.value()) + " to " +
                                std::to_string(entry.index()));
    }
    SLUICE_RETURN_IF_ERROR(builder.ApplyEntry(entry.data(), index));
    last = index;
    term = Term(entry.term());
  }
  if (last != image_->last_index) image_ = builder.Build(last, term);
  return Status::Ok();
}

Status FeedApplier::ApplyProgress(const controller::FeedMessage::Progress& progress) {
  leader_ = NodeId(progress.leader_id());
  commit_index_ = LogIndex(progress.commit_index());
  if (commit_index_ != image_->last_index || !metadata::Contradicts(progress.hash(), *image_))
    return Status::Ok();
  return Status::Corruption("the metadata at index " + std::to_string(commit_index_.value()) +
                            " hashes to " + std::to_string(metadata::StateHash(*image_)) +
                            " here and to " + std::to_string(progress.hash().value()) +
                            " on the controller");
}

}  // namespace sluice::broker
