// The mode `members` of bench_groups: well-behaved members of the consumer protocol. Each sends a
// heartbeat at the interval that the coordinator told it last, gives up and takes partitions as
// soon as it is told to, and says so at once.
//
// Settled: each partition is a member's, and none has two more than another. Of each change it is
// told how long it took until that was so, and how many heartbeats; and their rate when all is
// quiet.
#include <cstdio>
#include <optional>
#include <random>
#include <set>

#include "bench/groups/group_load.h"
#include "kafka/messages/consumer_group_heartbeat.h"
#include "kafka/messages/metadata.h"

namespace sluice::bench {
namespace {

using Request = kafka::ConsumerGroupHeartbeatRequest;
using Response = kafka::ConsumerGroupHeartbeatResponse;

constexpr int16_t kHeartbeatVersion = 1;
constexpr int16_t kMetadataVersion = 12;
constexpr int32_t kRebalanceMs = 300000;
constexpr double kGiveUpMs = 120000;

class Members {
 public:
  explicit Members(const MembersLoad& load) : load_(load) {
    kafka::MetadataRequest request;
    request.topics->emplace_back().name = load.topic;
    const auto answer = client_.Call<kafka::MetadataResponse>(client_.Connect(load.bootstrap),
                                                              request, kMetadataVersion);
    partitions_ = answer.topics.at(0).partitions.size();
    group_ = "rebalance-" + std::to_string(std::random_device()());
    address_ = FindCoordinators(client_, load.bootstrap, {group_})[0];
  }

  int Run() {
    std::printf("{\"joined\": %s, ", Measure([&] {
                                       for (int64_t i = 0; i < load_.members; ++i) Join();
                                     }).c_str());
    std::printf("\"quiet_heartbeats_per_s\": %.1f, ", StayQuiet());
    std::printf("\"one_left\": %s, ", Measure([&] { Leave(members_.front()); }).c_str());
    StayQuiet();
    std::printf("\"one_joined\": %s}\n", Measure([&] { Join(); }).c_str());
    return 0;
  }

 private:
  struct Member {
    std::string id;
    WireClient::ConnectionId connection = 0;
    int32_t epoch = 0;
    bool in_flight = false;
    bool gone = false;
    bool reports = true;  // its next heartbeat says what it owns
    SteadyTime due;
    int32_t interval_ms = 0;
    std::set<int32_t> owned;
    Uuid topic;
  };

  void Join() {
    Member& member = members_.emplace_back();
    std::string id(16, '\0');
    for (char& c : id) c = static_cast<char>(random_());
    member.id = Uuid::FromBytes(id).ToString();
    member.connection = client_.Connect(address_);
    member.due = Now();
  }

  void Leave(Member& member) {
    Request request;
    request.group_id = group_;
    request.member_id = member.id;
    request.member_epoch = -1;
    for (const int32_t partition : member.owned) --owners_[partition];
    member.owned.clear();
    member.gone = true;
    client_.Ask<Response>(
        member.connection, request, kHeartbeatVersion,
        [](const Response& response) { Require(response.error_code == 0, "a leave was refused"); });
  }

  void Heartbeat(Member& member) {
    Request request;
    request.group_id = group_;
    request.member_id = member.id;
    request.member_epoch = member.epoch;
    if (member.epoch == 0) {
      request.rebalance_timeout_ms = kRebalanceMs;
      request.subscribed_topic_names = std::vector<std::string>{load_.topic};
    }
    if (member.reports) {
      auto& owned = request.topic_partitions.emplace();
      if (!member.owned.empty()) {
        owned.emplace_back().topic_id = member.topic;
        owned[0].partitions.assign(member.owned.begin(), member.owned.end());
      }
    }
    member.reports = false;
    member.in_flight = true;
    ++heartbeats_;
    client_.Ask<Response>(member.connection, request, kHeartbeatVersion,
                          [this, &member, sent = Now()](const Response& response) {
                            member.in_flight = false;
                            if (!member.gone) Take(member, response, sent);
                          });
  }

  void Take(Member& member, const Response& response, SteadyTime sent) {
    Require(response.error_code == 0, "a heartbeat was refused with error " +
                                          std::to_string(response.error_code) + " " +
                                          response.error_message.value_or(""));
    member.epoch = response.member_epoch;
    member.interval_ms = response.heartbeat_interval_ms;
    member.due = sent + std::chrono::milliseconds(response.heartbeat_interval_ms);
    if (!response.assignment.has_value()) return;
    std::set<int32_t> assigned;
    for (const auto& topic : response.assignment->topic_partitions) {
      member.topic = topic.topic_id;
      assigned.insert(topic.partitions.begin(), topic.partitions.end());
    }
    if (assigned == member.owned) return;
    for (const int32_t partition : member.owned) --owners_[partition];
    for (const int32_t partition : assigned)
      Require(++owners_[partition] == 1, "a partition has two owners");
    member.owned = std::move(assigned);
    member.reports = true;
    member.due = Now();
  }

  bool Settled() const {
    size_t owned = 0, least = partitions_, most = 0;
    for (const Member& member : members_) {
      if (member.gone) continue;
      owned += member.owned.size();
      least = std::min(least, member.owned.size());
      most = std::max(most, member.owned.size());
    }
    return owned == partitions_ && most - least <= 1;
  }

  void Step() {
    const SteadyTime now = Now();
    for (Member& member : members_) {
      if (!member.gone && !member.in_flight && member.due <= now) Heartbeat(member);
    }
    client_.Poll(1);
  }

  template <typename Change>
  std::string Measure(const Change& change) {
    const SteadyTime start = Now();
    const int64_t before = heartbeats_;
    change();
    do {
      Step();
      Require(MsBetween(start, Now()) < kGiveUpMs, "the group does not settle");
    } while (!Settled());
    char text[100];
    std::snprintf(text, sizeof text, "{\"ms\": %.0f, \"heartbeats\": %lld}",
                  MsBetween(start, Now()), static_cast<long long>(heartbeats_ - before));
    return text;
  }

  // Members that joined at one time are spread over their interval, as they are after a while.
  // Gives the heartbeats in a second from then on.
  double StayQuiet() {
    const SteadyTime start = Now();
    const auto third = std::chrono::milliseconds(load_.quiet_seconds * 1000 / 3);
    RunUntil(start + 2 * third);
    for (Member& member : members_) {
      const auto interval_ms = static_cast<uint32_t>(std::max(1, member.interval_ms));
      member.due = Now() + std::chrono::milliseconds(random_() % interval_ms);
    }
    const SteadyTime counted = Now();
    const int64_t before = heartbeats_;
    RunUntil(start + 3 * third);
    return static_cast<double>(heartbeats_ - before) * 1000 / MsBetween(counted, Now());
  }

  void RunUntil(SteadyTime end) {
    while (Now() < end) Step();
  }

  const MembersLoad load_;
  WireClient client_;
  std::mt19937 random_{std::random_device()()};
  std::string group_;
  std::string address_;
  size_t partitions_ = 0;
  std::deque<Member> members_;
  std::map<int32_t, int> owners_;
  int64_t heartbeats_ = 0;
};

}  // namespace

int RunMembers(const MembersLoad& load) { return Members(load).Run(); }

}  // namespace sluice::bench
