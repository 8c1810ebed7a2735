#pragma once
// FeedApplier: makes images of the metadata feed's messages, as pure logic. A message that does not
// fit what is known (a gap, a bad checksum, another state hash) is kCorruption: the caller then
// subscribes anew, from a snapshot.
//
// Thread rule: one owner (the metadata client's loop).

#include <optional>
#include <string>

#include "base/status.h"
#include "metadata/image.h"
#include "proto/controller.pb.h"

namespace sluice::broker {

class FeedApplier {
 public:
  // Goes on from `base`, which may be empty.
  explicit FeedApplier(metadata::ImagePtr base) : image_(std::move(base)) {}

  // Applies one message. The image changed if it is another pointer afterwards. After a failure the
  // image is as before, and the next message has to be of a new subscription.
  Status Apply(const controller::FeedMessage& message);
  // A new subscription starts: half a snapshot of the old one is forgotten.
  void OnSubscribe() { snapshot_bytes_.clear(); }

  const metadata::ImagePtr& image() const { return image_; }
  // The last Progress seen; leader -1 when none is known.
  NodeId leader() const { return leader_; }
  LogIndex commit_index() const { return commit_index_; }

 private:
  Status ApplySnapshot(const controller::FeedMessage::SnapshotChunk& chunk);
  Status ApplyBatch(const controller::FeedMessage::Batch& batch);
  Status ApplyProgress(const controller::FeedMessage::Progress& progress);

  metadata::ImagePtr image_;
  std::string snapshot_bytes_;
  NodeId leader_ = kNoNode;
  LogIndex commit_index_{-1};
};

}  // namespace sluice::broker
