// What a leader appends itself, on its way into the store; the rest is offsets_applier_test.cc's.
#include "broker/group/offsets_view.h"

#include <gtest/gtest.h>

#include <map>

#include "base/bytes.h"
#include "base/random.h"
#include "kafka/record_batch_builder.h"
#include "storage/testing/sim_kv.h"

namespace sluice::broker {
namespace {

using Upto = GroupView::Upto;

constexpr int kMany = 1024;  // what goes into the store together

class OffsetsViewTest : public ::testing::Test {
 protected:
  OffsetsViewTest() {
    Open();
    EXPECT_TRUE(view_->Restart(Offset(0)).ok());
    EXPECT_TRUE(kv_->Flush().ok());
  }

  void Open() {
    view_.reset();
    kv_.reset();
    kv_ = *disk_.Open({.directory = "kv", .families = {"entries", "sources"}});
    view_.emplace(OffsetsStore{kv_.get(), 0, 1}, topic_, PartitionIndex(0));
    EXPECT_TRUE(view_->Open().ok());
  }
  void Append(const std::string& key, std::optional<std::string> value) {
    view_->AddAppended(++appends_, {{key, std::move(value)}});
    view_->SetOffset(appends_, Offset(end_++));
  }
  // By somebody else, as the log has it.
  std::string Foreign(const std::vector<GroupRecord>& records) {
    kafka::RecordBatchBuilder builder({});
    for (const GroupRecord& record : records)
      builder.Append({.timestamp_ms = 1, .key = record.key, .value = record.value, .headers = {}});
    std::string batch = *builder.Build();
    StoreBigEndian<int64_t>(batch.data() + kafka::batch_layout::kBaseOffset, end_);
    end_ += static_cast<int64_t>(records.size());
    return batch;
  }
  Status Commit() { return view_->ApplyAppended(Offset(end_)); }
  std::optional<std::string> Get(Upto upto, const std::string& key) {
    return *view_->Get(upto, key);
  }
  std::string All(Upto upto = Upto::kHighWatermark, const GroupView::Range& range = {}) {
    std::string all;
    EXPECT_TRUE(view_
                    ->ForEach(upto, range,
                              [&](std::string_view key, std::string_view value) {
                                all += std::string(key) + "=" + std::string(value) + " ";
                                return true;
                              })
                    .ok());
    return all;
  }
  std::optional<Offset> Stored() { return *kv_->Applied("__consumer_offsets-0"); }

