// The rules of KIP-227 as tables: what opens, continues, ends and evicts a session, and what an
// incremental answer holds.

#include "broker/api/fetch_session.h"

#include <gtest/gtest.h>

#include "base/testing/sim_clock.h"

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using kafka::FetchRequest;
using kafka::FetchResponse;
using Kind = FetchContext::Kind;
using ::sluice::testing::SimClock;

class FetchSessionTest : public ::testing::Test {
 protected:
  // A request by name (version 12) for partitions of the topic "t".
  static FetchRequest Request(int32_t id, int32_t epoch, const std::vector<int32_t>& partitions) {
    FetchRequest request;
    request.session_id = id;
    request.session_epoch = epoch;
    if (partitions.empty()) return request;
    auto& topic = request.topics.emplace_back();
    topic.topic = "t";
    for (const int32_t partition : partitions)
      topic.partitions.emplace_back().partition = partition;
    return request;
  }

  static FetchResponse::PartitionData Data(int32_t partition, int64_t high_watermark) {
    FetchResponse::PartitionData data;
    data.partition_index = partition;
    data.high_watermark = high_watermark;
    data.log_start_offset = 0;
    return data;
  }

  // Completes with the high watermark 10 everywhere, unless `edit` says otherwise.
  FetchResponse Complete(FetchContext& context,
                         const std::function<void(FetchResponse::PartitionData&)>& edit = nullptr) {
    std::vector<FetchResponse::PartitionData> results;
    for (const FetchSpec& spec : context.specs) {
      results.push_back(Data(spec.name.partition, 10));
      if (edit) edit(results.back());
    }
    FetchResponse response;
    cache_.Complete(context, std::move(results), response);
    return response;
  }

  int32_t Open(const std::vector<int32_t>& partitions, bool follower = false) {
    FetchContext context = cache_.Begin(Request(0, 0, partitions), 12, follower);
    EXPECT_EQ(context.kind, Kind::kFull);
    return Complete(context).session_id;
  }

  static std::vector<int32_t> Told(const FetchResponse& response) {
    std::vector<int32_t> partitions;
    for (const auto& topic : response.responses) {
      for (const auto& partition : topic.partitions)
        partitions.push_back(partition.partition_index);
    }
    return partitions;
  }

  static std::vector<int32_t> Asked(const FetchContext& context) {
    std::vector<int32_t> partitions;
    for (const FetchSpec& spec : context.specs) partitions.push_back(spec.name.partition);
    return partitions;
  }

  SimClock clock_;
  FetchSessionCache cache_{{.slots = 2, .eviction_ms = 1000}, clock_, Random(7)};
};

