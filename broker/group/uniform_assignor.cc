#include "broker/group/uniform_assignor.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace sluice::broker {
namespace {

constexpr size_t kNobody = std::numeric_limits<size_t>::max();

// The members that subscribe to one topic (or to several, if these have the same subscribers), by
// how many partitions they have: the emptiest, the fullest, and the emptiest of each rack. Counts
// that change elsewhere make it invalid.
class LoadOrder {
 public:
  LoadOrder(const std::vector<size_t>& members, const std::vector<size_t>& counts,
            const std::vector<size_t>& racks, size_t rack_count)
      : counts_(counts), racks_(racks), by_rack_(rack_count) {
    std::vector<std::pair<size_t, size_t>> entries;
    entries.reserve(members.size());
    for (const size_t member : members) entries.emplace_back(counts[member], member);
    std::sort(entries.begin(), entries.end());
    all_.insert(entries.begin(), entries.end());
    if (rack_count == 0) return;
    for (const auto& entry : entries) InsertToRack(entry);
  }

  size_t emptiest() const { return all_.begin()->second; }
  size_t least() const { return all_.begin()->first; }
  size_t most() const { return all_.rbegin()->first; }
  const std::set<std::pair<size_t, size_t>>& all() const { return all_; }

  // Of the racks given: who has the fewest, if fewer than `below`; else kNobody.
  size_t EmptiestIn(const std::vector<size_t>& racks, size_t below) const {
    std::pair<size_t, size_t> best{below, 0};
    size_t found = kNobody;
    for (const size_t rack : racks) {
      if (by_rack_[rack].empty() || *by_rack_[rack].begin() >= best) continue;
      best = *by_rack_[rack].begin();
      found = best.second;
    }
    return found;
  }

  // Before and after counts[member] changes.
  void Remove(size_t member) {
    const std::pair entry{counts_[member], member};
    all_.erase(entry);
    if (!by_rack_.empty() && racks_[member] != kNobody) by_rack_[racks_[member]].erase(entry);
  }
  void Insert(size_t member) {
    const std::pair entry{counts_[member], member};
    all_.insert(entry);
    if (!by_rack_.empty()) InsertToRack(entry);
  }

 private:
  void InsertToRack(const std::pair<size_t, size_t>& entry) {
    if (racks_[entry.second] != kNobody) by_rack_[racks_[entry.second]].insert(entry);
  }

  const std::vector<size_t>& counts_;
  const std::vector<size_t>& racks_;                          // of members
  std::set<std::pair<size_t, size_t>> all_;                   // count, member
  std::vector<std::set<std::pair<size_t, size_t>>> by_rack_;  // empty when racks are of no use
};

struct Topic {
  TopicId id;
  std::vector<size_t> subscribers;
  std::vector<size_t> owners;              // by partition
  std::vector<std::vector<size_t>> racks;  // by partition; empty: of no use
};

class Builder {
 public:
  explicit Builder(const AssignorInput& input) : input_(input), counts_(input.members.size()) {
    NumberRacks();
    CollectTopics();
  }

  std::vector<PartitionsByTopic> Build() {
    KeepTargets();
    if (!member_racks_.empty() && all_alike()) FillByRack();
    Fill();
    while (BalanceOnce()) {
    }
    return Result();
  }

 private:
  void NumberRacks() {
    for (const AssignorMember& member : input_.members) {
      if (!member.rack.empty()) rack_numbers_.emplace(member.rack, rack_numbers_.size());
    }
    for (const AssignorMember& member : input_.members) {
      const auto rack = rack_numbers_.find(member.rack);
      member_racks_.push_back(rack == rack_numbers_.end() ? kNobody : rack->second);
    }
    if (rack_numbers_.empty()) member_racks_.clear();
  }