  Random random_{1};
  const TopicId topic_{Uuid::Generate(random_)};
  storage::testing::SimKvDisk disk_;
  std::unique_ptr<storage::Kv> kv_;
  std::optional<OffsetsView> view_;
  OffsetsView::AppendId appends_ = 0;
  int64_t end_ = 0;
};

TEST_F(OffsetsViewTest, WhatIsCommittedIsReadBeforeItIsInTheStore) {
  Append("a", "1");
  EXPECT_EQ(Get(Upto::kHighWatermark, "a"), std::nullopt);
  EXPECT_EQ(Get(Upto::kLogEnd, "a"), "1");
  EXPECT_TRUE(Commit().ok());
  Append("a", "2");
  Append("a", "3");
  EXPECT_EQ(Get(Upto::kHighWatermark, "a"), "1");
  EXPECT_EQ(Get(Upto::kLogEnd, "a"), "3");
  EXPECT_EQ(view_->applied(), Offset(1));
  EXPECT_EQ(Stored(), Offset(0));
  EXPECT_EQ(All(), "a=1 ");
  EXPECT_EQ(All(Upto::kLogEnd), "a=3 ");
  EXPECT_EQ(Stored(), Offset(0)) << "who walks over it writes nothing";
  EXPECT_EQ(Get(Upto::kLogEnd, "a"), "3");
  EXPECT_TRUE(view_->ApplyAppended(Offset(2)).ok());
  EXPECT_EQ(Get(Upto::kHighWatermark, "a"), "2");
  EXPECT_EQ(Get(Upto::kLogEnd, "a"), "3");
}

TEST_F(OffsetsViewTest, ATombstoneHidesWhatTheStoreHas) {
  Append("a", "1");
  EXPECT_TRUE(Commit().ok());
  EXPECT_TRUE(view_->Store().ok());
  Append("a", std::nullopt);
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(Get(Upto::kHighWatermark, "a"), std::nullopt);
  EXPECT_EQ(All(), "");
}

// Against a map for each: store, committed and appended records hide each other in every way.
TEST_F(OffsetsViewTest, AWalkFindsWhatTheNewestRecordsSay) {
  std::map<std::string, std::string> committed, appended;
  std::vector<GroupRecord> uncommitted;
  const auto apply = [](const GroupRecord& record, std::map<std::string, std::string>& to) {
    if (record.value.has_value())
      to[record.key] = *record.value;
    else
      to.erase(record.key);
  };
  const auto told = [](const std::map<std::string, std::string>& all,
                       const GroupView::Range& range) {
    std::string words;
    for (const auto& [key, value] : all) {
      if (key.starts_with(range.prefix) && key >= range.from) words += key + "=" + value + " ";
    }
    return words;
  };
  for (int step = 0; step < 3000; ++step) {
    const std::string key =
        std::string(1, "ab"[random_.Below(2)]) + std::to_string(random_.Below(6));
    GroupRecord record{key, std::to_string(step)};
    if (random_.Chance(1, 3)) record.value.reset();
    Append(record.key, record.value);
    apply(record, appended);
    uncommitted.push_back(record);
    if (random_.Chance(1, 4)) {
      ASSERT_TRUE(Commit().ok());
      for (const GroupRecord& each : std::exchange(uncommitted, {})) apply(each, committed);
    }
    if (random_.Chance(1, 20)) {
      ASSERT_TRUE(view_->Store().ok());
    }
    const std::string prefix = std::string("ab").substr(random_.Below(3), random_.Below(2));
    const std::string from = random_.Chance(1, 2) ? key : std::string();
    const GroupView::Range range{.prefix = prefix, .from = from};
    ASSERT_EQ(All(Upto::kHighWatermark, range), told(committed, range)) << step;
    ASSERT_EQ(All(Upto::kLogEnd, range), told(appended, range)) << step;
  }
}

TEST_F(OffsetsViewTest, ManyRecordsOfOneKeyAreOneInTheStore) {
  for (int i = 1; i <= kMany; ++i) Append("a", std::to_string(i));
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(Stored(), Offset(0));
  Append("b", "1");
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(Stored(), Offset(kMany));
  EXPECT_EQ(All(), "a=" + std::to_string(kMany) + " b=1 ");
}

TEST_F(OffsetsViewTest, ACrashLosesWhatTheLogHas) {
  Append("a", "1");
  EXPECT_TRUE(Commit().ok());
  EXPECT_TRUE(view_->Store().ok());
  EXPECT_TRUE(kv_->Flush().ok());
  Append("a", "2");
  EXPECT_TRUE(Commit().ok());
  Open();
  EXPECT_EQ(view_->applied(), Offset(1));
  EXPECT_EQ(All(), "a=1 ");
}

TEST_F(OffsetsViewTest, RecordsOfOthersComeBehindWhatIsInMemory) {
  Append("a", "1");
  EXPECT_TRUE(Commit().ok());
  view_->DropAppended();
  EXPECT_TRUE(view_->SkipTo(Offset(5)).ok());
  EXPECT_EQ(Stored(), Offset(5));
  EXPECT_EQ(All(), "a=1 ");
}

TEST_F(OffsetsViewTest, RecordsAreAppliedInTheLogsOrderWhoeverWroteThem) {
  Append("a", "1");
  const std::string foreign = Foreign({{"a", "2"}, {"b", "2"}});
  Append("b", "3");
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(view_->applied(), Offset(1)) << "what others wrote comes first";
  EXPECT_TRUE(view_->Apply(foreign, Offset(3)).ok());
  EXPECT_EQ(All(), "a=2 b=2 ");
  EXPECT_TRUE(Commit().ok());
  EXPECT_EQ(view_->applied(), Offset(4));
  EXPECT_EQ(All(), "a=2 b=3 ");
}

TEST_F(OffsetsViewTest, NothingIsAppliedTwice) {
  const std::string first = Foreign({{"a", "1"}, {"b", "1"}});
  Append("a", "2");
  const std::string last = Foreign({{"a", "3"}});
  // From the log, which has what was appended here as well.
  end_ = 2;
  const std::string ours = Foreign({{"a", "2"}});
  end_ = 4;
  EXPECT_TRUE(view_->Apply(first + ours + last, Offset(4)).ok());
  EXPECT_EQ(All(), "a=3 b=1 ");
  EXPECT_TRUE(Commit().ok());
  EXPECT_TRUE(view_->Apply(first, Offset(4)).ok());
  EXPECT_EQ(view_->applied(), Offset(4));
  EXPECT_EQ(All(), "a=3 b=1 ");
  EXPECT_FALSE(view_->has_appended());
}

TEST_F(OffsetsViewTest, ALogMayBeginWithinABatch) {
  const std::string batch = Foreign({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  EXPECT_TRUE(view_->Restart(Offset(2)).ok());
  EXPECT_TRUE(view_->Apply(batch, Offset(3)).ok());
  EXPECT_EQ(view_->applied(), Offset(3));
  EXPECT_EQ(All(), "c=3 ");
}

TEST_F(OffsetsViewTest, AStoreThatFailsHoldsTheRecordsUp) {
  disk_.FailFlushes(Status::IoError("broken"));
  (void)kv_->Flush();
  for (int i = 0; i < kMany; ++i) Append("a", std::to_string(i));
  EXPECT_TRUE(Commit().ok());
  Append("b", "1");
  EXPECT_FALSE(Commit().ok());
  EXPECT_EQ(view_->applied(), Offset(kMany));
  EXPECT_EQ(Get(Upto::kHighWatermark, "b"), std::nullopt);
  EXPECT_EQ(Get(Upto::kLogEnd, "b"), "1");
}

}  // namespace
}  // namespace sluice::broker
