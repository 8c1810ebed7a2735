// Scenario: the sentences in which the admin acts, and what comes of it.
#include <algorithm>
#include <memory>

#include "tests/sim/cluster/scenario.h"
#include "tests/sim/cluster/scenario_words.h"

namespace sluice::sim {

std::string Scenario::SetMinIsr(const Words& words) {
  const auto set = std::make_shared<bool>(false);
  const int min_isr = static_cast<int>(Number(words[0]));
  return Insist(
      [this, set, min_isr] {
        admin().SetMinIsr(kTopic, min_isr, [set](bool done) { *set = *set || done; });
      },
      [set] { return *set; });
}

// Not when the admin hears of it: the brokers have acted on it by then.
std::string Scenario::SetDurability(const Words& words) {
  return Insist([this, &words] { admin().SetConfig(kTopic, "durability", words[0], [](bool) {}); },
                [this, &words] {
                  const metadata::ConfigMap& configs =
                      cluster_->NewestImage()->TopicConfigs(kTopic);
                  const auto found = configs.find("durability");
                  return found != configs.end() && found->second == words[0];
                });
}

std::string Scenario::Move(const Words& words) {
  const std::vector<NodeId> target = Nodes(words[0]);
  return Insist(
      [this, target] { admin().Move(kPlace, target); },
      [this, target] { return Partition()->moving() || Partition()->replicas == target; });
}

std::string Scenario::CancelMove(const Words&) {
  admin().Move(kPlace, {});
  return MoveDone({});
}

std::string Scenario::CancelIsRefused(const Words&) {
  const auto refused = std::make_shared<bool>(false);
  return Insist(
      [this, refused] {
        admin().Move(kPlace, {}, [refused](kafka::ErrorCode code) {
          *refused = *refused || code == kafka::ErrorCode::kInvalidReplicaAssignment;
        });
      },
      [refused] { return *refused; });
}

std::string Scenario::MoveDone(const Words&) {
  return Await([this] { return !Partition()->moving(); });
}

std::string Scenario::ElectPreferred(const Words&) {
  admin().ElectPreferred(kPlace);
  return "";
}

// Whatever was acknowledged may be gone; from then on the promises hold again.
std::string Scenario::ElectUncleanly(const Words&) {
  if (!producer_->idle()) return "there are records on their way";
  if (Partition()->leader != kNoNode) return "somebody leads";
  cluster_->log().losses_known = true;
  cluster_->log().ForgetPromises();
  producer_->StartOver();
  cluster_->ExpectUncleanElection();
  std::string wrong = Insist([this] { admin().ElectUncleanly(kPlace); },
                             [this] { return Partition()->leader != kNoNode; });
  if (wrong.empty() && cluster_->unclean_expected()) wrong = "the leader has everything";
  return wrong;
}

std::string Scenario::RecordsExpire(const Words& words) {
  cluster_->log().records_expire = true;
  const auto set = std::make_shared<bool>(false);
  return Insist(
      [this, set, after_ms = words[0]] {
        admin().SetConfig(kTopic, "retention.ms", after_ms,
                          [set](bool done) { *set = *set || done; });
      },
      [set] { return *set; });
}

std::string Scenario::FirstAreGone(const Words& words) {
  return Await([this, count = Offset(Number(words[0]))] {
    const NodeId leader = Partition()->leader;
    const auto& statuses = cluster_->StatusesOf(leader);
    return std::ranges::any_of(statuses, [count](const broker::PartitionStatus& status) {
      return status.is_leader && status.name.topic == kTopic && status.log_start_offset >= count;
    });
  });
}

}  // namespace sluice::sim
