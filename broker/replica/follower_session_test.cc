#include "broker/replica/follower_session.h"

#include <gtest/gtest.h>

namespace sluice::broker {
namespace {

class FollowerSessionTest : public ::testing::Test {
 protected:
  static PartitionKey Key(int index) {
    return {Uuid::FromBytes("0123456789abcdef"), PartitionIndex(index)};
  }
  void Set(int index, int64_t offset) {
    session_.Set(Key(index), {LeaderEpoch(1), LeaderEpoch(1), Offset(offset), Offset(0)});
  }
  kafka::FetchRequest Request() {
    kafka::FetchRequest request;
    session_.Fill(request, 1000);
    return request;
  }
  static std::vector<int32_t> Named(const kafka::FetchRequest& request) {
    std::vector<int32_t> named;
    for (const auto& topic : request.topics) {
      for (const auto& partition : topic.partitions) named.push_back(partition.partition);
    }
    return named;
  }
  bool Answer(int32_t session_id, int16_t error = 0) {
    kafka::FetchResponse response;
    response.session_id = session_id;
    response.error_code = error;
    return session_.OnResponse(response);
  }
  using List = std::vector<int32_t>;

  FollowerSession session_;
};

TEST_F(FollowerSessionTest, OnlyWhatChangedIsNamedOnceTheLeaderKnowsTheRest) {
  Set(0, 5);
  Set(1, 7);
  kafka::FetchRequest first = Request();
  EXPECT_EQ(first.session_id, 0);
  EXPECT_EQ(first.session_epoch, 0);
  EXPECT_EQ(Named(first), (List{0, 1}));
  EXPECT_TRUE(Answer(42));

  Set(0, 5);
  Set(1, 8);
  kafka::FetchRequest second = Request();
  EXPECT_EQ(second.session_id, 42);
  EXPECT_EQ(second.session_epoch, 1);
  EXPECT_EQ(Named(second), (List{1}));
  EXPECT_EQ(second.topics[0].partitions[0].fetch_offset, 8);
  EXPECT_TRUE(Answer(42));
  EXPECT_EQ(Request().session_epoch, 2);
}

TEST_F(FollowerSessionTest, RemovedPartitionsAreForgottenAndComeBackWhenSetAgain) {
  Set(0, 5);
  Set(1, 7);
  Request();
  Answer(42);
  session_.Remove(Key(1));
  kafka::FetchRequest forget = Request();
  ASSERT_EQ(forget.forgotten_topics_data.size(), 1u);
  EXPECT_EQ(forget.forgotten_topics_data[0].partitions, (List{1}));
  Answer(42);
  Set(1, 7);
  EXPECT_EQ(Named(Request()), (List{1}));
}

TEST_F(FollowerSessionTest, RemovedAndSetBetweenTwoRequestsIsNamedNotForgotten) {
  Set(0, 5);
  Request();
  Answer(42);
  session_.Remove(Key(0));
  Set(0, 5);
  kafka::FetchRequest request = Request();
  EXPECT_EQ(Named(request), (List{0}));
  EXPECT_TRUE(request.forgotten_topics_data.empty());
}

TEST_F(FollowerSessionTest, ARefusedSessionStartsAnewWithEverything) {
  Set(0, 5);
  Set(1, 7);
  Request();
  Answer(42);
  EXPECT_FALSE(Answer(42, kafka::WireError(kafka::ErrorCode::kFetchSessionIdNotFound)));
  kafka::FetchRequest request = Request();
  EXPECT_EQ(request.session_epoch, 0);
  EXPECT_EQ(Named(request), (List{0, 1}));
}

TEST_F(FollowerSessionTest, WithoutRoomAtTheLeaderEveryRequestIsAFullOne) {
  Set(0, 5);
  Request();
  EXPECT_TRUE(Answer(0));
  kafka::FetchRequest request = Request();
  EXPECT_EQ(request.session_epoch, 0);
  EXPECT_EQ(Named(request), (List{0}));
}

}  // namespace
}  // namespace sluice::broker
