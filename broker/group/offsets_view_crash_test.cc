// The view of __consumer_offsets in the store that servers have: random records are applied, from
// memory and from the log, while RocksDB is flushed at random and flushes by itself. At random
// points its files are copied as kill -9 leaves them. Each copy must hold what a replay of the log
// up to the copy's applied offset holds; a server that starts with it must end up with the rest.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "broker/group/offsets_applier.h"
#include "broker/group/testing/model_log.h"
#include "kafka/record_batch_builder.h"
#include "storage/testing/copy_as_killed.h"

namespace sluice::broker {
namespace {

namespace fs = std::filesystem;
using testing::ModelLog;
using testing::ModelLogOptions;
using Entries = std::map<std::string, std::string>;

constexpr NodeId kNode{1};
constexpr char kStream[] = "__consumer_offsets-0";

// As a group coordinator writes them: positions, groups of both protocols, and tombstones of each.
GroupRecord DrawRecord(Random& random) {
  const std::string group = "group-" + std::to_string(random.Below(8));
  const bool removes = random.Chance(1, 4);
  const auto made = [removes](const auto& key, const auto& value) {
    return removes ? *EncodeGroupTombstone(key) : *EncodeGroupRecord(key, value);
  };
  switch (random.Below(8)) {
    case 0: {
      kafka::GroupMetadataKey key;
      key.group = group;
      kafka::GroupMetadataValue value;
      value.generation = static_cast<int32_t>(random.Below(1000));
      value.members.resize(random.Below(3));
      for (auto& member : value.members) member.subscription = std::string(random.Below(400), 's');
      return made(key, value);
    }
    case 1: {
      kafka::ConsumerGroupMetadataKey key;
      key.group_id = group;
      kafka::ConsumerGroupMetadataValue value;
      value.epoch = static_cast<int32_t>(random.Below(1000));
      return made(key, value);
    }
    case 2: {
      kafka::ConsumerGroupMemberMetadataKey key;
      key.group_id = group;
      key.member_id = "member-" + std::to_string(random.Below(5));
      kafka::ConsumerGroupMemberMetadataValue value;
      value.client_id = std::string(random.Below(100), 'c');
      return made(key, value);
    }
    default: {
      kafka::OffsetCommitKey key;
      key.group = group;
      key.topic = "orders";
      key.partition = static_cast<int32_t>(random.Below(20));
      kafka::OffsetCommitValue value;
      value.offset = static_cast<int64_t>(random.Below(1000000));
      value.metadata = std::string(random.Below(200), 'm');
      return made(key, value);
    }
  }
}

class OffsetsViewCrashTest : public ::testing::TestWithParam<uint64_t> {
 protected:
  // Longer than a leader is looked for.
  static constexpr int64_t kElectionMs = 500;

  OffsetsViewCrashTest()
      : directory_(fs::path(::testing::TempDir()) /
                   ("offsets_view_crash_test." + std::to_string(::getpid()))),
        random_(GetParam()),
        key_{TopicId(Uuid::Generate(random_)), PartitionIndex(0)},
        log_(scheduler_, random_.Fork(), {.key = key_, .nodes = {kNode}, .in_sync_min = 1},
             Listener()) {
    fs::remove_all(directory_);
    fs::create_directories(directory_);
    OpenServer("0");
    log_.Start(kNode);
    scheduler_.RunForMs(kElectionMs);
  }
  ~OffsetsViewCrashTest() override {
    CloseServer();
    fs::remove_all(directory_);
  }

  ModelLog::Listener Listener() {
    ModelLog::Listener listener;
    listener.on_committed = [this](const testing::ModelBatchPtr& batch) {
      const auto view = kafka::RecordBatchView::Parse(batch->bytes);
      kafka::RecordIterator records(*view, view->records());
      for (kafka::Record record; records.Next(record);) {
        committed_.push_back({std::string(*record.key), std::nullopt});
        if (record.value.has_value()) committed_.back().value = *record.value;
      }
    };
    listener.on_change = [this](NodeId) { Step(); };
    listener.on_metadata = [](NodeId) {};
    listener.on_contact = [](NodeId) {};
    return listener;
  }

  // --- The server's process ---

  // Buffers so small that it flushes by itself, and often enough for compactions.
  static std::unique_ptr<storage::Kv> OpenStore(const fs::path& directory) {
    auto kv = storage::OpenRocksKv({.directory = directory,
                                    .families = {"groups", "views"},
                                    .cache_bytes = 1 << 20,
                                    .write_buffer_bytes = 64 << 10});
    CHECK(kv.ok()) << kv.status().ToString();
    return *std::move(kv);
  }
  void OpenServer(const std::string& name) {
    store_ = directory_ / name;
    kv_ = OpenStore(store_);
    view_.emplace(OffsetsStore{kv_.get(), 0, 1}, key_.topic_id, key_.partition);
    applier_.emplace(*view_, log_.replicas(kNode), key_);
  }
  void CloseServer() {
    applier_.reset();
    view_.reset();
    kv_.reset();
  }
  void Step() {
    if (!applier_.has_value()) return;
    applier_->Look();
    while (applier_->Apply(0) != OffsetsApplier::Outcome::kUpToDate) {
    }
  }

