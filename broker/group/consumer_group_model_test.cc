// Consumers at random against one group: they join, leave, fall silent, lose answers, take their
// time to give partitions up; topics come, grow and go; coordinators fail, with and without the
// last records. After each step the invariants of consumer_group.h hold, and no client owns what
// the coordinator may give to another one; after a quiet time all is given out and settled.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>

#include "broker/group/consumer_group.h"
#include "broker/group/testing/consumer_group_bed.h"

namespace sluice::broker {
namespace {

using testing::ConsumerClient;
using testing::ConsumerGroupBed;
using testing::PartitionSet;
using testing::SetOf;
using Fate = ConsumerGroupBed::Fate;

class Model {
 public:
  explicit Model(uint64_t seed) : random_(seed), bed_(seed) {
    for (int topic = 0; topic < 3; ++topic) ChangeTopic();
  }

  void Step() {
    const uint64_t choice = random_.Below(100);
    if (choice < 8) {
      Start();
    } else if (clients_.empty() || choice < 10) {
      ChangeTopic();
    } else if (choice < 14) {
      bed_.Advance(random_.Between(1, 20000));
    } else if (choice < 17) {
      bed_.Reload();
    } else if (choice < 19) {
      Stop();
    } else {
      Act(*clients_[random_.Below(clients_.size())]);
    }
    bed_.Advance(random_.Between(0, 300));
    CheckInvariants();
  }

  void Settle() {
    for (const auto& client : clients_) client->HoldBack(false);
    // Long enough for the sessions of those who fell silent or never came back, and for all to be
    // told that the group has settled after that.
    for (int64_t waited_ms = 0; waited_ms < 80000; waited_ms += 500) {
      for (const auto& client : clients_) client->Release();
      for (const auto& client : clients_) client->Beat();
      bed_.Advance(500);
      CheckInvariants();
    }
    CheckSettled();
  }

  size_t clients() const { return clients_.size(); }

 private:
  std::string TopicName() { return "t" + std::to_string(random_.Below(5)); }

  void ChangeTopic() {
    const std::string name = TopicName();
    const auto topic = bed_.image().FindTopic(name);
    if (topic != nullptr && random_.Chance(1, 4)) return bed_.DeleteTopic(name);
    const size_t partitions = topic == nullptr ? 0 : topic->partitions.size();
    bed_.SetTopic(name,
                  static_cast<int32_t>(partitions) + static_cast<int32_t>(random_.Between(1, 5)));
  }

  void Start() {
    if (clients_.size() >= 8) return Stop();
    auto client = std::make_unique<ConsumerClient>(bed_, "m" + std::to_string(++started_));
    if (random_.Chance(1, 3)) {
      client->instance_id = "i" + std::to_string(random_.Below(6));
      // Two processes with one instance id would turn each other out for ever.
      for (const auto& other : clients_) {
        if (other->instance_id == client->instance_id) return;
      }
    }
    if (random_.Chance(1, 4)) {
      client->regex = random_.Chance(1, 2) ? "t[0-2]" : "t[1-4].*";
    } else {
      client->topics = Names();
    }
    if (random_.Chance(1, 3)) client->rack = "r" + std::to_string(random_.Below(2));
    if (random_.Chance(1, 5)) client->assignor = "range";
    client->rebalance_timeout_ms = static_cast<int32_t>(random_.Between(1000, 60000));
    clients_.push_back(std::move(client));
    clients_.back()->Beat();
  }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (int topic = 0; topic < 5; ++topic) {
      if (random_.Chance(1, 2)) names.push_back("t" + std::to_string(topic));
    }
    return names;
  }

  // With a word or without.
  void Stop() {
    if (clients_.empty()) return;
    const size_t place = random_.Below(clients_.size());
    ConsumerClient& client = *clients_[place];
    if (random_.Chance(1, 2) && client.epoch() > 0) {
      client.Leave(!client.instance_id.empty() && random_.Chance(1, 2) ? kStaticLeaveEpoch
                                                                       : kLeaveEpoch);
    }
    clients_.erase(clients_.begin() + static_cast<ptrdiff_t>(place));
  }

  void Act(ConsumerClient& client) {
    const uint64_t choice = random_.Below(20);
    if (choice == 0) {
      client.BeatUnheard();
    } else if (choice == 1) {
      client.Beat(Fate::kRefused);
    } else if (choice == 2) {
      client.Beat(Fate::kLost);
    } else if (choice == 3) {
      client.HoldBack(true);
    } else if (choice < 6) {
      client.HoldBack(false);
      client.Release();
    } else if (choice == 6 && client.regex.empty()) {
      client.Subscribe(Names());
    } else {
      client.Beat();
    }
  }

