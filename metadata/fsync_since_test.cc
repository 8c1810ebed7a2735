#include "metadata/fsync_since.h"

#include <gtest/gtest.h>

#include "metadata/replay.h"

namespace sluice::metadata {
namespace {

constexpr char kCluster[] = "";

Uuid TestUuid(int n) {
  std::string bytes(16, '\1');
  bytes[15] = static_cast<char>(n);
  return Uuid::FromBytes(bytes);
}

MetadataRecord Topic(const std::string& name, int id) {
  MetadataRecord record;
  record.mutable_topic()->set_name(name);
  record.mutable_topic()->set_topic_id(std::string(TestUuid(id).view()));
  return record;
}

MetadataRecord Gone(int id) {
  MetadataRecord record;
  record.mutable_remove_topic()->set_topic_id(std::string(TestUuid(id).view()));
  return record;
}

// Without a value it goes by the default again.
MetadataRecord Durability(const std::string& topic, const std::string& value) {
  MetadataRecord record;
  ConfigRecord& config = *record.mutable_config();
  config.set_type(topic == kCluster ? CONFIG_RESOURCE_TYPE_BROKER : CONFIG_RESOURCE_TYPE_TOPIC);
  config.set_name(topic);
  config.set_key("durability");
  if (!value.empty()) config.set_value(value);
  return record;
}

MetadataRecord Begins() {
  MetadataRecord record;
  record.mutable_cluster()->mutable_fsync_since();
  return record;
}

// What was shown of a topic that is not fsync, or not known to be.
constexpr int64_t kNot = -1;

class FsyncSinceTest : public testing::Test {
 protected:
  // As one entry; its index. After each the snapshot must tell the same.
  int64_t Apply(const std::vector<MetadataRecord>& records) {
    ImageBuilder builder(image_);
    const LogIndex index = image_->last_index + 1;
    for (const MetadataRecord& record : records) {
      const Status applied = builder.Apply(record, index);
      EXPECT_TRUE(applied.ok()) << applied.ToString();
    }
    image_ = builder.Build(index, Term(1));
    const Result<ImagePtr> copy = FromSnapshot(ToSnapshot(*image_));
    EXPECT_TRUE(copy.ok()) << copy.status().ToString();
    if (copy.ok() && image_->fsync_since != nullptr) {
      EXPECT_EQ(*(*copy)->fsync_since, *image_->fsync_since);
      EXPECT_EQ(StateHash(**copy), StateHash(*image_));
    }
    return index.value();
  }
  void BeginWith(const std::string& durability) {
    Apply({Begins(), Durability(kCluster, durability)});
    Apply({});  // so that no index is 0 by accident
  }
  int64_t Since(const std::string& topic) const {
    return FsyncSinceOfTopic(*image_, topic).value_or(LogIndex(kNot)).value();
  }

