#pragma once
// Partition: one replica on this broker: its log, its role, and as a leader the ISR, the high
// watermark and who waits for it. partition.cc has roles and upkeep, partition_leader.cc appends,
// ISR and high watermark, partition_read.cc reads and lookups, partition_delete.cc deletions of
// records, partition_follower.cc what a fetcher does.
//
// Invariants (CHECKed; numbers of the rules: reliability.md 3.1):
//   1. The high watermark never moves back, except with a truncation below it that an unclean
//   election forced; it is at most the log end.
//   2. A leader advances it only while the committed ISR has min.insync.replicas members, and to no
//   offset that a member of the maximal ISR lacks (rule 4). In fsync mode "has" means durable: the
//   leader's own flushed offset and the followers' fetch offsets, which are flushed ones.
//   3. An append happens only in the leader epoch that the partition is in, and nothing is
//   acknowledged without a valid lease (rule 10).
//   4. A follower truncates by epochs, never by a high watermark (rule 1).
//
// Thread rule: every method from any thread; the mutex guards all fields that are not const. What
// follows from a change is put into PartitionEffects and run without the lock.

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/replica/partition_effects.h"
#include "broker/replica/partition_read.h"
#include "broker/replica/partition_traffic.h"
#include "broker/replica/partition_watch.h"
#include "broker/replica/replica_manager.h"
#include "broker/replica/replica_set.h"
#include "metadata/image.h"
#include "metadata/topic_config.h"
#include "storage/compaction/compactor.h"
#include "storage/flusher.h"
#include "storage/log.h"

