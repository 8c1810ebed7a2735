#pragma once
// ConsumerGroupBed: one consumer group "g" over a partition in memory, with topics, time and
// clients that a test moves. ConsumerClient behaves as a consumer of KIP-848 does.
//
// Thread rule: one thread.

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/group/consumer_group.h"
#include "broker/group/testing/map_group_view.h"
#include "broker/group/testing/topic_table.h"

namespace sluice::broker::testing {

class ConsumerGroupBed {
 public:
  using Request = kafka::ConsumerGroupHeartbeatRequest;
  using Response = kafka::ConsumerGroupHeartbeatResponse;
  // What becomes of the records of a call.
  enum class Fate {
    kCommitted,  // and its answers are sent
    kRefused,    // they cannot be appended: the group is as the view says, answers are errors
    kLost,       // appended, but the next coordinator does not have them; no answer
  };

  explicit ConsumerGroupBed(uint64_t seed = 1);

  // From its version 1 on, or with more partitions than it has.
  void SetTopic(const std::string& name, int32_t partitions);
  void DeleteTopic(const std::string& name);
  // A value of the group's own configuration.
  void SetGroupConfig(const std::string& key, const std::string& value);
  void SetRacks(const std::string& topic, const std::vector<std::string>& rack_of_partition);

  Response Heartbeat(const Request& request, Fate fate = Fate::kCommitted, int16_t version = 1);
  // From timer to timer.
  void Advance(int64_t ms);
  // Another coordinator, which has what was committed.
  void Reload();
  // A group that was made from what the view says.
  std::unique_ptr<ConsumerGroup> Loaded();

  ConsumerGroup& group() { return *group_; }
  ConsumerGroupConfig& config() { return config_; }
  GroupTimers& timers() { return timers_; }
  const GroupMoment& moment() const { return moment_; }
  const metadata::Image& image() const { return *moment_.image; }
  // Of the last call.
  const std::vector<GroupRecord>& records() const { return records_; }
  TopicId IdOf(const std::string& topic) const { return image().FindTopic(topic)->id; }
  kafka::ErrorCode CheckCommit(const OffsetClaim& claim);
  kafka::ErrorCode CheckCommitOf(const OffsetClaim& claim, const std::string& topic,
                                 int32_t partition);

 private:
  GroupContext Context(GroupEffects& effects);

  ConsumerGroupConfig config_;
  GroupConfig group_config_;
  MapGroupView view_;
  GroupTimers timers_;
  Random random_;
  GroupMoment moment_;
  std::unique_ptr<ConsumerGroup> group_;
  std::vector<GroupRecord> records_;
  TopicTable topics_;
};

// A consumer: it owns what it was given, until it has given it up.
class ConsumerClient {
 public:
  ConsumerClient(ConsumerGroupBed& bed, std::string id) : bed_(bed), id_(std::move(id)) {}

  std::vector<std::string> topics;
  std::string regex;
  std::string instance_id;
  std::string rack;
  std::string assignor;
  int32_t rebalance_timeout_ms = 10000;

  // What a heartbeat did to it.
  ConsumerGroupBed::Response Beat(ConsumerGroupBed::Fate fate = ConsumerGroupBed::Fate::kCommitted);
  // The answer to it gets lost on its way.
  void BeatUnheard();
  void Leave(int32_t epoch = kLeaveEpoch);
  // Whether it gives up at once what it is asked to; else it does with Release.
  void HoldBack(bool holds) { holds_ = holds; }
  void Release() { owned_ = told_; }
  void Subscribe(std::vector<std::string> names);

  const std::string& id() const { return id_; }
  int32_t epoch() const { return epoch_; }
  int32_t interval_ms() const { return interval_ms_; }
  const PartitionSet& owned() const { return owned_; }

 private:
  ConsumerGroupBed::Request Full() const;
  ConsumerGroupBed::Request NextRequest();
  void Take(const ConsumerGroupBed::Response& response);
  void Forget();

  ConsumerGroupBed& bed_;
  const std::string id_;
  int32_t epoch_ = 0;
  int32_t interval_ms_ = 0;
  bool full_ = true;  // the next request says everything
  bool holds_ = false;
  PartitionSet told_;  // what it shall own
  PartitionSet owned_;
  PartitionSet reported_;
};

}  // namespace sluice::broker::testing