TEST_F(FetchSessionTest, WithoutASessionEverythingIsTold) {
  FetchContext context = cache_.Begin(Request(0, -1, {0, 1}), 12, false);
  EXPECT_EQ(context.kind, Kind::kSessionless);
  const FetchResponse response = Complete(context);
  EXPECT_EQ(response.session_id, 0);
  EXPECT_EQ(Told(response), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(cache_.sessions(), 0u);
}

TEST_F(FetchSessionTest, APartitionListedTwiceIsFetchedOnceAsListedLast) {
  FetchRequest request = Request(0, -1, {3, 1, 3, 0, 1, 3});
  for (size_t i = 0; i < 6; ++i)
    request.topics[0].partitions[i].fetch_offset = static_cast<int64_t>(i);
  auto& again = request.topics.emplace_back();
  again.topic = "t";
  again.partitions.emplace_back().fetch_offset = 6;
  const FetchContext context = cache_.Begin(request, 12, false);
  EXPECT_EQ(Asked(context), (std::vector<int32_t>{3, 1, 0}));
  std::vector<int64_t> offsets;
  for (const FetchSpec& spec : context.specs) offsets.push_back(spec.fetch_offset);
  EXPECT_EQ(offsets, (std::vector<int64_t>{5, 4, 6}));
  // The order of a request without repetition stays, whatever it is.
  EXPECT_EQ(Asked(cache_.Begin(Request(0, -1, {2, 0, 1}), 12, false)),
            (std::vector<int32_t>{2, 0, 1}));
}

TEST_F(FetchSessionTest, IncrementalAnswersHoldOnlyWhatChanged) {
  const int32_t id = Open({0, 1, 2});
  ASSERT_NE(id, 0);
  FetchContext quiet = cache_.Begin(Request(id, 1, {}), 12, false);
  ASSERT_EQ(quiet.kind, Kind::kIncremental);
  EXPECT_EQ(Asked(quiet), (std::vector<int32_t>{0, 1, 2}));
  const FetchResponse nothing = Complete(quiet);
  EXPECT_EQ(nothing.session_id, id);
  EXPECT_TRUE(nothing.responses.empty());

  FetchContext moved = cache_.Begin(Request(id, 2, {}), 12, false);
  EXPECT_EQ(Told(Complete(moved,
                          [](auto& data) {
                            if (data.partition_index == 1) data.high_watermark = 11;
                          })),
            (std::vector<int32_t>{1}));

  FetchContext trimmed = cache_.Begin(Request(id, 3, {}), 12, false);
  EXPECT_EQ(Told(Complete(trimmed,
                          [](auto& data) {
                            if (data.partition_index == 1) data.high_watermark = 11;
                            if (data.partition_index == 2) data.log_start_offset = 3;
                          })),
            (std::vector<int32_t>{2}));
}

TEST_F(FetchSessionTest, AnErrorIsToldEachTimeAndItsEndOnce) {
  const int32_t id = Open({0});
  const auto fail = [](auto& data) {
    data.error_code = kafka::WireError(ErrorCode::kNotLeaderOrFollower);
  };
  for (int32_t epoch = 1; epoch <= 2; ++epoch) {
    FetchContext context = cache_.Begin(Request(id, epoch, {}), 12, false);
    EXPECT_EQ(Told(Complete(context, fail)), (std::vector<int32_t>{0}));
  }
  FetchContext healed = cache_.Begin(Request(id, 3, {}), 12, false);
  EXPECT_EQ(Told(Complete(healed)), (std::vector<int32_t>{0}));
  FetchContext quiet = cache_.Begin(Request(id, 4, {}), 12, false);
  EXPECT_TRUE(Complete(quiet).responses.empty());
}

TEST_F(FetchSessionTest, PartitionsWithRecordsMoveToTheEnd) {
  const int32_t id = Open({0, 1, 2});
  static const std::string kBatch = "records";
  FetchContext first = cache_.Begin(Request(id, 1, {}), 12, false);
  Complete(first, [](auto& data) {
    if (data.partition_index == 0) data.records = kafka::Records::View({nullptr, kBatch});
  });
  FetchContext second = cache_.Begin(Request(id, 2, {}), 12, false);
  EXPECT_EQ(Asked(second), (std::vector<int32_t>{1, 2, 0}));
}

TEST_F(FetchSessionTest, PartitionsAreAddedChangedAndForgotten) {
  const int32_t id = Open({0, 1});
  FetchRequest request = Request(id, 1, {2, 0});
  request.topics[0].partitions[1].fetch_offset = 77;
  auto& forgotten = request.forgotten_topics_data.emplace_back();
  forgotten.topic = "t";
  forgotten.partitions = {1, 9};
  const FetchContext context = cache_.Begin(request, 12, false);
  EXPECT_EQ(Asked(context), (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(context.specs[0].fetch_offset, 77);
}

TEST_F(FetchSessionTest, ForgettingAllEndsTheSession) {
  const int32_t id = Open({0});
  FetchRequest request = Request(id, 1, {});
  auto& forgotten = request.forgotten_topics_data.emplace_back();
  forgotten.topic = "t";
  forgotten.partitions = {0};
  EXPECT_EQ(cache_.Begin(request, 12, false).kind, Kind::kSessionless);
  EXPECT_EQ(cache_.sessions(), 0u);
}

TEST_F(FetchSessionTest, Errors) {
  const int32_t id = Open({0});
  struct Case {
    int32_t id;
    int32_t epoch;
    int16_t version;
    ErrorCode error;
  };
  for (const Case& c : {Case{id + 1, 1, 12, ErrorCode::kFetchSessionIdNotFound},
                        Case{0, 1, 12, ErrorCode::kFetchSessionIdNotFound},
                        Case{id, 2, 12, ErrorCode::kInvalidFetchSessionEpoch},
                        Case{id, 1, 13, ErrorCode::kFetchSessionTopicIdError}}) {
    FetchContext context = cache_.Begin(Request(c.id, c.epoch, {}), c.version, false);
    EXPECT_EQ(context.kind, Kind::kError);
    const FetchResponse response = Complete(context);
    EXPECT_EQ(response.error_code, kafka::WireError(c.error));
    EXPECT_EQ(response.session_id, 0);
    EXPECT_TRUE(response.responses.empty());
  }
}

TEST_F(FetchSessionTest, ARequestThatWasOvertakenIsRefused) {
  const int32_t id = Open({0});
  FetchContext first = cache_.Begin(Request(id, 1, {}), 12, false);
  FetchContext second = cache_.Begin(Request(id, 2, {}), 12, false);
  EXPECT_EQ(Complete(first).error_code, kafka::WireError(ErrorCode::kInvalidFetchSessionEpoch));
  EXPECT_EQ(Complete(second).error_code, 0);
}

TEST_F(FetchSessionTest, AFullRequestClosesTheSessionItNames) {
  const int32_t first = Open({0});
  FetchContext reopened = cache_.Begin(Request(first, 0, {0}), 12, false);
  EXPECT_EQ(cache_.sessions(), 0u);
  const int32_t second = Complete(reopened).session_id;
  EXPECT_NE(second, 0);
  FetchContext closing = cache_.Begin(Request(second, -1, {}), 12, false);
  EXPECT_EQ(closing.kind, Kind::kSessionless);
  EXPECT_EQ(cache_.sessions(), 0u);
}

TEST_F(FetchSessionTest, AFullCacheGivesNewConsumersNoSession) {
  EXPECT_NE(Open({0}), 0);
  EXPECT_NE(Open({1}), 0);
  EXPECT_EQ(Open({0, 1, 2}), 0);  // larger, but the others are young
  EXPECT_EQ(cache_.evictions(), 0u);
}

TEST_F(FetchSessionTest, AFollowerTakesAConsumersPlace) {
  const int32_t small = Open({0});
  const int32_t large = Open({0, 1, 2});
  EXPECT_NE(Open({5}, /*follower=*/true), 0);
  EXPECT_EQ(cache_.Begin(Request(small, 1, {}), 12, false).kind, Kind::kError);
  EXPECT_EQ(cache_.Begin(Request(large, 1, {}), 12, false).kind, Kind::kIncremental);
}

TEST_F(FetchSessionTest, ConsumersNeverTakeAYoungFollowersPlace) {
  EXPECT_NE(Open({0}, true), 0);
  EXPECT_NE(Open({1}, true), 0);
  EXPECT_EQ(Open({0, 1, 2, 3}), 0);
  EXPECT_EQ(Open({0, 1}, true), 0);
}

TEST_F(FetchSessionTest, UnusedSessionsGoFirst) {
  const int32_t unused = Open({0, 1, 2, 3});
  const int32_t used = Open({0});
  clock_.AdvanceMs(900);
  EXPECT_EQ(cache_.Begin(Request(used, 1, {}), 12, false).kind, Kind::kIncremental);
  clock_.AdvanceMs(101);
  EXPECT_NE(Open({0}), 0);
  EXPECT_EQ(cache_.Begin(Request(unused, 1, {}), 12, false).kind, Kind::kError);
  EXPECT_EQ(cache_.Begin(Request(used, 2, {}), 12, false).kind, Kind::kIncremental);
}

TEST_F(FetchSessionTest, OldSessionsYieldToLargerOnes) {
  const int32_t a = Open({0, 1});
  const int32_t b = Open({0, 1, 2});
  clock_.AdvanceMs(600);
  for (const int32_t id : {a, b}) cache_.Begin(Request(id, 1, {}), 12, false);
  clock_.AdvanceMs(600);
  for (const int32_t id : {a, b}) cache_.Begin(Request(id, 2, {}), 12, false);
  EXPECT_EQ(Open({0}), 0);           // smaller than both
  EXPECT_NE(Open({0, 1, 2, 3}), 0);  // larger than the smallest
  EXPECT_EQ(cache_.Begin(Request(a, 3, {}), 12, false).kind, Kind::kError);
  EXPECT_EQ(cache_.Begin(Request(b, 3, {}), 12, false).kind, Kind::kIncremental);
}

}  // namespace
}  // namespace sluice::broker
