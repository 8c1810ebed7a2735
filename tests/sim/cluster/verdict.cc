#include "tests/sim/cluster/verdict.h"

#include <algorithm>
#include <limits>
#include <map>

#include "tests/sim/cluster/contents.h"
#include "tests/support/history/judge.h"

namespace sluice::sim {

std::string Verdict::Failed(const std::string& what) {
  return cluster_.breach().empty() ? what + cluster_.Describe() : cluster_.breach();
}

std::string Verdict::Reach(const std::function<bool()>& ready) {
  std::string wrong = BecomeWhole(ready);
  if (wrong.empty()) wrong = ComeToAnEnd();
  if (wrong.empty()) wrong = ReadEverything();
  if (wrong.empty()) wrong = CheckContents();
  return wrong;
}

bool Verdict::Whole() const {
  const metadata::ImagePtr image = cluster_.ActiveImage();
  if (image == nullptr) return false;
  for (const NodeId id : cluster_.ids()) {
    const metadata::BrokerImage* broker = image->FindBroker(id);
    if (broker == nullptr || !broker->active()) return false;
  }
  return std::ranges::all_of(topics_, [&image](const std::string& name) {
    const auto topic = image->FindTopic(name);
    return topic != nullptr && std::ranges::all_of(topic->partitions, [](const auto& partition) {
             return partition.leader != kNoNode && !partition.moving() &&
                    partition.isr.size() == partition.replicas.size();
           });
  });
}

int64_t Verdict::RecordsBehind() const {
  const metadata::ImagePtr image = cluster_.ActiveImage();
  std::map<std::pair<NodeId, std::string>, int64_t> ends;
  for (const NodeId id : cluster_.ids()) {
    const auto process = cluster_.process(id);
    if (process == nullptr) continue;
    for (const broker::PartitionStatus& status : process->replicas().Status())
      ends[{id, status.name.ToString()}] = status.log_end_offset.value();
  }
  int64_t behind = 0;
  for (const std::string& name : topics_) {
    const auto topic = image == nullptr ? nullptr : image->FindTopic(name);
    for (size_t i = 0; topic != nullptr && i < topic->partitions.size(); ++i) {
      const metadata::PartitionImage& partition = topic->partitions[i];
      const std::string place = name + "-" + std::to_string(i);
      for (const NodeId id : partition.replicas) {
        if (!metadata::InIsr(partition, id))
          behind += std::max<int64_t>(0, ends[{partition.leader, place}] - ends[{id, place}]);
      }
    }
  }
  return behind;
}

std::string Verdict::BecomeWhole(const std::function<bool()>& ready) {
  // A stop that was under way ends its process yet.
  const auto whole = [&] {
    for (const NodeId id : cluster_.ids()) {
      if (cluster_.stopping(id)) return false;
      if (!cluster_.running(id)) cluster_.Start(id);
    }
    return ready() && Whole();
  };
  // With small fetches, who was away for long takes longer; only it must come nearer.
  int64_t behind = std::numeric_limits<int64_t>::max();
  while (!cluster_.RunUntil(whole, kHealedMsMax)) {
    const int64_t left = RecordsBehind();
    if (!cluster_.breach().empty() || left == 0 || left > behind / 4 * 3)
      return Failed("the healed cluster does not become whole");
    behind = left;
  }
  const metadata::ImagePtr image = cluster_.ActiveImage();
  for (const std::string& name : topics_) {
    const auto count = static_cast<int32_t>(image->FindTopic(name)->partitions.size());
    for (int32_t i = 0; i < count; ++i) places_.push_back({name, PartitionIndex(i)});
  }
  return "";
}

std::string Verdict::ComeToAnEnd() {
  const uint64_t before = cluster_.log().acknowledged;
  const auto more = [&] { return cluster_.log().acknowledged > before + 10; };
  if (goes_on_ && !cluster_.RunUntil(more, kHealedMsMax))
    return Failed("the healed cluster acknowledges nothing");
  for (const auto& producer : cluster_.producers()) producer->Quiesce();
  const auto idle = [this] {
    return std::ranges::all_of(cluster_.producers(),
                               [](const auto& producer) { return producer->idle(); });
  };
  if (!cluster_.RunUntil(idle, kHealedMsMax)) return Failed("a producer does not come to an end");
  return "";
}

// Whoever read so far comes to the end, and others read all of it once more.
std::string Verdict::ReadEverything() {
  for (const history::Place& place : places_) cluster_.AddConsumer(place);
  const int64_t since_ms = cluster_.now_ms();
  const auto read = [&] {
    return std::ranges::all_of(cluster_.consumers(), [since_ms](const auto& consumer) {
      return consumer->caught_up(since_ms);
    });
  };
  if (!cluster_.RunUntil(read, kHealedMsMax)) return Failed("a reader does not come to the end");
  for (const auto& consumer : cluster_.consumers()) consumer->Quiesce();
  const auto alike = [this] { return CompareReplicas(cluster_, places_).empty(); };
  if (!cluster_.RunUntil(alike, kHealedMsMax)) return Failed(CompareReplicas(cluster_, places_));
  return "";
}

std::string Verdict::CheckContents() {
  history::History history = cluster_.log().history;
  std::ranges::stable_sort(history.operations, {}, &history::Operation::begin_us);
  const std::vector<history::Anomaly> anomalies = history::Judge(history);
  if (anomalies.empty()) return "";
  std::string wrong = std::to_string(anomalies.size()) + " anomalies";
  for (size_t i = 0; i < std::min<size_t>(anomalies.size(), 5); ++i)
    wrong += "\n  " + anomalies[i].kind + ": " + anomalies[i].what;
  return wrong;
}

}  // namespace sluice::sim
