// Clients of all kinds come to two groups, go, die, start again and lie, while appends are refused
// and the coordinator moves; a model keeps the books. SLUICE_GROUP_SEEDS says how many runs (5).
//
// What must hold:
//   1. Every request is answered exactly once.
//   2. Of what a generation's leader hands out, each partition reaches one member only, whichever
//      coordinator tells it.
//   3. When everything is quiet, every client that wants to be in a group has its share of one and
//      the same generation, and all partitions are somebody's.
//   4. When all have left, memory holds nothing.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <set>
#include <sstream>

#include "broker/group/classic_group.h"
#include "broker/group/testing/shard_driver.h"

namespace sluice::broker::testing {
namespace {

using kafka::ErrorCode;
using kafka::WireError;

constexpr int kClients = 10;
constexpr int kPartitions = 6;
constexpr int kSteps = 4000;

struct Client {
  enum class State { kOut, kAsked, kJoined, kIn };

  std::string name;
  std::string group_id;
  std::optional<std::string> instance_id;
  int16_t version = 9;
  bool wants_in = true;
  State state = State::kOut;
  RequestToken waits_for = 0;
  int64_t heard_ms = 0;  // its last step
  std::string member_id;
  int32_t generation = -1;
  std::vector<std::string> to_assign;  // when it leads
  std::set<int> owned;
  int subscription = 0;

  // Under which a partition may be told twice.
  std::string identity() const { return instance_id.value_or(member_id); }
};

class World {
 public:
  explicit World(uint64_t seed) : random_(seed), driver_(Listener(), seed) {
    for (int i = 0; i < kClients; ++i) {
      Client& client = clients_.emplace_back();
      client.name = "c" + std::to_string(i);
      client.group_id = i % 2 == 0 ? "even" : "odd";
      client.version = static_cast<int16_t>(random_.Between(1, 9));
      if (i % 5 < 2) {
        client.instance_id = "i" + std::to_string(i);
        client.version = static_cast<int16_t>(random_.Between(5, 9));
      }
    }
  }

  void Run() {
    for (int step = 0; step < kSteps; ++step) {
      Disturb();
      Act(clients_[random_.Below(kClients)]);
      if (random_.Chance(1, 3)) driver_.Advance(random_.Between(1, 1500));
    }
  }

  void Calm() {
    driver_.Commit();
    for (Client& client : clients_) client.wants_in = true;
    CalmFor(400);
    for (const char* group_id : {"even", "odd"}) CheckSettled(group_id);
  }

  void LeaveAll() {
    for (Client& client : clients_) {
      client.wants_in = false;
      Leave(client);
    }
    driver_.Advance(3600000);
    EXPECT_TRUE(asked_.empty()) << asked_.size() << " requests without answer";
    EXPECT_EQ(driver_.shard().loaded_groups(), 0u);
    EXPECT_EQ(driver_.shard().timers(), 0u);
  }

 private:
  using State = Client::State;

  ShardDriver::Listener Listener() {
    ShardDriver::Listener listener;
    listener.on_effects = [](const GroupEffects&) {};
    listener.on_record = [](const GroupRecord&) {};
    listener.on_refusal = [](ErrorCode) {};
    listener.on_answer = [this](const GroupAnswer& answer, bool) { OnAnswer(answer); };
    return listener;
  }

  void Disturb() {
    const uint64_t what = random_.Below(400);
    if (what == 0) driver_.FailOver(random_.Chance(1, 2));
    if (what == 1) driver_.LoadAll();
    if (what < 5) driver_.RefuseNext(ErrorCode::kNotEnoughReplicas);
    if (what < 20) driver_.Hold();
    if (what >= 20 && what < 80) driver_.Commit();
    Client& client = clients_[random_.Below(kClients)];
    if (what >= 80 && what < 84) Die(client);
    if (what >= 84 && what < 88) client.wants_in = !client.wants_in;
    if (what >= 88 && what < 92) ++client.subscription;
    if (what >= 92 && what < 100) Lie(client);
  }

