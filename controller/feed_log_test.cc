#include "controller/feed_log.h"

#include <gtest/gtest.h>

#include "metadata/replay.h"

namespace sluice::controller {
namespace {

class FeedLogTest : public ::testing::Test {
 protected:
  void Publish(int count, const std::string& data = "") {
    std::vector<FeedEntryPtr> entries;
    for (int i = 0; i < count; ++i) {
      entries.push_back(std::make_shared<FeedEntry>(FeedEntry{next_, Term(1), data}));
      ++next_;
    }
    metadata::Image image = *metadata::EmptyImage();
    image.last_index = next_ - 1;
    image.last_term = Term(1);
    image.next_producer_id = next_.value();
    image_ = std::make_shared<const metadata::Image>(image);
    feed_.Publish(std::move(entries), image_);
  }
  std::vector<int64_t> Indexes(const FeedStep& step) {
    std::vector<int64_t> indexes;
    for (const auto& entry : step.entries) indexes.push_back(entry->index.value());
    return indexes;
  }

  FeedLog feed_{1000};
  LogIndex next_{0};
  metadata::ImagePtr image_;
};

TEST_F(FeedLogTest, WaitsUntilSomethingIsCommitted) {
  EXPECT_EQ(feed_.Next(LogIndex(-1), 100).kind, FeedStep::Kind::kWait);
  EXPECT_EQ(feed_.Resume(LogIndex(5), Term(1), {}),
            LogIndex(5));  // the subscriber is ahead of this controller
}

TEST_F(FeedLogTest, ACursorGoesThroughTheEntries) {
  Publish(3, std::string(40, 'x'));
  FeedStep step = feed_.Next(LogIndex(0), 50);
  EXPECT_EQ(Indexes(step), std::vector<int64_t>{1});  // one at least, then as many as fit
  step = feed_.Next(LogIndex(0), 1000);
  EXPECT_EQ(Indexes(step), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(feed_.Next(LogIndex(2), 1000).kind, FeedStep::Kind::kWait);
  EXPECT_EQ(feed_.Next(LogIndex(-1), 1000).kind, FeedStep::Kind::kSnapshot);
}

TEST_F(FeedLogTest, WhoIsTooFarBehindGetsASnapshot) {
  for (int i = 0; i < 20; ++i) Publish(1, std::string(200, 'x'));
  FeedStep step = feed_.Next(LogIndex(3), 1000);
  EXPECT_EQ(step.kind, FeedStep::Kind::kSnapshot);
  EXPECT_EQ(step.image, image_);
  EXPECT_EQ(feed_.Next(LogIndex(18), 1000).kind, FeedStep::Kind::kEntries);
  EXPECT_EQ(feed_.Resume(LogIndex(3), Term(1), {}), LogIndex(-1));
}

TEST_F(FeedLogTest, ResumesOnlyWhereHistoriesAgree) {
  Publish(5);
  EXPECT_EQ(feed_.Resume(LogIndex(2), Term(1), {}), LogIndex(2));
  EXPECT_EQ(feed_.Resume(LogIndex(2), Term(7), {}), LogIndex(-1));
  metadata::ImageHash hash = metadata::ToImageHash(*image_);
  EXPECT_EQ(feed_.Resume(LogIndex(4), Term(1), hash), LogIndex(4));
  hash.set_value(hash.value() + 1);
  EXPECT_EQ(feed_.Resume(LogIndex(4), Term(1), hash), LogIndex(-1));
  EXPECT_EQ(feed_.Resume(LogIndex(-1), Term(0), {}), LogIndex(-1));
}

TEST_F(FeedLogTest, ASnapshotReplacesTheEntries) {
  Publish(5);
  metadata::Image image = *image_;
  image.last_index = LogIndex(50);
  feed_.Reset(std::make_shared<const metadata::Image>(image));
  EXPECT_EQ(feed_.Next(LogIndex(4), 1000).kind, FeedStep::Kind::kSnapshot);
  EXPECT_EQ(feed_.Next(LogIndex(50), 1000).kind, FeedStep::Kind::kWait);
  next_ = LogIndex(51);
  Publish(1);
  EXPECT_EQ(Indexes(feed_.Next(LogIndex(50), 1000)), std::vector<int64_t>{51});
}

TEST_F(FeedLogTest, ListenersHearOfEverything) {
  int calls = 0;
  const uint64_t id = feed_.AddListener([&] { ++calls; });
  Publish(1);
  feed_.SetLeader(NodeId(2), Term(3));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(feed_.progress().leader, NodeId(2));
  feed_.RemoveListener(id);
  Publish(1);
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace sluice::controller
