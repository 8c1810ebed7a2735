#include "broker/group/consumer_heartbeat_check.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace sluice::broker {
namespace {

using kafka::ErrorCode;
using Request = kafka::ConsumerGroupHeartbeatRequest;

Request First() {
  Request request;
  request.group_id = "g";
  request.member_id = "m";
  request.rebalance_timeout_ms = 1000;
  request.subscribed_topic_names = {"t"};
  request.topic_partitions.emplace();
  return request;
}

struct Case {
  const char* story;
  int16_t version;
  std::function<void(Request&)> edit;
  ErrorCode expected;
};

constexpr ErrorCode kNone = ErrorCode::kNone;
constexpr ErrorCode kInvalid = ErrorCode::kInvalidRequest;

// Who it is.
std::vector<Case> Identities() {
  return {
      {"a sound first one", 1, [](Request&) {}, kNone},
      {"no group", 1, [](Request& r) { r.group_id = ""; }, kInvalid},
      {"a group of blanks", 1, [](Request& r) { r.group_id = "  "; }, kInvalid},
      {"no member id, where the client chooses it", 1, [](Request& r) { r.member_id = ""; },
       kInvalid},
      {"no member id, where the coordinator chooses it", 0, [](Request& r) { r.member_id = ""; },
       kNone},
      {"no member id later on", 0,
       [](Request& r) {
         r.member_id = "";
         r.member_epoch = 1;
       },
       kInvalid},
      {"no member id to leave with", 0,
       [](Request& r) {
         r.member_id = "";
         r.member_epoch = -1;
       },
       kInvalid},
      {"an empty instance id", 1, [](Request& r) { r.instance_id = ""; }, kInvalid},
      {"an empty rack", 1, [](Request& r) { r.rack_id = ""; }, kInvalid},
  };
}

// What it says, and when.
std::vector<Case> Contents() {
  return {
      {"no rebalance timeout", 1, [](Request& r) { r.rebalance_timeout_ms = -1; }, kInvalid},
      {"owned partitions not told", 1, [](Request& r) { r.topic_partitions.reset(); }, kInvalid},
      {"partitions owned already", 1, [](Request& r) { r.topic_partitions->emplace_back(); },
       kInvalid},
      {"no subscription", 1, [](Request& r) { r.subscribed_topic_names.reset(); }, kInvalid},
      {"an empty subscription", 1, [](Request& r) { r.subscribed_topic_names->clear(); }, kNone},
      {"a regular expression only", 1,
       [](Request& r) {
         r.subscribed_topic_names.reset();
         r.subscribed_topic_regex = "t.*";
       },
       kNone},
      {"nothing but the epoch, later on", 1,
       [](Request& r) {
         r = {};
         r.group_id = "g";
         r.member_id = "m";
         r.member_epoch = 3;
       },
       kNone},
      {"leaves for a while without being static", 1, [](Request& r) { r.member_epoch = -2; },
       kInvalid},
      {"leaves for a while", 1,
       [](Request& r) {
         r.member_epoch = -2;
         r.instance_id = "i";
       },
       kNone},
      {"an epoch that means nothing", 1, [](Request& r) { r.member_epoch = -3; }, kInvalid},
      {"an assignor that is there", 1, [](Request& r) { r.server_assignor = "range"; }, kNone},
      {"one that is not", 1, [](Request& r) { r.server_assignor = "best"; },
       ErrorCode::kUnsupportedAssignor},
      {"a member id too long for a record", 1, [](Request& r) { r.member_id.assign(32768, 'm'); },
       kInvalid},
      {"a topic name too long for a record", 1,
       [](Request& r) { r.subscribed_topic_names->emplace_back(32768, 't'); }, kInvalid},
  };
}

void Check(const std::vector<Case>& cases) {
  const ConsumerGroupConfig config;
  for (const Case& c : cases) {
    Request request = First();
    c.edit(request);
    const auto refusal = CheckConsumerHeartbeat(request, c.version, config);
    EXPECT_EQ(refusal.has_value() ? refusal->code : kNone, c.expected) << c.story;
    if (!refusal.has_value()) continue;
    EXPECT_FALSE(refusal->message.empty());
    EXPECT_EQ(RefusedHeartbeat(*refusal).error_code, kafka::WireError(c.expected));
  }
}

TEST(ConsumerHeartbeatCheckTest, RefusesWhatKafkaRefuses) {
  Check(Identities());
  Check(Contents());
}

}  // namespace
}  // namespace sluice::broker