  // The process is gone, and another one starts. Nobody waits for its answers.
  void Die(Client& client) {
    client.state = State::kOut;
    client.waits_for = 0;
    client.member_id.clear();
    client.generation = -1;
    client.owned.clear();
  }

  // A request that is out of place: it changes nothing for anybody who behaves.
  void Lie(const Client& client) {
    const bool knows_id = random_.Chance(1, 2);
    kafka::SyncGroupRequest sync;
    sync.group_id = client.group_id;
    sync.member_id = knows_id ? client.member_id : "nobody";
    sync.generation_id = static_cast<int32_t>(knows_id ? client.generation + 7 : random_.Below(5));
    Send(nullptr, 4, sync);
    kafka::HeartbeatRequest heartbeat;
    heartbeat.group_id = client.group_id;
    heartbeat.member_id = sync.member_id;
    heartbeat.generation_id = sync.generation_id;
    Send(nullptr, 4, heartbeat);
    kafka::JoinGroupRequest join = JoinRequest(client);
    join.protocols.resize(1);
    join.protocols[0].name = "unheard of";
    join.member_id = sync.member_id;
    // In an empty group this is a member like any other, which never comes back.
    if (!knows_id) Send(nullptr, 3, join);
  }

  void Act(Client& client) {
    // Clients give up on what takes too long, and connect again.
    if (client.state == State::kAsked) {
      if (driver_.now_ms() - client.heard_ms < 30000) return;
      client.state = State::kOut;
    }
    client.heard_ms = driver_.now_ms();
    if (!client.wants_in) return Leave(client);
    if (client.state == State::kOut) return Join(client);
    if (client.state == State::kJoined) return Sync(client);
    if (random_.Chance(1, 50)) return Join(client);
    Heartbeat(client);
  }

  kafka::JoinGroupRequest JoinRequest(const Client& client) const {
    kafka::JoinGroupRequest request;
    request.group_id = client.group_id;
    request.member_id = client.member_id;
    request.group_instance_id = client.instance_id;
    request.session_timeout_ms = 10000;
    request.rebalance_timeout_ms = 15000;
    request.protocol_type = "t";
    request.protocols.resize(2);
    request.protocols[client.subscription % 2].name = "range";
    request.protocols[1 - client.subscription % 2].name = "sticky";
    request.protocols[0].metadata = std::to_string(client.subscription);
    return request;
  }

  void Join(Client& client) { Send(&client, client.version, JoinRequest(client)); }

  void Sync(Client& client) {
    kafka::SyncGroupRequest request;
    request.group_id = client.group_id;
    request.member_id = client.member_id;
    request.group_instance_id = client.instance_id;
    request.generation_id = client.generation;
    for (const std::string& member_id : client.to_assign) {
      request.assignments.emplace_back().member_id = member_id;
    }
    const uint64_t first = random_.Below(kPartitions);
    for (int i = 0; i < kPartitions && !request.assignments.empty(); ++i) {
      auto& assigned = request.assignments[(first + i) % request.assignments.size()];
      assigned.assignment += std::to_string(i) + " ";
    }
    Send(&client, 4, request);
  }

  void Heartbeat(Client& client) {
    kafka::HeartbeatRequest request;
    request.group_id = client.group_id;
    request.member_id = client.member_id;
    request.group_instance_id = client.instance_id;
    request.generation_id = client.generation;
    Send(&client, 4, request);
  }

  void Leave(Client& client) {
    if (client.member_id.empty() && !client.instance_id.has_value()) return;
    kafka::LeaveGroupRequest request;
    request.group_id = client.group_id;
    auto& member = request.members.emplace_back();
    if (!client.instance_id.has_value()) member.member_id = client.member_id;
    member.group_instance_id = client.instance_id;
    Die(client);
    Send(nullptr, 5, request);
  }

  // Null: whoever asks does not look at the answer.
  void Send(Client* client, int16_t version, GroupRequest request) {
    GroupCaller caller;
    caller.token = ++last_token_;
    caller.version = version;
    caller.client_id = client == nullptr ? "liar" : client->name;
    asked_.emplace(caller.token, client);
    if (client != nullptr) {
      client->state = State::kAsked;
      client->waits_for = caller.token;
    }
    driver_.Handle(caller, std::move(request));
  }