  // Of this server's coordinator, which has the view take them from memory, or of others.
  void Write(bool own) {
    std::vector<GroupRecord> records;
    for (uint64_t n = random_.Between(1, 20); n > 0; --n) records.push_back(DrawRecord(random_));
    kafka::RecordBatchBuilder builder({});
    for (const GroupRecord& record : records)
      builder.Append({.timestamp_ms = 1, .key = record.key, .value = record.value, .headers = {}});
    const auto bytes = std::make_shared<const std::string>(*builder.Build());
    ProduceRequestParams params;
    params.timeout_ms = 10000;
    params.entries.push_back({key_, kafka::Records::View({bytes, *bytes}), log_.epoch()});
    const OffsetsView::AppendId id = ++last_write_;
    log_.replicas(kNode).Produce(std::move(params),
                                 [this, id, own](const std::vector<ProduceEntryResult>& results) {
                                   CHECK(results[0].error == kafka::ErrorCode::kNone);
                                   if (own) view_->SetOffset(id, results[0].base_offset);
                                   if (own) Step();
                                 });
    if (own) view_->AddAppended(id, std::move(records));
  }

  // --- The crash ---

  Entries Replay(Offset end) const {
    Entries entries;
    for (size_t at = 0; at < static_cast<size_t>(end.value()); ++at) {
      const GroupRecord& record = committed_.at(at);
      if (record.value.has_value())
        entries[record.key] = *record.value;
      else
        entries.erase(record.key);
    }
    return entries;
  }
  static Entries EntriesOf(const OffsetsView& view) {
    Entries entries;
    CHECK(view.ForEach(GroupView::Upto::kHighWatermark, {},
                       [&](std::string_view key, std::string_view value) {
                         entries.emplace(key, value);
                         return true;
                       })
              .ok());
    return entries;
  }
  // The applied offset of what is there.
  Offset ExpectReplay(storage::Kv& kv) {
    OffsetsView view({&kv, 0, 1}, key_.topic_id, key_.partition);
    EXPECT_TRUE(view.Open().ok());
    const Offset applied = view.applied().value_or(Offset(0));
    EXPECT_EQ(EntriesOf(view), Replay(applied)) << "at " << applied;
    return applied;
  }
  void WriteSome() {
    for (uint64_t n = random_.Between(1, 30); n > 0; --n) {
      Write(random_.Chance(1, 2));
      if (random_.Chance(1, 3)) scheduler_.RunForMs(random_.Between(0, 60));
      if (random_.Chance(1, 20)) CHECK(kv_->Flush().ok());
    }
  }
  // A server starts with what is in `copy`.
  void CrashInto(const std::string& copy) {
    CloseServer();
    log_.Kill(kNode);
    OpenServer(copy);
    ExpectReplay(*kv_);
    log_.Start(kNode);
    scheduler_.RunForMs(kElectionMs);
  }

  const fs::path directory_;
  ::sluice::testing::SimScheduler scheduler_;
  Random random_;
  const PartitionKey key_;
  std::vector<GroupRecord> committed_;  // by offset
  ModelLog log_;
  fs::path store_;
  std::unique_ptr<storage::Kv> kv_;
  std::optional<OffsetsView> view_;
  std::optional<OffsetsApplier> applier_;
  OffsetsView::AppendId last_write_ = 0;
};

TEST_P(OffsetsViewCrashTest, WhatKillLeavesIsAReplay) {
  int partial = 0;
  for (int round = 0; round < 20; ++round) {
    WriteSome();
    const Offset durable = kv_->DurablyApplied(kStream).value_or(Offset(0));
    const std::string copy = std::to_string(round + 1);
    storage::testing::CopyAsKilled(store_, directory_ / copy);
    const Offset applied = ExpectReplay(*OpenStore(directory_ / copy));
    EXPECT_GE(applied, durable);
    if (applied > Offset(0) && applied < log_.committed_end()) ++partial;
    if (random_.Chance(1, 3)) CrashInto(copy);
    if (HasFailure()) return;
  }
  EXPECT_GT(partial, 0) << "no copy was of a time between two flushes";
  scheduler_.RunForMs(kElectionMs);
  EXPECT_EQ(view_->applied(), log_.committed_end());
  EXPECT_EQ(EntriesOf(*view_), Replay(log_.committed_end()));
  EXPECT_TRUE(view_->Store().ok());
  EXPECT_EQ(ExpectReplay(*kv_), log_.committed_end());
}

INSTANTIATE_TEST_SUITE_P(Seeds, OffsetsViewCrashTest, ::testing::Range<uint64_t>(1, 5));

}  // namespace
}  // namespace sluice::broker
