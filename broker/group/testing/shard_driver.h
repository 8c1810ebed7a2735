#pragma once
// ShardDriver: a shard with a log and a clock of its own, for tests: does what a coordinator's
// runtime does with the shard's effects, at once or when the test says so, and moves the shard to
// another coordinator.
//
// Thread rule: one thread.

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "broker/group/group_shard.h"
#include "broker/group/testing/map_group_view.h"
#include "metadata/image.h"

namespace sluice::broker::testing {

class ShardDriver {
 public:
  struct Listener {
    // Before any of the effects is carried out.
    std::function<void(const GroupEffects& effects)> on_effects;
    std::function<void(const GroupAnswer& answer, bool was_durable)> on_answer;
    std::function<void(const GroupRecord& record)> on_record;  // that was appended
    std::function<void(kafka::ErrorCode error)> on_refusal;
  };

  ShardDriver(Listener listener, uint64_t seed);

  GroupConfig& config() { return config_; }
  const GroupShard& shard() const { return *shard_; }
  int64_t now_ms() const { return now_ms_; }

  void SetImage(metadata::ImagePtr image) { image_ = std::move(image); }
  void TellOfDeletedTopics() { shard_->OnTopicsDeleted(Now()); }
  void Handle(const GroupCaller& caller, GroupRequest request);
  // From timer to timer.
  void Advance(int64_t ms);
  // Loads what the view holds; all of it.
  void LoadAll();
  // What is appended is not committed until Commit.
  void Hold() { holds_ = true; }
  void Commit();
  // The next records cannot be appended.
  void RefuseNext(kafka::ErrorCode error) { refusal_ = error; }
  bool refuses_next() const { return refusal_.has_value(); }
  // Another coordinator takes over; what was not committed is lost, or else committed first.
  void FailOver(bool loses);

 private:
  void MakeShard();
  void Settle(GroupEffects effects);
  void Refuse(GroupEffects effects);
  GroupMoment Now() const { return {now_ms_, now_ms_, image_}; }

  const Listener listener_;
  metadata::ImagePtr image_ = metadata::EmptyImage();
  Random random_;
  GroupConfig config_;
  MapGroupView view_;
  std::unique_ptr<GroupShard> shard_;
  int64_t now_ms_ = 0;
  bool holds_ = false;
  std::optional<kafka::ErrorCode> refusal_;
  std::deque<GroupAnswer> waiting_;  // for a commit
};

}  // namespace sluice::broker::testing
