#pragma once
// ClusterFixture: a controller over a FakeQuorum on virtual time, with brokers that are nothing but
// the requests they send. The vocabulary of the controller's tests; after every step the invariants
// of metadata/invariants.h are checked.
//
// Thread rule: one thread.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/testing/sim_event_loop.h"
#include "controller/testing/fake_quorum.h"
#include "metadata/server_config.h"

namespace sluice::controller::testing {

struct TestBroker {
  int id = 0;
  int incarnation = 0;
  int directory = 0;
  std::string boot = "boot1";
  std::string rack;
  int64_t epoch = -1;
  bool ready = true;
  bool want_shutdown = false;
  std::vector<std::pair<std::string, int>> damaged;        // topics and partitions, at registration
  std::vector<std::pair<std::string, int>> found_damaged;  // since
  // Where the logs of its replicas end, told while nobody leads them: epoch and offset.
  std::map<std::pair<std::string, int>, std::pair<int, int64_t>> log_ends;
  int64_t previous_epoch = -1;
  // Of a broker with several: what is online, and the epochs of the markers found in them.
  std::vector<int> log_directories;
  std::map<int, int64_t> previous_epochs;
  // What each directory holds; empty: an older version that keeps no epochs.
  std::map<int, int64_t> kept_epochs;
  bool keeps_epoch = false;
  std::vector<int> offline_log_directories;  // failed since the registration
  int64_t synced_index = 0;                  // told in heartbeats
  std::vector<int> full_log_directories;     // that have no room now
};

class ClusterFixture : public ::testing::Test {
 protected:
  explicit ClusterFixture(uint64_t seed = 1, BrokerManagerOptions brokers = {});
  ~ClusterFixture() override;

  // ---- Brokers
  TestBroker& Broker(int id);
  Sender SenderFor(int id);
  RegisterBrokerRequest RegisterRequest(int id);
  HeartbeatRequest NextHeartbeat(int id);
  RegisterBrokerResponse Register(int id);  // committed
  HeartbeatResponse Heartbeat(int id);  // with all metadata applied; what it proposes is committed
  void StartBrokers(int count);         // ids 1 to count, registered and unfenced
  void BeatFor(int64_t ms, std::vector<int> ids);  // heartbeats every 100 ms while time passes

  // ---- Requests, committed
  TopicOutcome CreateTopic(const std::string& name, int32_t partitions, int32_t factor,
                           std::map<std::string, std::string> configs = {});
  TopicOutcome CreateAssigned(const std::string& name, std::vector<std::vector<int>> replicas);
  AlterPartitionResponse AlterIsr(int sender, const std::string& topic, std::vector<int> isr);
  AlterPartitionRequest AlterIsrRequest(int sender, const std::string& topic, std::vector<int> isr);
  // Of partition 0; nullopt cancels. Gives the outcome.
  PartitionOutcome Reassign(const std::string& topic, std::optional<std::vector<int>> replicas,
                            bool factor_may_change = false,
                            std::optional<uint32_t> kib_per_second = std::nullopt);
  PartitionOutcome ElectLeader(const std::string& topic, bool unclean = false);
  // Gives the refusal.
  ChangeBrokerResponse::Refusal Change(ChangeBrokerRequest::Operation operation, int id,
                                       bool force = false);
  // The replica of partition 0 is in that directory; gives the error.
  int32_t Assign(int sender, const std::string& topic, int directory, bool moved = false);
  AlterConfigsResponse::Resource AlterConfig(
      metadata::ConfigResourceType type, const std::string& name, const std::string& key,
      std::optional<std::string> value,
      AlterConfigsRequest::Operation operation = AlterConfigsRequest::SET);

  // Runs a request, commits what it proposes and gives the answer.
  template <typename Request, typename Response>
  Response Call(void (MetadataController::*method)(const Request&, std::function<void(Response)>),
                const Request& request) {
    std::optional<Response> answer;
    ((*controller_).*method)(request, [&](Response response) { answer = std::move(response); });
    CommitAll();
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(Response());
  }

  // ---- Time and the log
  void CommitAll();
  void RunForMs(int64_t ms);
  void Check();  // the invariants, against the image at the last call

  // "replicas=1,2,4,3 adding=4 removing=3" of partition 0; " rate=500" where there is one.
  std::string ShowMove(const std::string& topic) const;
  // "leader=1 isr=1,2 elr=3 known=" of a partition.
  std::string Show(const std::string& topic, int partition = 0) const;
  const metadata::PartitionImage& Partition(const std::string& topic, int partition = 0) const;

  Random random_;
  sluice::testing::SimScheduler scheduler_;
  sluice::testing::SimEventLoop loop_{scheduler_};
  ConfigValues server_{metadata::ServerConfigKeys()};
  FakeQuorum quorum_;
  FakeDialer dialer_;
  FeedLog feed_{1 << 20};
  std::unique_ptr<MetadataController> controller_;
  std::map<int, TestBroker> brokers_;
  metadata::ImagePtr checked_;
};

}  // namespace sluice::controller::testing