  void CheckInvariants() {
    ConsumerGroup& group = bed_.group();
    EXPECT_LE(group.target_epoch(), group.epoch());
    std::map<TopicId, std::set<int32_t>> owned;
    std::map<TopicId, std::set<int32_t>> targets;
    for (const auto& [id, member] : group.members()) {
      EXPECT_LE(member.current.epoch, group.target_epoch()) << id;
      for (const OwnedPartitions* part : {&member.current.assigned, &member.current.revoking}) {
        for (const auto& [topic, partitions] : *part) {
          for (const auto& [partition, epoch] : partitions)
            EXPECT_TRUE(owned[topic].insert(partition).second) << id << " has another's";
        }
      }
      for (const auto& [topic, partitions] : group.TargetOf(id)) {
        for (const int32_t partition : partitions)
          EXPECT_TRUE(targets[topic].insert(partition).second) << id << " shall have another's";
      }
    }
    CheckRecords();
    for (const auto& client : clients_) CheckClient(*client);
  }

  void CheckRecords() {
    const auto loaded = bed_.Loaded();
    EXPECT_EQ(loaded->epoch(), bed_.group().epoch());
    EXPECT_EQ(loaded->target_epoch(), bed_.group().target_epoch());
    EXPECT_EQ(loaded->members().size(), bed_.group().members().size());
    for (const auto& [id, member] : bed_.group().members()) {
      ASSERT_TRUE(loaded->members().contains(id));
      const ConsumerMember& other = loaded->members().at(id);
      EXPECT_EQ(other.current, member.current) << id;
      EXPECT_EQ(MetadataValueOf(other), MetadataValueOf(member)) << id;
      EXPECT_EQ(loaded->TargetOf(id), bed_.group().TargetOf(id)) << id;
    }
  }

  // One that has the epoch that the group knows owns nothing but what the group says that it may
  // own. (One with another epoch may, until it hears of it: it is fenced then, and its commits are
  // refused.)
  void CheckClient(const ConsumerClient& client) {
    const auto member = bed_.group().members().find(client.id());
    if (member == bed_.group().members().end()) return;
    if (client.epoch() != member->second.current.epoch) return;
    PartitionSet allowed = SetOf(member->second.current.assigned);
    allowed.merge(SetOf(member->second.current.revoking));
    for (const auto& [topic, partition] : client.owned()) {
      EXPECT_TRUE(allowed.contains({topic, partition}))
          << client.id() << " owns " << topic << "-" << partition;
    }
  }

  void CheckSettled() {
    ConsumerGroup& group = bed_.group();
    EXPECT_EQ(group.members().size(), clients_.size());
    EXPECT_EQ(group.state_name(), clients_.empty() ? "Empty" : "Stable");
    PartitionSet all;
    for (const auto& client : clients_) {
      EXPECT_EQ(client->owned(), SetOf(group.TargetOf(client->id()))) << client->id();
      EXPECT_EQ(client->interval_ms(), 1000) << client->id();
      for (const auto& partition : client->owned()) EXPECT_TRUE(all.insert(partition).second);
    }
    PartitionSet expected;
    for (const auto& [name, topic] : *bed_.image().topics_by_name) {
      if (!group.IsSubscribedTo(name)) continue;
      for (size_t i = 0; i < topic->partitions.size(); ++i)
        expected.emplace(topic->id, static_cast<int32_t>(i));
    }
    EXPECT_EQ(all, expected);
  }

  Random random_;
  ConsumerGroupBed bed_;
  std::vector<std::unique_ptr<ConsumerClient>> clients_;
  int started_ = 0;
};

class ConsumerGroupModel : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ConsumerGroupModel, KeepsItsInvariantsAndSettles) {
  // More seeds: SLUICE_MODEL_SEEDS=1000.
  const char* const more = std::getenv("SLUICE_MODEL_SEEDS");
  const uint64_t rounds = more == nullptr ? 1 : std::strtoull(more, nullptr, 10);
  for (uint64_t round = 0; round < rounds; ++round) {
    const uint64_t seed = GetParam() + round * 1000;
    SCOPED_TRACE("seed " + std::to_string(seed));
    Model model(seed);
    for (int phase = 0; phase < 4; ++phase) {
      for (int step = 0; step < 250; ++step) {
        model.Step();
        if (::testing::Test::HasFailure()) {
          FAIL() << "phase " << phase << ", step " << step;
        }
      }
      model.Settle();
      if (::testing::Test::HasFailure()) FAIL() << "after phase " << phase;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ConsumerGroupModel, ::testing::Range(uint64_t{1}, uint64_t{21}));

}  // namespace
}  // namespace sluice::broker
