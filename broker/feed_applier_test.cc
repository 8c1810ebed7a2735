#include "broker/feed_applier.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "metadata/replay.h"

namespace sluice::broker {
namespace {

using controller::FeedMessage;

// A batch with one entry at `index` that sets a broker config, so that each entry changes the
// state.
FeedMessage Entry(int64_t index) {
  metadata::MetadataBatch batch;
  metadata::ConfigRecord* config = batch.add_records()->mutable_config();
  config->set_type(metadata::CONFIG_RESOURCE_TYPE_BROKER);
  config->set_key("min.insync.replicas");
  config->set_value(std::to_string(index));
  FeedMessage message;
  auto* entry = message.mutable_batch()->add_entries();
  entry->set_index(index);
  entry->set_term(4);
  entry->set_data(batch.SerializeAsString());
  return message;
}

FeedMessage Progress(int64_t commit_index, const metadata::ImageHash& hash) {
  FeedMessage message;
  message.mutable_progress()->set_commit_index(commit_index);
  message.mutable_progress()->set_leader_id(2);
  *message.mutable_progress()->mutable_hash() = hash;
  return message;
}

std::vector<FeedMessage> Chunks(const metadata::Image& image, size_t chunk_bytes) {
  const std::string bytes = metadata::ToSnapshot(image);
  std::vector<FeedMessage> chunks;
  for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    auto* chunk = chunks.emplace_back().mutable_snapshot();
    chunk->set_data(bytes.substr(at, chunk_bytes));
    chunk->set_crc32c(Crc32c(chunk->data()));
    chunk->set_last(at + chunk_bytes >= bytes.size());
  }
  return chunks;
}

TEST(FeedApplierTest, AppliesEntriesInOrder) {
  FeedApplier applier(metadata::EmptyImage());
  ASSERT_TRUE(applier.Apply(Entry(0)).ok());
  ASSERT_TRUE(applier.Apply(Entry(1)).ok());
  EXPECT_EQ(applier.image()->last_index, LogIndex(1));
  EXPECT_EQ(applier.image()->last_term, Term(4));
  EXPECT_EQ(applier.image()->broker_configs->at("").at("min.insync.replicas"), "1");
}

TEST(FeedApplierTest, SkipsWhatItHas) {
  FeedApplier applier(metadata::EmptyImage());
  ASSERT_TRUE(applier.Apply(Entry(0)).ok());
  const metadata::ImagePtr before = applier.image();
  ASSERT_TRUE(applier.Apply(Entry(0)).ok());
  EXPECT_EQ(applier.image(), before);
}

TEST(FeedApplierTest, RefusesAGap) {
  FeedApplier applier(metadata::EmptyImage());
  ASSERT_TRUE(applier.Apply(Entry(0)).ok());
  const Status status = applier.Apply(Entry(2));
  EXPECT_EQ(status.code(), StatusCode::kCorruption);
  EXPECT_EQ(applier.image()->last_index, LogIndex(0));
}

TEST(FeedApplierTest, TakesASnapshotInChunks) {
  FeedApplier source(metadata::EmptyImage());
  for (int64_t i = 0; i < 5; ++i) ASSERT_TRUE(source.Apply(Entry(i)).ok());
  FeedApplier applier(metadata::EmptyImage());
  for (const FeedMessage& chunk : Chunks(*source.image(), 7))
    ASSERT_TRUE(applier.Apply(chunk).ok());
  EXPECT_EQ(applier.image()->last_index, LogIndex(4));
  EXPECT_EQ(metadata::StateHash(*applier.image()), metadata::StateHash(*source.image()));
  ASSERT_TRUE(applier.Apply(Entry(5)).ok());
}

TEST(FeedApplierTest, ANewSubscriptionForgetsHalfASnapshot) {
  FeedApplier source(metadata::EmptyImage());
  ASSERT_TRUE(source.Apply(Entry(0)).ok());
  FeedApplier applier(metadata::EmptyImage());
  ASSERT_TRUE(applier.Apply(Chunks(*source.image(), 7).front()).ok());
  applier.OnSubscribe();
  for (const FeedMessage& chunk : Chunks(*source.image(), 1000))
    ASSERT_TRUE(applier.Apply(chunk).ok());
  EXPECT_EQ(applier.image()->last_index, LogIndex(0));
}

TEST(FeedApplierTest, RefusesADamagedChunk) {
  FeedApplier source(metadata::EmptyImage());
  ASSERT_TRUE(source.Apply(Entry(0)).ok());
  std::vector<FeedMessage> chunks = Chunks(*source.image(), 1000);
  chunks[0].mutable_snapshot()->set_crc32c(1);
  FeedApplier applier(metadata::EmptyImage());
  EXPECT_EQ(applier.Apply(chunks[0]).code(), StatusCode::kCorruption);
}

TEST(FeedApplierTest, ComparesTheStateHash) {
  FeedApplier applier(metadata::EmptyImage());
  ASSERT_TRUE(applier.Apply(Entry(0)).ok());
  const metadata::ImageHash same = metadata::ToImageHash(*applier.image());
  metadata::ImageHash other = same;
  other.set_value(same.value() + 1);
  metadata::ImageHash of_another_version = other;
  of_another_version.set_version(same.version() + 1);
  EXPECT_TRUE(applier.Apply(Progress(0, same)).ok());
  EXPECT_EQ(applier.leader(), NodeId(2));
  EXPECT_TRUE(applier.Apply(Progress(9, other)).ok()) << "of another index: says nothing";
  EXPECT_TRUE(applier.Apply(Progress(0, {})).ok()) << "none sent";
  EXPECT_TRUE(applier.Apply(Progress(0, of_another_version)).ok()) << "no two of them are alike";
  EXPECT_EQ(applier.Apply(Progress(0, other)).code(), StatusCode::kCorruption);
}

}  // namespace
}  // namespace sluice::broker