  ImagePtr image_ = EmptyImage();
};

TEST_F(FsyncSinceTest, ATopicThatIsMadeWithFsyncAlwaysWas) {
  BeginWith("replicated");
  Apply({Topic("own", 1), Durability("own", "fsync")});
  EXPECT_EQ(Since("own"), 0);
  Apply({Topic("default", 2)});
  EXPECT_EQ(Since("default"), kNot);
  EXPECT_EQ(image_->fsync_since->latest, LogIndex(0)) << "no broker has anything to tell";
}

TEST_F(FsyncSinceTest, SoIsOneByADefaultThatIsOlderThanAllTopics) {
  BeginWith("fsync");
  Apply({Topic("a", 1)});
  EXPECT_EQ(Since("a"), 0);
  Apply({Gone(1)});
  Apply({Durability(kCluster, "replicated")});
  Apply({Durability(kCluster, "fsync")});
  Apply({Topic("a", 2)});
  EXPECT_EQ(Since("a"), 0);
}

TEST_F(FsyncSinceTest, ATopicIsFsyncSinceItsLastChange) {
  BeginWith("fsync");
  Apply({Topic("a", 1), Durability("a", "replicated")});
  EXPECT_EQ(Since("a"), kNot);
  const int64_t first = Apply({Durability("a", "fsync")});
  EXPECT_EQ(Since("a"), first);
  Apply({Durability("a", "fsync")});
  EXPECT_EQ(Since("a"), first) << "it was";
  Apply({Durability("a", "replicated")});
  EXPECT_EQ(Since("a"), kNot);
  const int64_t second = Apply({Durability("a", "fsync")});
  EXPECT_EQ(Since("a"), second);
  EXPECT_EQ(image_->fsync_since->latest, LogIndex(second));
}

TEST_F(FsyncSinceTest, TheDefaultCountsForTopicsWithoutAValueOfTheirOwn) {
  BeginWith("replicated");
  Apply({Topic("a", 1), Topic("own", 2), Durability("own", "fsync")});
  const int64_t index = Apply({Durability(kCluster, "fsync")});
  EXPECT_EQ(Since("a"), index);
  EXPECT_EQ(Since("own"), 0);
  Apply({Durability(kCluster, "fsync")});
  EXPECT_EQ(Since("a"), index);
}

TEST_F(FsyncSinceTest, GoingOverFromOneFsyncToTheOtherInterruptsNothing) {
  BeginWith("replicated");
  Apply({Topic("a", 1), Topic("b", 2), Durability("b", "replicated")});
  const int64_t index = Apply({Durability(kCluster, "fsync")});
  Apply({Durability("a", "fsync")});
  EXPECT_EQ(Since("a"), index);
  Apply({Durability(kCluster, "replicated")});
  EXPECT_EQ(Since("a"), index) << "it has its own";
  const int64_t again = Apply({Durability(kCluster, "fsync")});
  EXPECT_EQ(Since("a"), index);
  Apply({Durability("a", "")});
  EXPECT_EQ(Since("a"), again) << "later than it had to be, and never earlier";
  const int64_t by_default = Apply({Durability("b", "")});
  EXPECT_EQ(Since("b"), by_default);
}

TEST_F(FsyncSinceTest, WhatATopicWasIsOverWithIt) {
  BeginWith("replicated");
  Apply({Topic("a", 1)});
  const int64_t index = Apply({Durability("a", "fsync")});
  EXPECT_EQ(Since("a"), index);
  Apply({Gone(1)});
  EXPECT_TRUE(image_->fsync_since->topics.empty());
  Apply({Topic("a", 2), Durability("a", "fsync")});
  EXPECT_EQ(Since("a"), 0);
}

TEST_F(FsyncSinceTest, OfAClusterOfOldNothingIsKnownUntilItIsSaid) {
  Apply({Durability(kCluster, "fsync")});
  Apply({Topic("a", 1), Topic("b", 2), Durability("b", "fsync"), Topic("c", 3),
         Durability("c", "replicated")});
  EXPECT_EQ(Since("a"), kNot);
  EXPECT_EQ(Since("b"), kNot);
  const int64_t index = Apply({Begins()});
  EXPECT_EQ(Since("a"), index);
  EXPECT_EQ(Since("b"), index);
  EXPECT_EQ(Since("c"), kNot);
  const int64_t again = Apply({Begins()});
  EXPECT_EQ(Since("a"), again) << "whoever said it knew nothing: now all know the same";
}

TEST_F(FsyncSinceTest, WhatABrokerTellsCountsWhereItIsMore) {
  BeginWith("replicated");
  Apply({Topic("a", 1), Topic("b", 2)});
  EXPECT_FALSE(SyncedMore(*image_, LogIndex(0), image_->last_index));
  const LogIndex first(Apply({Durability("a", "fsync")}));
  const LogIndex second(Apply({Durability("b", "fsync")}));
  EXPECT_FALSE(SyncedMore(*image_, LogIndex(0), LogIndex(first.value() - 1)));
  EXPECT_TRUE(SyncedMore(*image_, LogIndex(0), first));
  EXPECT_TRUE(SyncedMore(*image_, first, second));
  EXPECT_FALSE(SyncedMore(*image_, second, image_->last_index + 1));
  EXPECT_FALSE(SyncedMore(*image_, second, first));
  Apply({Durability("b", "replicated")});
  EXPECT_FALSE(SyncedMore(*image_, first, second)) << "nothing is judged by it any more";
  EXPECT_TRUE(SyncedMore(*image_, LogIndex(0), second));
}

}  // namespace
}  // namespace sluice::metadata