  // Fewest subscribers first.
  void CollectTopics() {
    std::unordered_map<TopicId, size_t> places;
    for (size_t member = 0; member < input_.members.size(); ++member) {
      for (const TopicId& id : input_.members[member].topics) {
        const auto [place, is_new] = places.emplace(id, topics_.size());
        if (is_new) topics_.push_back({id, {}, {}, {}});
        topics_[place->second].subscribers.push_back(member);
      }
    }
    std::sort(topics_.begin(), topics_.end(), [](const Topic& a, const Topic& b) {
      return std::pair(a.subscribers.size(), a.id) < std::pair(b.subscribers.size(), b.id);
    });
    for (size_t i = 0; i < topics_.size(); ++i) {
      const AssignorTopic& info = input_.topics.at(topics_[i].id);
      topics_[i].owners.assign(static_cast<size_t>(info.partition_count), kNobody);
      partition_count_ += topics_[i].owners.size();
      topic_places_[topics_[i].id] = i;
      if (!member_racks_.empty() && !info.racks.empty()) topics_[i].racks = NumbersOf(info.racks);
    }
  }

  // Only of racks that members are in.
  std::vector<std::vector<size_t>> NumbersOf(
      const std::vector<std::vector<std::string>>& names) const {
    std::vector<std::vector<size_t>> numbers(names.size());
    for (size_t i = 0; i < names.size(); ++i) {
      for (const std::string& name : names[i]) {
        const auto number = rack_numbers_.find(name);
        if (number != rack_numbers_.end()) numbers[i].push_back(number->second);
      }
    }
    return numbers;
  }

  void KeepTargets() {
    for (size_t member = 0; member < input_.members.size(); ++member) {
      const AssignorMember& info = input_.members[member];
      if (info.target == nullptr) continue;
      for (const auto& [id, partitions] : *info.target) {
        if (!std::binary_search(info.topics.begin(), info.topics.end(), id)) continue;
        std::vector<size_t>& owners = topics_[topic_places_.at(id)].owners;
        for (const int32_t partition : partitions) {
          if (static_cast<size_t>(partition) >= owners.size()) continue;
          if (owners[static_cast<size_t>(partition)] != kNobody) continue;
          owners[static_cast<size_t>(partition)] = member;
          ++counts_[member];
        }
      }
    }
  }

  bool all_alike() const {
    return std::all_of(topics_.begin(), topics_.end(), [this](const Topic& topic) {
      return topic.subscribers.size() == input_.members.size();
    });
  }

  // Members with equal subscriptions all get their fair share in the end, so a partition may go
  // first to any near member that has less than that.
  void FillByRack() {
    if (topics_.empty()) return;
    const size_t share = partition_count_ / input_.members.size();
    LoadOrder& order = OrderOf(topics_.front());
    for (Topic& topic : topics_) {
      for (size_t partition = 0; partition < topic.racks.size(); ++partition) {
        if (topic.owners[partition] != kNobody) continue;
        const size_t member = order.EmptiestIn(topic.racks[partition], share);
        if (member != kNobody) Give(topic, partition, member);
      }
    }
  }

  void Fill() {
    for (Topic& topic : topics_) {
      for (size_t partition = 0; partition < topic.owners.size(); ++partition) {
        if (topic.owners[partition] != kNobody) continue;
        Give(topic, partition, EmptiestFor(topic, partition, OrderOf(topic)));
      }
    }
  }

  static size_t EmptiestFor(const Topic& topic, size_t partition, const LoadOrder& order) {
    if (!topic.racks.empty()) {
      const size_t near = order.EmptiestIn(topic.racks[partition], order.least() + 1);
      if (near != kNobody) return near;
    }
    return order.emptiest();
  }

  // One round over all topics; false when none had anything to move.
  bool BalanceOnce() {
    bool moved = false;
    for (Topic& topic : topics_) {
      // Cheap before the expensive: most topics are balanced.
      if (topic.subscribers.size() < 2 || OrderOf(topic).most() < OrderOf(topic).least() + 2)
        continue;
      moved |= BalanceTopic(topic);
    }
    return moved;
  }

  bool BalanceTopic(Topic& topic) {
    std::unordered_map<size_t, std::vector<size_t>> owned;
    for (size_t partition = topic.owners.size(); partition-- > 0;)
      owned[topic.owners[partition]].push_back(partition);
    bool moved = false;
    while (MoveOne(topic, owned)) moved = true;
    return moved;
  }

