// The small text files: checkpoints, partition.metadata, meta.properties. What Kafka writes is
// read, what is written is Kafka's.

#include "storage/checkpoint_file.h"

#include <gtest/gtest.h>

#include "storage/file_names.h"
#include "storage/log_directory.h"
#include "storage/meta_properties.h"
#include "storage/partition_metadata.h"

namespace sluice::storage {
namespace {

TEST(OffsetCheckpointTest, Golden) {
  const OffsetCheckpoint offsets = {{{"orders", PartitionIndex(0)}, Offset(0)},
                                    {{"orders", PartitionIndex(11)}, Offset(9007199254740993)},
                                    {{"__consumer_offsets", PartitionIndex(49)}, Offset(7)}};
  const std::string text =
      "0\n3\n__consumer_offsets 49 7\norders 0 0\norders 11 9007199254740993\n";
  EXPECT_EQ(FormatOffsetCheckpoint(offsets), text);
  EXPECT_EQ(ParseOffsetCheckpoint(text).value(), offsets);
  EXPECT_EQ(FormatOffsetCheckpoint({}), "0\n0\n");
  EXPECT_TRUE(ParseOffsetCheckpoint("0\n0\n").value().empty());
}

TEST(OffsetCheckpointTest, WhatIsNoCheckpoint) {
  for (const char* bad : {"", "\n", "1\n0\n", "0\n", "0\nx\n", "0\n1\n", "0\n0\na 0 0\n",
                          "0\n1\na 0\n", "0\n1\na 0 0 0\n", "0\n1\na x 0\n", "0\n1\na 0 -1\n",
                          "0\n1\na 99999999999 0\n", "0\n1\na 0 12x\n"}) {
    EXPECT_EQ(ParseOffsetCheckpoint(bad).status().code(), StatusCode::kCorruption) << bad;
  }
}

TEST(PartitionMetadataTest, Golden) {
  const TopicId id = Uuid::FromBytes("0123456789abcdef");
  const std::string text = FormatPartitionMetadata(id);
  EXPECT_EQ(text, "version: 0\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg");
  EXPECT_EQ(text.size(), 43u);
  EXPECT_EQ(ParsePartitionMetadata(text).value(), id);
  EXPECT_EQ(ParsePartitionMetadata(text + "\n").value(), id);
  EXPECT_FALSE(ParsePartitionMetadata("version: 1\ntopic_id: MDEyMzQ1Njc4OWFiY2RlZg").ok());
  EXPECT_FALSE(ParsePartitionMetadata("version: 0\ntopic_id: short").ok());
  EXPECT_TRUE(PartitionMetadataIsBlank(std::string(43, '\0')));
  EXPECT_FALSE(PartitionMetadataIsBlank(text));
}

TEST(MetaPropertiesTest, ReadsWhatKafkaWrites) {
  const auto identity = ParseMetaProperties(
      "#\n#Sat Jan 01 00:00:00 UTC 2025\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nversion=1\n"
      "directory.id = ZmVkY2JhOTg3NjU0MzIxMA\r\nnode.id=42\nunknown=x\n");
  ASSERT_TRUE(identity.ok()) << identity.status().ToString();
  EXPECT_EQ(identity->node_id, NodeId(42));
  EXPECT_EQ(identity->cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
  EXPECT_EQ(identity->directory_id, Uuid::FromBytes("fedcba9876543210"));
}

TEST(MetaPropertiesTest, WhatIsNone) {
  const std::string good =
      "cluster.id=c\ndirectory.id=ZmVkY2JhOTg3NjU0MzIxMA\nnode.id=1\nversion=1\n";
  EXPECT_TRUE(ParseMetaProperties(good).ok());
  EXPECT_EQ(ParseMetaProperties("").status().code(), StatusCode::kCorruption);
  EXPECT_EQ(ParseMetaProperties("version=0\nbroker.id=1\n").status().code(),
            StatusCode::kCorruption);
  EXPECT_EQ(ParseMetaProperties(good + "version=2\n").status().code(), StatusCode::kUnsupported);
  EXPECT_EQ(ParseMetaProperties(good + "node.id=x\n").status().code(), StatusCode::kCorruption);
  EXPECT_FALSE(ParseMetaProperties(good + "directory.id=x\n").ok());
}

TEST(FileNamesTest, OffsetsAreTwentyDigits) {
  EXPECT_EQ(OffsetFileName(Offset(42), kLogSuffix), "00000000000000000042.log");
  EXPECT_EQ(ParseOffsetFileName("00000000000000000042.log", kLogSuffix), Offset(42));
  EXPECT_EQ(ParseOffsetFileName("09223372036854775807.log", kLogSuffix), Offset(INT64_MAX));
  for (const char* bad : {"42.log", "0000000000000000004x.log", "00000000000000000042.index",
                          "99999999999999999999.log", "-0000000000000000042.log",
                          "00000000000000000042.log.deleted"}) {
    EXPECT_EQ(ParseOffsetFileName(bad, kLogSuffix), std::nullopt) << bad;
  }
}

TEST(LogDirectoryTest, Names) {
  EXPECT_EQ((TopicPartition{"a-1.b", PartitionIndex(12)}).ToString(), "a-1.b-12");
  EXPECT_EQ(ParseDirectoryName("a-1.b-12")->topic, "a-1.b");
  EXPECT_EQ(ParseDirectoryName("a-1.b-12")->partition, PartitionIndex(12));
  for (const char* bad : {"orders", "orders-", "-1", "orders-x", "orders-01", "orders-99999999999",
                          "orders-0.0123-delete", "orders-0.0123-future", "orders-0.0123-stray"}) {
    EXPECT_EQ(ParseDirectoryName(bad), std::nullopt) << bad;
  }
  for (const std::string& topic : {std::string("a"), std::string(249, 't')}) {
    const TopicPartition name{topic, PartitionIndex(1)};
    const std::string deleted = RetiredDirectoryName(name, kDeleteSuffix, 5, 6);
    EXPECT_LE(deleted.size(), 255u);
    EXPECT_TRUE(IsDeletedDirectoryName(deleted));
    const std::string stray = RetiredDirectoryName(name, kStraySuffix, 5, 6);
    EXPECT_FALSE(IsDeletedDirectoryName(stray));
    EXPECT_EQ(ParseDirectoryName(stray), std::nullopt);
  }
  const std::string digits = "0123456789abcdef0123456789abcdef";
  EXPECT_TRUE(IsDeletedDirectoryName("orders-0." + digits + "-delete"));
  const std::vector<std::string> others = {"to-delete",
                                           "backup.old-delete",
                                           "." + digits + "-delete",
                                           "orders-0-" + digits + "-delete",
                                           "orders-0.0123-delete",
                                           "orders-0." + digits.substr(1) + "g-delete",
                                           "orders-0." + digits + "-delete2"};
  for (const std::string& own : others) EXPECT_FALSE(IsDeletedDirectoryName(own)) << own;
}

}  // namespace
}  // namespace sluice::storage
