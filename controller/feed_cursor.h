#pragma once
// FeedCursor: what one subscriber of the feed is to be sent next, as pure logic over the FeedLog: a
// snapshot when it needs one, then every committed entry, and a word of progress now and then. It
// has no queue: a subscriber that reads too slowly finds its entries gone and gets a snapshot.
//
//   FeedCursor cursor(feed, texts, request);
//   FeedMessage message;
//   while (cursor.Next(message)) Send(message);
//
// Thread rule: one owner at a time; FeedImageTexts is thread-safe.

#include <memory>
#include <mutex>
#include <string>

#include "controller/feed_log.h"
#include "proto/controller.pb.h"

namespace sluice::controller {

// What several subscribers want of one image, made once.
class FeedImageTexts {
 public:
  metadata::ImageHash Hash(const metadata::ImagePtr& image);
  std::shared_ptr<const std::string> Snapshot(const metadata::ImagePtr& image);

 private:
  std::mutex mutex_;  // guards all below
  metadata::ImagePtr hashed_;
  metadata::ImageHash hash_;
  metadata::ImagePtr serialised_;
  std::weak_ptr<const std::string> bytes_;  // as long as somebody sends it
};

class FeedCursor {
 public:
  // `feed` and `texts` are not owned and outlive the cursor.
  FeedCursor(const FeedLog& feed, FeedImageTexts& texts, const SubscribeRequest& request);

  // A word of progress is due.
  void WantProgress() { progress_due_ = true; }
  // Fills what is to be sent next; false when there is nothing to say.
  bool Next(FeedMessage& message);

 private:
  bool FillData(FeedMessage& message);
  void FillChunk(FeedMessage& message);
  void FillProgress(const FeedProgress& now, FeedMessage& message);

  const FeedLog& feed_;
  FeedImageTexts& texts_;
  LogIndex have_;  // the subscriber has, or is being sent, everything up to here
  bool progress_due_ = true;
  NodeId told_leader_ = kNoNode;
  Term told_term_;
  std::shared_ptr<const std::string> snapshot_;  // being sent
  size_t sent_ = 0;
  LogIndex snapshot_index_;
};

}  // namespace sluice::controller