  // From the fullest member that has a partition of the topic.
  bool MoveOne(Topic& topic, std::unordered_map<size_t, std::vector<size_t>>& owned) {
    LoadOrder& order = OrderOf(topic);
    for (auto entry = order.all().rbegin(); entry != order.all().rend(); ++entry) {
      const auto [count, from] = *entry;
      if (count < order.least() + 2) return false;
      const auto partitions = owned.find(from);
      if (partitions == owned.end() || partitions->second.empty()) continue;
      const size_t place = ChooseMove(topic, partitions->second, order);
      const size_t partition = partitions->second[place];
      const size_t to = EmptiestFor(topic, partition, order);
      partitions->second.erase(partitions->second.begin() + static_cast<ptrdiff_t>(place));
      Take(topic, partition);
      Give(topic, partition, to);
      owned[to].push_back(partition);
      return true;
    }
    return false;
  }

  // The place of a partition that is far from its owner and near to an emptiest member, else the
  // last one: partitions of a high index move first.
  size_t ChooseMove(const Topic& topic, const std::vector<size_t>& partitions,
                    const LoadOrder& order) const {
    if (topic.racks.empty()) return 0;
    size_t best = 0;
    int best_gain = -2;
    for (size_t i = 0; i < partitions.size(); ++i) {
      const std::vector<size_t>& racks = topic.racks[partitions[i]];
      const size_t rack = member_racks_[topic.owners[partitions[i]]];
      const bool is_near = std::find(racks.begin(), racks.end(), rack) != racks.end();
      const bool will_be_near = order.EmptiestIn(racks, order.least() + 1) != kNobody;
      const int gain = static_cast<int>(will_be_near) - static_cast<int>(is_near);
      if (gain <= best_gain) continue;
      best = i;
      best_gain = gain;
    }
    return best;
  }

  // One order serves all topics in a row that have the same subscribers, so that groups whose
  // members subscribe alike build it once.
  LoadOrder& OrderOf(const Topic& topic) {
    if (order_ == nullptr || order_subscribers_ != &topic.subscribers) {
      if (order_ == nullptr || *order_subscribers_ != topic.subscribers) {
        order_ = std::make_unique<LoadOrder>(topic.subscribers, counts_, member_racks_,
                                             member_racks_.empty() ? 0 : rack_numbers_.size());
      }
      order_subscribers_ = &topic.subscribers;
    }
    return *order_;
  }

  void Give(Topic& topic, size_t partition, size_t member) {
    LoadOrder& order = OrderOf(topic);
    order.Remove(member);
    ++counts_[member];
    order.Insert(member);
    topic.owners[partition] = member;
  }
  void Take(Topic& topic, size_t partition) {
    LoadOrder& order = OrderOf(topic);
    const size_t member = topic.owners[partition];
    order.Remove(member);
    --counts_[member];
    order.Insert(member);
    topic.owners[partition] = kNobody;
  }

  std::vector<PartitionsByTopic> Result() const {
    std::vector<PartitionsByTopic> result(input_.members.size());
    for (const Topic& topic : topics_) {
      for (size_t partition = 0; partition < topic.owners.size(); ++partition)
        result[topic.owners[partition]][topic.id].push_back(static_cast<int32_t>(partition));
    }
    return result;
  }

  const AssignorInput& input_;
  std::vector<size_t> counts_;  // of partitions, by member
  std::map<std::string, size_t> rack_numbers_;
  std::vector<size_t> member_racks_;  // empty when no member tells its rack
  std::vector<Topic> topics_;
  std::unordered_map<TopicId, size_t> topic_places_;
  size_t partition_count_ = 0;
  std::unique_ptr<LoadOrder> order_;
  const std::vector<size_t>* order_subscribers_ = nullptr;
};

}  // namespace

std::vector<PartitionsByTopic> UniformAssignor::Assign(const AssignorInput& input) const {
  return Builder(input).Build();
}

}  // namespace sluice::broker
