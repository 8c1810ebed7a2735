#pragma once
// CoordinatorPartition: one partition of __consumer_offsets at this broker: its view, and while the
// broker leads it the shard with the groups, the batch that gathers, and the writes under way.
//
//   follows --elected--> loads --view at the epoch's start--> serves --any change of the epoch-->
//   follows
//
// Invariants:
//   1. An answer that is to be durable goes out when its records are committed and in the view.
//   2. Writes are in the order of the log, as are the records that the view lays over itself.
//   3. What was decided upon records that could not be appended is dropped with them, before
//   anybody decides anything else.
//
// Thread rule: its loop only.

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/group/group_coordinator.h"
#include "broker/group/group_shard.h"
#include "broker/group/offsets_applier.h"

namespace sluice::broker {

// A request on its way. Its client's connection may let it go.
//
// Thread rule: Abandon, Answer and finished from any thread.
class GroupCall final : public ParkedRequest {
 public:
  GroupCall(GroupCaller caller, GroupCoordinator::Done done)
      : caller_(std::move(caller)), done_(std::move(done)) {}

  const GroupCaller& caller() const { return caller_; }
  // On the loop that takes the call up.
  void set_token(RequestToken token) { caller_.token = token; }
  void Answer(GroupResponse response);
  void Abandon() override;
  bool finished() const override { return finished_.load(std::memory_order_relaxed); }

 private:
  GroupCoordinator::Done TakeDone();

  GroupCaller caller_;
  std::atomic<bool> finished_{false};
  std::mutex mutex_;  // guards done_; nothing is called under it
  GroupCoordinator::Done done_;
};
using GroupCallPtr = std::shared_ptr<GroupCall>;

// Shared by all parts of a coordinator.
struct GroupEnvironment : GroupCoordinatorOptions {
  explicit GroupEnvironment(GroupCoordinatorOptions options)
      : GroupCoordinatorOptions(std::move(options)) {}

  // What a batch in kOffsetsTopic may have.
  std::atomic<size_t> batch_bytes_max{1048588};
};

class CoordinatorPartition final : public std::enable_shared_from_this<CoordinatorPartition> {
 public:
  CoordinatorPartition(std::shared_ptr<const GroupEnvironment> options, EventLoop& loop,
                       PartitionKey key, Random random);

  const PartitionKey& key() const { return key_; }
  bool leads() const { return lead_.has_value(); }
  bool LeadsInOther(LeaderEpoch epoch) const { return lead_.has_value() && lead_->epoch != epoch; }
  // Null while it does not lead, or loads.
  const GroupShard* shard() const { return lead_.has_value() ? lead_->shard.get() : nullptr; }
  // Those that are not answered yet.
  size_t requests() const { return calls_.size(); }
  // The replica has changed, or more is to be done; false when it is no longer here.
  bool Advance();
  // Write is to be called when all that is queued has been handled.
  void Handle(GroupCallPtr call, GroupRequest request);
  void Write();
  void OnTopicsDeleted();
  // Answers all, with `error`; a leader that stays one loads again.
  void Resign(kafka::ErrorCode error);

 private:
  using WriteId = OffsetsView::AppendId;
  struct Leadership {
    LeaderEpoch epoch;
    std::unique_ptr<GroupShard> shard;  // null while it loads
  };
  // What becomes one batch, or several when one call's records are too large for that.
  struct Gathering {
    std::vector<GroupRecord> records;
    size_t size_bytes = 0;
    std::vector<GroupAnswer> answers;
    std::vector<std::string> groups;
  };
  struct Pending {
    WriteId id;
    int64_t record_count;
    size_t size_bytes;
    std::vector<GroupAnswer> answers;
    std::optional<Offset> end = {};  // known with the append's outcome
    // It is in the log, and was not committed in time.
    kafka::ErrorCode error = kafka::ErrorCode::kNone;
  };
  // An append's outcome when it comes before the call returns.
  struct Appending {
    bool returned = false;
    std::optional<ProduceEntryResult> result;
  };

  GroupMoment Moment() const;
  void UpdateRole();
  void Serve();
  void LoadSlice(LeaderEpoch epoch);
  void AdvanceSoon(int64_t delay_ms);
  void RunTimers();
  void ArmTimer();
  // What a call into the shard has led to.
  void Take(GroupEffects effects);
  void Send(GroupAnswer answer);
  void SendErrors(std::vector<GroupAnswer>& answers, kafka::ErrorCode error);

  void AnswerBehind(std::vector<GroupAnswer>& answers);
  // What the records of a batch may have together.
  size_t BatchRoom() const;
  // kNone, or why the log does not have them; their groups are dropped then.
  kafka::ErrorCode AppendGathered();
  // Takes the answers when the log has the records.
  kafka::ErrorCode Append(std::vector<GroupRecord> records, size_t size_bytes,
                          std::vector<GroupAnswer>& answers);
  void OnAppended(WriteId id, const ProduceEntryResult& result);
  void OnRefused(Gathering& refused, kafka::ErrorCode error);
  // Answers for what is committed and applied.
  void Complete();

  const std::shared_ptr<const GroupEnvironment> options_;
  EventLoop& loop_;
  const PartitionKey key_;
  Random random_;
  OffsetsView view_;
  OffsetsApplier applier_;
  std::optional<Leadership> lead_;
  bool advance_queued_ = false;

  RequestToken last_token_ = 0;
  std::unordered_map<RequestToken, GroupCallPtr> calls_;
  WriteId last_write_ = 0;
  Gathering gathering_;
  std::deque<Pending> pending_;
  size_t pending_bytes_ = 0;
  EventLoop::TimerId timer_ = 0;
  int64_t timer_deadline_ms_ = 0;
};

}  // namespace sluice::broker