namespace sluice::broker {

class LogMove;

// What the log obeys of a topic's settings.
storage::LogConfig LogConfigOf(const metadata::TopicConfig& topic);

class Partition final : public storage::CompactionTarget,
                        public storage::Flushable,
                        public std::enable_shared_from_this<Partition> {
 public:
  enum class Role { kNone, kLeader, kFollower };
  using TopicConfigPtr = std::shared_ptr<const metadata::TopicConfig>;

  struct Identity {
    PartitionKey key;
    storage::TopicPartition name;
  };
  // Where the replica's records are.
  struct Home {
    std::shared_ptr<storage::Log> log;  // null when it could not be opened; `error` then says why
    std::string error;
    storage::DirectoryPtr directory;  // null when it was not placed, as the flusher
    storage::Flusher* flusher = nullptr;
    bool awaits_room = false;  // it could not be made for lack of room
    bool damaged = false;      // it could not be opened for what was found in it
  };
  Partition(Identity identity, Home home, std::shared_ptr<const PartitionContext> context);

  const PartitionKey& key() const { return identity_.key; }
  const storage::TopicPartition& name() const override { return identity_.name; }

  // --- Roles and upkeep (partition.cc) ---
  // From the high-watermark checkpoint, before any role.
  void RestoreHighWatermark(Offset checkpointed);
  void ApplyImage(const PartitionUpdate& update, PartitionEffects& effects);
  TopicConfigPtr config() const;
  // Every waiter is answered; of a replica that is `removed` from this broker the log is let alone.
  void Retire(bool removed, PartitionEffects& effects);
  // The log could be opened after all. The role is forgotten: the caller applies the image again.
  void Attach(Home home, Offset checkpointed);
  bool awaits_room() const;
  bool in_use() const;  // its log is open, and has not failed
  // Its log directory has failed, if it is this one: the log is not touched any more.
  void DirectoryFailed(const StorageFailure& failure, PartitionEffects& effects);
  bool refuses_appends() const;  // whoever asks: the disk is full
  // How hard its disk's producers are to be slowed down, from 0 to 1.
  double disk_pressure() const;
  void Upkeep(int64_t now_ms, PartitionEffects& effects);  // timeouts, flush.ms and lag
  void ShrinkIsr(PartitionEffects& effects);
  void ApplyRetention(PartitionEffects& effects);
  PartitionStatus Status() const;
  void NoteServed(size_t bytes) { traffic_.AddOut(bytes); }  // to consumers, as their leader
  Offset high_watermark() const;
  Offset log_start_offset() const;
  bool is_leader() const;
  struct FollowTarget {
    NodeId leader = kNoNode;  // kNoNode = nobody to fetch from
    LeaderEpoch epoch = kNoEpoch;
    bool fsync = false;
    friend bool operator==(const FollowTarget&, const FollowTarget&) = default;
  };
  FollowTarget follow_target() const;
  std::optional<LeaderlessLogs::End> leaderless_end() const;  // nullopt when it has a leader

  // --- Leader (partition_leader.cc) ---
  struct AppendRequest {
    std::string_view batch;  // validated
    int16_t acks = -1;
    int64_t deadline_ms = 0;  // steady
    std::shared_ptr<ProduceOperation> operation;
    size_t entry = 0;
    LeaderEpoch leader_epoch = kNoEpoch;  // refused in another one; kNoEpoch: in none
  };
  // Fills the entry's result; with acks=all the operation waits for the high watermark if it must.
  void Append(const AppendRequest& request, PartitionEffects& effects);
  void NoteRefused(std::string_view batch);  // as storage::Log does, when it did not come to Append
  struct DeleteRequest {
    Offset before;            // the log's new start; -1 = the high watermark
    int64_t deadline_ms = 0;  // steady
    std::shared_ptr<DeleteRecordsOperation> operation;
    size_t entry = 0;
  };
  // Fills the entry's result; the operation waits for the followers' log starts where it must
  // (partition_delete.cc).
  void DeleteRecords(const DeleteRequest& request, PartitionEffects& effects);
  // The answer to a proposal, which is to be sent again (kRetry) as it is then.
  enum class ProposalOutcome { kSettled, kRetry };
  ProposalOutcome OnProposalAnswer(IsrProposal& proposal,
                                   const controller::AlterPartitionResponse::Partition& answer);
  bool Awaits(const IsrProposal& proposal) const;

  // --- Reads (partition_read.cc) ---
  using ReadRequest = PartitionReadRequest;
  using ReadMark = PartitionReadMark;
  FetchEntryResult Read(const ReadRequest& request, ReadMark& mark, PartitionEffects& effects);
  // Parks a fetch, unless something changed since `mark`.
  PartitionWatchResult Watch(const std::shared_ptr<FetchWaiter>& waiter, NodeId replica_id,
                             ReadMark& mark);
  // With `lacking` it does not wait for the disk: if it is set, the result does not count.
  ListOffsetsResult FindOffset(const ListOffsetsEntry& entry, storage::Lacking* lacking,
                               PartitionEffects& effects);
  EpochEndResult FindEpochEnd(const EpochEndEntry& entry) const;
  // For the observer: in any role, and of records only what is below the high watermark.
  LocalState TakeLocalState();
  LocalRead ReadLocal(Offset from, size_t size_bytes_max, bool may_wait, PartitionEffects& effects);

  // --- Follower (partition_follower.cc); all give kFenced once the partition has left `epoch` ---
  struct FollowerPosition {
    Offset fetch_offset;
    LeaderEpoch last_fetched_epoch;
    Offset log_start_offset;
  };
  Result<FollowerPosition> PositionIn(LeaderEpoch epoch) const;
  struct FetchedData {
    LeaderEpoch epoch;  // in which it was asked for
    std::string_view batches;
    Offset leader_high_watermark;
    Offset leader_log_start;
  };
  sluice::Status AppendFetched(const FetchedData& data, PartitionEffects& effects);
  // The leader's history parts from ours: cuts to what both may share. More rounds may follow
  // (KIP-279).
  sluice::Status TruncateDiverging(LeaderEpoch epoch, const storage::EpochEndOffset& leader_end,
                                   PartitionEffects& effects);
  // The leader no longer has what we ask for.
  sluice::Status RestartAt(LeaderEpoch epoch, Offset leader_log_start, PartitionEffects& effects);
  // Runs `done`, here or on a flusher thread, once all that the log has is durable, or failed.
  void WhenFlushed(std::function<void()> done, PartitionEffects& effects);

  // --- Group commit ---
  storage::FlushTarget CaptureFlush() override;
  // The report of the flushers, all of whose submissions are Partitions. What a group leads to is
  // done for all of it together: a fetch that waits for several of them is woken once, and finds
  // all.
  static void OnFlushed(std::span<const storage::Flushed> group);

  // --- Compaction, called by the cleaner's threads (partition_compact.cc) ---
  bool WantsCompaction() const override;
  std::optional<storage::CompactionSurvey> SurveyCompaction(
      std::optional<Offset> cleaned_upto) override;
  Result<storage::CompactionPlan> PlanCompaction(std::optional<Offset> cleaned_upto) override;
  sluice::Status CommitCompaction(const storage::CleanedSegment& cleaned) override;

 private:
  friend class LogMove;  // to another log directory (log_move.h)

  // All below: mutex_ is held.
  bool usable() const { return log_ != nullptr && error_.empty(); }
  bool MayCompact() const;
  void BecomeLeader(const metadata::PartitionImage& image, PartitionEffects& effects);
  void BecomeFollower(const metadata::PartitionImage& image, PartitionEffects& effects);
  void RoleChanged(PartitionEffects& effects);
  void TakeRole(const metadata::PartitionImage& image, PartitionEffects& effects);
  bool TakeConfig(const TopicConfigPtr& config);
  void ConfigChanged(PartitionEffects& effects);
  void FailWaiters(kafka::ErrorCode error, PartitionEffects& effects);
  void GoOffline(const std::string& why, PartitionEffects& effects);
  bool DiskFull() const {
    return directory_ != nullptr && directory_->level() == storage::SpaceLevel::kFull;
  }
  // After an operation that changes the log: when that is offline, so is this; what is not damage
  // of this log alone takes all of its directory along.
  void NoteStorage(const sluice::Status& status, PartitionEffects& effects);
  // After one that only reads: damaged bytes refuse the reads that hit them, and this replica
  // follows no more; a leader leads until another can.
  void NoteRead(const sluice::Status& status, PartitionEffects& effects);
  void ForgetPassedDamage(PartitionEffects& effects);  // after a deletion
  kafka::ErrorCode CheckLeader(LeaderEpoch asked_epoch) const;
  bool ServesNearby(const FetchRequestParams& fetch) const;  // as a follower, in its rack
  // What a reader is told whom the log has nothing for.
  kafka::ErrorCode ReadError(bool follower) const;
  LeaderHint HintLocked() const { return {leader_, leader_epoch_}; }

  size_t MinIsr() const;
  bool UnderMinIsr() const { return replicas_.isr().size() < MinIsr(); }
  bool EligibleForIsr(const RemoteReplica& replica) const;
  ReplicaSet::LagRule LagRuleNow() const;
  void AfterAppend(PartitionEffects& effects);
  void RequestFlush(PartitionEffects& effects);
  // What the durability, or flush.messages, asks for after an append.
  void RequestDueFlush(PartitionEffects& effects);
  void FlushOld(int64_t now_ms, PartitionEffects& effects);  // flush.ms
  void AdvanceHighWatermark(PartitionEffects& effects);
  void SetHighWatermark(Offset offset, PartitionEffects& effects);
  void Acknowledge(PartitionEffects& effects);
  void AddAckWaiter(const AppendRequest& request, Offset last_offset);
  Offset LowWatermark() const;
  void CompleteDeletes(PartitionEffects& effects);
  void EndDelete(DeleteRequest& waiter, kafka::ErrorCode error, PartitionEffects& effects);
  void ExpireDeletes(int64_t now_ms, PartitionEffects& effects);
  void FailDeletes(kafka::ErrorCode error, PartitionEffects& effects);
  void NudgeFollowers(PartitionEffects& effects);
  void MaybeExpandIsr(const RemoteReplica& replica, PartitionEffects& effects);
  void LookWhoIsWaitedFor(PartitionEffects& effects);
  void Propose(std::vector<NodeId> isr, PartitionEffects& effects);
  std::vector<IsrProposal::Member> MembersOf(const std::vector<NodeId>& isr) const;
  ProposalOutcome OnRefused(IsrProposal& proposal);
  bool MatchesProposal(const IsrProposal& proposal) const;

  void RecordFollower(const ReadRequest& request, ReadMark& mark, FetchEntryResult& result,
                      PartitionEffects& effects);
  std::optional<storage::EpochEndOffset> DivergenceOf(const FetchEntry& entry,
                                                      kafka::ErrorCode& error) const;
  void ReadForFollower(const ReadRequest& request, FetchEntryResult& result,
                       PartitionEffects& effects);
  void ReadPlaced(const ReadRequest& request, Offset stable_end, ReadMark& mark,
                  FetchEntryResult& result, PartitionEffects& effects);
  void ReadLog(const ReadRequest& request, Offset readable_end, FetchEntryResult& result,
               PartitionEffects& effects);
  void ReadAborted(const ReadRequest& request, FetchEntryResult& result, PartitionEffects& effects);
  LeaderEpoch EpochAt(Offset offset) const;
  // The last stable offset; the high watermark, and an error, where it cannot be told.
  Offset StableEnd(kafka::ErrorCode& error, PartitionEffects& effects);
  // Until the high watermark has passed the epoch's start it may be lower than what the last leader
  // told (KIP-207).
  bool Settled() const { return high_watermark_ >= epoch_start_; }
  sluice::Status CheckFollowing(LeaderEpoch epoch) const;
  void Truncated(PartitionEffects& effects);
  void CompleteFlushWaiters(PartitionEffects& effects);
  // Takes mutex_ itself.
  void NoteFlushed(Offset upto, const sluice::Status& outcome, PartitionEffects& effects);

  const Identity identity_;
  const std::shared_ptr<const PartitionContext> context_;

  mutable std::mutex mutex_;  // guards all below; order in docs/THREADS.md
  std::shared_ptr<storage::Log> log_;
  storage::DirectoryPtr directory_;
  storage::Flusher* flusher_;
  bool awaits_room_;
  std::string error_;   // not empty: the log has failed and stays so
  std::string damage_;  // not empty: some of its bytes cannot be read; the others can, if usable()
  bool damage_placed_ = false;  // the log knows where
  LogIndex image_index_{-1};    // of the newest image that was applied
  TopicConfigPtr config_;
  Role role_ = Role::kNone;
  NodeId leader_ = kNoNode;
  LeaderEpoch leader_epoch_ = kNoEpoch;
  PartitionEpoch partition_epoch_{-1};
  Offset epoch_start_{0};       // the log end at election
  int64_t leads_since_ms_ = 0;  // the election of a leader that did not lead before
  Offset high_watermark_{0};
  uint64_t role_version_ = 0;
  ReplicaSet replicas_;
  size_t replication_factor_ = 1;  // as a leader: of the image whose ISR replicas_ has
  bool flush_queued_ = false;      // submitted and not yet captured
  int flushes_captured_ = 0;       // and not yet reported
  bool flushes_held_ = false;      // none is submitted, for the log is about to be replaced
  std::weak_ptr<LogMove> move_;    // that is under way
  int64_t flush_timer_ms_ = 0;     // when FlushOld last found nothing to flush, or asked for it
  std::vector<AckWaiter> ack_waiters_;  // by last_offset
  std::vector<DeleteRequest> delete_waiters_;
  std::vector<FlushWaiter> flush_waiters_;
  FetchWaiters follower_waiters_;  // woken by appends
  FetchWaiters consumer_waiters_;  // woken by the high watermark
  PartitionWatch watch_;
  PartitionTraffic traffic_;
};

}  // namespace sluice::broker