  void OnAnswer(const GroupAnswer& answer) {
    auto node = asked_.extract(answer.token);
    ASSERT_FALSE(node.empty()) << "an answer that nobody asked for, or the second one";
    Client* client = node.mapped();
    if (client == nullptr || client->waits_for != answer.token) return;
    client->waits_for = 0;
    client->heard_ms = driver_.now_ms();
    if (const auto* join = std::get_if<kafka::JoinGroupResponse>(&answer.response)) {
      OnJoined(*client, *join);
    } else if (const auto* sync = std::get_if<kafka::SyncGroupResponse>(&answer.response)) {
      OnSynced(*client, *sync);
    } else if (const auto* beat = std::get_if<kafka::HeartbeatResponse>(&answer.response)) {
      if (beat->error_code == 0) {
        client->state = State::kIn;
      } else {
        OnError(*client, beat->error_code);
      }
    }
  }

  void OnError(Client& client, int16_t error_code) {
    client.state = State::kOut;
    if (error_code == WireError(ErrorCode::kUnknownMemberId) ||
        error_code == WireError(ErrorCode::kFencedInstanceId)) {
      Die(client);
    }
  }

  void OnJoined(Client& client, const kafka::JoinGroupResponse& response) {
    if (response.error_code == WireError(ErrorCode::kMemberIdRequired)) {
      client.member_id = response.member_id;
    }
    if (response.error_code != 0) return OnError(client, response.error_code);
    client.member_id = response.member_id;
    client.generation = response.generation_id;
    client.state = State::kJoined;
    client.to_assign.clear();
    if (response.leader != response.member_id || response.skip_assignment) return;
    for (const auto& member : response.members) client.to_assign.push_back(member.member_id);
  }

  void OnSynced(Client& client, const kafka::SyncGroupResponse& response) {
    if (response.error_code != 0) return OnError(client, response.error_code);
    client.state = State::kIn;
    client.owned.clear();
    auto& owners = owners_[{client.group_id, client.generation}];
    std::istringstream in(response.assignment);
    for (int partition = 0; in >> partition;) {
      client.owned.insert(partition);
      const auto [owner, is_new] = owners.emplace(partition, client.identity());
      EXPECT_EQ(owner->second, client.identity())
          << client.group_id << " generation " << client.generation << " partition " << partition;
    }
  }

  void CalmFor(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (Client& client : clients_) {
        for (int i = 0; i < 3; ++i) {
          if (client.state != State::kIn) Act(client);
        }
        if (client.state == State::kIn) Heartbeat(client);
      }
      driver_.Advance(500);
    }
  }

  void CheckSettled(const std::string& group_id) {
    const auto* group = dynamic_cast<const ClassicGroup*>(driver_.shard().FindLoaded(group_id));
    ASSERT_NE(group, nullptr);
    EXPECT_EQ(group->state(), ClassicGroupState::kStable);
    std::set<int> all;
    size_t members = 0;
    for (const Client& client : clients_) {
      if (client.group_id != group_id) continue;
      ++members;
      EXPECT_EQ(client.state, State::kIn) << client.name;
      EXPECT_EQ(client.generation, group->generation()) << client.name;
      for (const int partition : client.owned) EXPECT_TRUE(all.insert(partition).second);
    }
    EXPECT_EQ(group->members().size(), members);
    EXPECT_EQ(all.size(), static_cast<size_t>(kPartitions));
  }

  Random random_;
  std::vector<Client> clients_;
  RequestToken last_token_ = 0;
  std::map<RequestToken, Client*> asked_;
  std::map<std::pair<std::string, int32_t>, std::map<int, std::string>> owners_;
  ShardDriver driver_;
};

TEST(ClassicGroupRandomTest, ClientsSettleWhateverHappens) {
  const char* seeds = std::getenv("SLUICE_GROUP_SEEDS");
  const int count = seeds == nullptr ? 5 : std::atoi(seeds);
  for (int seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(static_cast<uint64_t>(seed));
    world.Run();
    world.Calm();
    world.LeaveAll();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice::broker::testing
