#pragma once
// MixedGroupBed: a shard with the group "g" and consumers of both protocols in it, which behave as
// the real ones do: they own what they were told to, until they are told, or have to give up,
// otherwise. A topic "t".
//
// Thread rule: one thread.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/group/testing/consumer_group_bed.h"
#include "broker/group/testing/shard_driver.h"

namespace sluice::broker::testing {

class MixedGroupBed {
 public:
  explicit MixedGroupBed(uint64_t seed, int32_t partitions = 4);

  // `then` gets the answer, now or later.
  using Then = std::function<void(const GroupResponse& response)>;
  void Ask(GroupRequest request, int16_t version, Then then);
  // The answer of a request that is answered at once.
  template <typename Response>
  Response Call(GroupRequest request, int16_t version) {
    Response answer;
    bool came = false;
    Ask(std::move(request), version, [&](const GroupResponse& response) {
      answer = std::get<Response>(response);
      came = true;
    });
    CHECK(came);
    return answer;
  }

  ShardDriver& driver() { return driver_; }
  // "classic/Stable", "consumer/Reconciling"; "" without group.
  std::string State();
  const std::vector<GroupRecord>& records() const { return records_; }  // all that were appended
  TopicId topic_id() const { return topics_.IdOf("t"); }
  int32_t partitions() const { return partitions_; }

 private:
  ConsumerGroupBed topics_;
  const int32_t partitions_;
  std::map<RequestToken, Then> waiting_;
  std::vector<GroupRecord> records_;
  RequestToken token_ = 0;
  ShardDriver driver_;
};

// Either kind. Each Step is one request, or none while one is on its way.
class MixedClient {
 public:
  virtual ~MixedClient() = default;
  virtual void Step() = 0;
  virtual void Leave() = 0;
  const std::set<int32_t>& owned() const { return owned_; }
  kafka::ErrorCode last_error() const { return last_error_; }

 protected:
  std::set<int32_t> owned_;
  kafka::ErrorCode last_error_ = kafka::ErrorCode::kNone;
};

class NewProtocolClient final : public MixedClient {
 public:
  NewProtocolClient(MixedGroupBed& bed, std::string id, std::string instance_id = "")
      : bed_(bed), id_(std::move(id)), instance_id_(std::move(instance_id)) {}
  void Step() override;
  void Leave() override;
  int32_t epoch() const { return epoch_; }

 private:
  MixedGroupBed& bed_;
  const std::string id_;
  const std::string instance_id_;
  int32_t epoch_ = 0;
};

class ClassicClient final : public MixedClient {
 public:
  // An eager one gives up all before it joins again; a cooperative one what it is told to, after.
  enum class Kind { kEager, kCooperative };

  ClassicClient(MixedGroupBed& bed, Kind kind, std::string instance_id = "")
      : bed_(bed), kind_(kind), instance_id_(std::move(instance_id)) {}
  ~ClassicClient() override { *alive_ = false; }
  void Step() override;
  void Leave() override;
  int32_t generation() const { return generation_; }
  const std::string& id() const { return id_; }
  // How often it has lost what it owned without giving it up.
  int losses() const { return losses_; }

 private:
  enum class Next { kJoin, kSync, kHeartbeat };

  void Join();
  void Sync();
  void Heartbeat();
  void OnJoin(const kafka::JoinGroupResponse& response);
  void OnSync(const kafka::SyncGroupResponse& response);
  void OnError(kafka::ErrorCode error);
  void Lose(bool forgets_id);
  std::string Subscription() const;
  std::map<std::string, std::vector<int32_t>> Assign() const;
  template <typename Response>
  void Send(GroupRequest request, int16_t version, std::function<void(const Response&)> then);

  MixedGroupBed& bed_;
  const Kind kind_;
  const std::string instance_id_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool waits_ = false;
  Next next_ = Next::kJoin;
  std::string id_;
  int32_t generation_ = -1;
  kafka::JoinGroupResponse joined_;
  int losses_ = 0;
};

}  // namespace sluice::broker::testing
