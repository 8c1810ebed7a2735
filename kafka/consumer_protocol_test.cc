// What consumers embed: versions of the future, bytes after the message, damage.

#include "kafka/consumer_protocol.h"

#include <gtest/gtest.h>

#include <string>

#include "base/random.h"

namespace sluice::kafka {
namespace {

ConsumerProtocolSubscription Sample() {
  ConsumerProtocolSubscription subscription;
  subscription.topics = {"a", "b"};
  subscription.user_data = "opaque";
  subscription.owned_partitions.push_back({.topic = "a", .partitions = {0, 7}});
  subscription.generation_id = 12;
  subscription.rack_id = "rack";
  return subscription;
}

TEST(ConsumerProtocolTest, VersionsOfTheFutureAreReadAsTheNewest) {
  std::string bytes = *EncodeConsumerSubscription(Sample(), 3);
  bytes[1] = 9;
  bytes += "fields of the future";
  EXPECT_EQ(*ConsumerProtocolVersion(bytes), 9);
  EXPECT_EQ(*DecodeConsumerSubscription(bytes), Sample());
  EXPECT_EQ(*EncodeConsumerSubscription(Sample(), 9), *EncodeConsumerSubscription(Sample(), 3));
}

TEST(ConsumerProtocolTest, OldVersionsDropWhatTheyLack) {
  ConsumerProtocolSubscription old = Sample();
  old.owned_partitions.clear();
  old.generation_id = -1;
  old.rack_id.reset();
  EXPECT_EQ(*DecodeConsumerSubscription(*EncodeConsumerSubscription(Sample(), 0)), old);
}

TEST(ConsumerProtocolTest, AssignmentsRoundTripInEveryVersion) {
  ConsumerProtocolAssignment assignment;
  assignment.assigned_partitions.push_back({.topic = "a", .partitions = {3, 1}});
  for (int16_t version = 0; version <= 4; ++version) {
    const Result<std::string> bytes = EncodeConsumerAssignment(assignment, version);
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    EXPECT_EQ(*ConsumerProtocolVersion(*bytes), std::min<int16_t>(version, 3));
    EXPECT_EQ(*DecodeConsumerAssignment(*bytes), assignment);
  }
}

TEST(ConsumerProtocolTest, NegativeVersionsAndDamageAreRefused) {
  std::string bytes = *EncodeConsumerSubscription(Sample(), 3);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(DecodeConsumerSubscription(bytes.substr(0, size)).status().code(),
              StatusCode::kInvalidArgument);
  }
  bytes[0] = '\xFF';
  EXPECT_EQ(DecodeConsumerSubscription(bytes).status().code(), StatusCode::kUnsupported);
  EXPECT_FALSE(ConsumerProtocolVersion("\1").ok());
}

TEST(ConsumerProtocolTest, RandomBytesNeverCrash) {
  Random random(20260704);
  const std::string sample = *EncodeConsumerSubscription(Sample(), 3);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = sample;
    for (uint64_t left = random.Between(1, 4); left > 0; --left) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    bytes.resize(random.Below(bytes.size() + 1));
    (void)DecodeConsumerAssignment(bytes).ok();
    const Result<ConsumerProtocolSubscription> read = DecodeConsumerSubscription(bytes);
    if (!read.ok()) continue;
    EXPECT_EQ(*DecodeConsumerSubscription(*EncodeConsumerSubscription(*read, 3)), *read);
  }
}

}  // namespace
}  // namespace sluice::kafka
