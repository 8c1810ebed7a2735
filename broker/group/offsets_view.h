#pragma once
// OffsetsView: one partition of __consumer_offsets by its records' keys (decision 8): what is
// committed in the key-value store, on every replica; above it, at a leader, the records that were
// appended and are not applied yet.
//
//   family `entries`:  partition (u32, big endian) | Kafka's key bytes -> Kafka's value bytes
//   family `sources`:  "__consumer_offsets-N" -> the id of the topic that the entries are from
//
// So the committed part equals a replay of the log, and every batch carries the offset up to which
// that is so. What a leader appended itself gathers in memory for a while after it is committed:
// busy groups write their offsets over and over, and a crash has them read from the log again
// anyway.
//
// Control batches hold nothing. Records of transactional batches are passed over:
// nobody can write one before this broker serves transactions, and they then count from their
// commit marker on.
//
// Thread rule: one owner; the store behind it is shared.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "base/uuid.h"
#include "broker/group/group_records.h"
#include "broker/group/group_view.h"
#include "kafka/record_batch.h"
#include "storage/kv.h"

namespace sluice::broker {

inline constexpr char kOffsetsTopic[] = "__consumer_offsets";

// Where views are kept; shared by all partitions.
struct OffsetsStore {
  storage::Kv* kv = nullptr;  // not owned
  storage::KvFamily entries = 0;
  storage::KvFamily sources = 0;

  // The partitions that have a view.
  Result<std::vector<PartitionIndex>> Views() const;
  // Of a partition that is no longer kept here.
  Status Forget(PartitionIndex partition) const;
};

class OffsetsView final : public GroupView {
 public:
  // Names the records of one append, as the caller likes.
  using AppendId = uint64_t;

  OffsetsView(OffsetsStore store, TopicId topic_id, PartitionIndex partition);

  // Finds what is there; a view of another topic by that name is none.
  Status Open();
  // All records below are applied, in the store or in memory; nullopt: there is no view.
  std::optional<Offset> applied() const { return applied_; }
  // The replica is no longer kept here.
  Status Forget();
  // Empties it; it is to be read again from `from` on.
  Status Restart(Offset from);
  // Applies whole batches as the log has them, up to `upto`; earlier records are passed over.
  // kCorruption when these are none: nothing is applied then.
  Status Apply(std::string_view batches, Offset upto);
  // There are no records below `upto`.
  Status SkipTo(Offset upto);

  // --- What a leader appends, in order ---
  void AddAppended(AppendId id, std::vector<GroupRecord> records);
  // The offset of the first of them is known.
  void SetOffset(AppendId id, Offset base_offset);
  bool has_appended() const { return !appended_.empty(); }
  // Of the oldest append that is not applied; nullopt when it is not known yet.
  std::optional<Offset> first_appended() const;
  // Applies those below `upto` that follow what is applied, without reading the log.
  Status ApplyAppended(Offset upto);
  // The partition is no longer led: they may never be committed.
  void DropAppended();
  // What is applied in memory goes into the store.
  Status Store();

  // --- GroupView ---
  Result<std::optional<std::string>> Get(Upto upto, std::string_view key) const override;
  Status ForEach(Upto upto, const Range& range, const Visitor& visit) const override;

 private:
  struct Appended {
    AppendId id;
    std::vector<GroupRecord> records;
    std::optional<Offset> base_offset;

    Offset end() const { return *base_offset + static_cast<int64_t>(records.size()); }
  };

  // Committed, and not in the store yet: the last value of each key. The size is that of all that
  // has gone into it.
  struct Unstored {
    std::map<std::string, std::optional<std::string>, std::less<>> values;
    size_t records = 0;
    size_t size_bytes = 0;

    bool full() const;
  };

  std::string StoredKey(std::string_view key) const { return prefix_ + std::string(key); }
  void Add(std::string_view key, const std::optional<std::string>& value,
           storage::KvBatch& changes) const;
  Status AddBatch(const kafka::RecordBatchView& batch, storage::KvBatch& changes) const;
  // The batch that begins with what is in memory only.
  storage::KvBatch BeginChanges() const;
  Status Commit(storage::KvBatch& changes, Offset applied);
  void TakeAppended();

  const OffsetsStore store_;
  const TopicId topic_id_;
  const PartitionIndex partition_;
  const std::string stream_;
  const std::string prefix_;
  std::optional<Offset> applied_;
  Unstored unstored_;
  std::deque<Appended> appended_;
  // The last record of each key; points into appended_.
  std::map<std::string_view, const GroupRecord*> overlay_;
};

}  // namespace sluice::broker
