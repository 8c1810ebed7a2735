// The mode `probe` of bench_groups: asks brokers that do not coordinate a group yet, every
// millisecond, until one of them does. __consumer_offsets has one partition. It says when that
// broker first tells that it leads it, and when it first answers for the group: its offsets, and a
// heartbeat, of a member that it does not know.
#include <cstdio>
#include <optional>

#include "bench/groups/group_load.h"
#include "kafka/error_code.h"
#include "kafka/messages/heartbeat.h"
#include "kafka/messages/metadata.h"
#include "kafka/messages/offset_fetch.h"

namespace sluice::bench {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

constexpr int16_t kMetadataVersion = 9;
constexpr int16_t kFetchVersion = 7;
constexpr int16_t kHeartbeatVersion = 3;

class Prober {
 public:
  explicit Prober(const ProbeLoad& load) : load_(load) {
    metadata_.topics->emplace_back().name = "__consumer_offsets";
    metadata_.allow_auto_topic_creation = false;
    fetch_.group_id = GroupName(load.group);
    auto& topic = fetch_.topics->emplace_back();
    topic.name = load.topic;
    topic.partition_indexes = {0};
    heartbeat_.group_id = fetch_.group_id;
    heartbeat_.member_id = "nobody";
    for (const std::string& address : load.addresses) {
      Broker& broker = brokers_.emplace_back();
      broker.address = address;
      for (auto& connection : broker.connections) connection = client_.Connect(address);
    }
  }

  int Run() {
    const SteadyTime end = Now() + std::chrono::seconds(load_.seconds);
    std::printf("probing\n");
    std::fflush(stdout);
    for (Broker& broker : brokers_) {
      AskLeader(broker);
      AskOffsets(broker);
      AskHeartbeat(broker);
    }
    while (Now() < end) {
      client_.Poll(1);
      for (Broker& broker : brokers_) {
        if (!broker.led || !broker.fetched || !broker.heartbeat) continue;
        std::printf(
            "{\"address\": \"%s\", \"offsets_ms\": %.2f, \"heartbeat_ms\": %.2f, "
            "\"loading\": %d}\n",
            broker.address.c_str(), MsBetween(*broker.led, *broker.fetched),
            MsBetween(*broker.led, *broker.heartbeat), broker.loading);
        return 0;
      }
      for (auto& ask : std::exchange(due_, {})) ask();
    }
    Require(false, "nobody has become the coordinator");
    return 1;
  }

 private:
  struct Broker {
    std::string address;
    WireClient::ConnectionId connections[3] = {};
    std::optional<SteadyTime> led;
    std::optional<SteadyTime> fetched;
    std::optional<SteadyTime> heartbeat;
    int loading = 0;  // answers that said so
  };

  void AskLeader(Broker& broker) {
    client_.Ask<kafka::MetadataResponse>(
        broker.connections[0], metadata_, kMetadataVersion,
        [this, &broker](const kafka::MetadataResponse& response) {
          const int32_t leader = response.topics.at(0).partitions.at(0).leader_id;
          for (const auto& other : response.brokers) {
            const std::string address = other.host + ":" + std::to_string(other.port);
            if (other.node_id == leader && address == broker.address) broker.led = Now();
          }
          if (!broker.led) due_.push_back([this, &broker] { AskLeader(broker); });
        });
  }

  void AskOffsets(Broker& broker) {
    client_.Ask<kafka::OffsetFetchResponse>(
        broker.connections[1], fetch_, kFetchVersion,
        [this, &broker](const kafka::OffsetFetchResponse& response) {
          const bool loading =
              response.error_code == WireError(ErrorCode::kCoordinatorLoadInProgress);
          if (loading) ++broker.loading;
          if (response.error_code == 0) {
            Require(response.topics.at(0).partitions.at(0).committed_offset >= 0,
                    "the group's offset is lost");
            broker.fetched = Now();
          } else {
            due_.push_back([this, &broker] { AskOffsets(broker); });
          }
        });
  }

  void AskHeartbeat(Broker& broker) {
    client_.Ask<kafka::HeartbeatResponse>(
        broker.connections[2], heartbeat_, kHeartbeatVersion,
        [this, &broker](const kafka::HeartbeatResponse& response) {
          if (response.error_code == WireError(ErrorCode::kUnknownMemberId))
            broker.heartbeat = Now();
          else
            due_.push_back([this, &broker] { AskHeartbeat(broker); });
        });
  }

  const ProbeLoad load_;
  kafka::MetadataRequest metadata_;
  kafka::OffsetFetchRequest fetch_;
  kafka::HeartbeatRequest heartbeat_;
  WireClient client_;
  std::deque<Broker> brokers_;
  std::vector<std::function<void()>> due_;
};

}  // namespace

int RunProbe(const ProbeLoad& load) { return Prober(load).Run(); }

}  // namespace sluice::bench
