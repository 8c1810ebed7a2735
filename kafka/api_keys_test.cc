#include "kafka/api_keys.h"

#include "gtest/gtest.h"
#include "kafka/error_code.h"

namespace sluice::kafka {
namespace {

TEST(ApiKeysTest, FindsWhatTheSchemasSay) {
  const ApiInfo* fetch = FindApi(1);
  ASSERT_NE(fetch, nullptr);
  EXPECT_EQ(fetch->key, ApiKey::kFetch);
  EXPECT_STREQ(fetch->name, "Fetch");
  EXPECT_EQ(fetch->version_min, 4);
  EXPECT_EQ(fetch->version_max, 18);
  EXPECT_EQ(fetch->version_min_advertised, 4);
  EXPECT_EQ(FindApi(0)->version_min_advertised, 0);
  EXPECT_EQ(FindApi(0)->version_min, 3);
  EXPECT_EQ(FindApi(4), nullptr);
  EXPECT_EQ(FindApi(-1), nullptr);
  EXPECT_EQ(FindApi(32767), nullptr);
}

TEST(ApiKeysTest, KeysAscend) {
  const auto apis = AllApis();
  for (size_t i = 1; i < apis.size(); ++i) EXPECT_LT(apis[i - 1].key, apis[i].key);
}

TEST(ApiKeysTest, HeadersFollowTheBody) {
  EXPECT_EQ(RequestHeaderVersion(1, 11), 1);
  EXPECT_EQ(RequestHeaderVersion(1, 12), 2);
  EXPECT_EQ(ResponseHeaderVersion(1, 11), 0);
  EXPECT_EQ(ResponseHeaderVersion(1, 12), 1);
  EXPECT_EQ(RequestHeaderVersion(18, 9), 2) << "an ApiVersions request of the future";
  EXPECT_EQ(ResponseHeaderVersion(18, 4), 0);
  EXPECT_EQ(RequestHeaderVersion(9999, 0), 1);
}

TEST(ErrorCodeTest, OneTableTellsAll) {
  EXPECT_EQ(ErrorName(ErrorCode::kUnknownTopicOrPartition), "UNKNOWN_TOPIC_OR_PARTITION");
  EXPECT_EQ(WireError(ErrorCode::kShareSessionLimitReached), 133);
  EXPECT_EQ(WireError(ErrorCode::kUnknownServerError), -1);
  EXPECT_TRUE(ErrorIsRetriable(ErrorCode::kNotLeaderOrFollower));
  EXPECT_FALSE(ErrorIsRetriable(ErrorCode::kMessageTooLarge));
  EXPECT_EQ(ErrorName(static_cast<ErrorCode>(999)), "UNKNOWN_SERVER_ERROR");
  EXPECT_EQ(ErrorName(static_cast<ErrorCode>(-2)), "UNKNOWN_SERVER_ERROR");
  EXPECT_EQ(ErrorFromName("INVALID_CONFIG"), ErrorCode::kInvalidConfig);
  EXPECT_EQ(ErrorFromName("NO_SUCH_ERROR"), std::nullopt);
}

}  // namespace
}  // namespace sluice::kafka
