#include "broker/group/offsets_view.h"

#include <glog/logging.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "storage/log_directories.h"

namespace sluice::broker {
namespace {

// Of one batch of records, inflated: what we write is as large as a message may be, and a foreign
// one that says more is not believed.
constexpr size_t kInflatedBytesMax = size_t{256} << 20;

// What gathers in memory at most before it goes into the store.
constexpr size_t kUnstoredRecordsMax = 1024;
constexpr size_t kUnstoredBytesMax = size_t{1} << 20;

std::string StreamOf(PartitionIndex partition) {
  return storage::TopicPartition{kOffsetsTopic, partition}.ToString();
}

std::string PrefixOf(PartitionIndex partition) {
  std::string prefix(4, '\0');
  StoreBigEndian<uint32_t>(prefix.data(), static_cast<uint32_t>(partition.value()));
  return prefix;
}

// The first key after all that begin with `prefix`.
std::string EndOf(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

// The bytes of PrefixOf again, from the name of its stream.
std::optional<PartitionIndex> PartitionOf(std::string_view stream) {
  const std::string_view topic(kOffsetsTopic);
  if (stream.size() <= topic.size() + 1 || stream.substr(0, topic.size()) != topic) return {};
  int32_t index = 0;
  for (const char digit : stream.substr(topic.size() + 1)) {
    if (digit < '0' || digit > '9' || index > (INT32_MAX - 9) / 10) return {};
    index = index * 10 + (digit - '0');
  }
  return PartitionIndex(index);
}

void AddForget(const OffsetsStore& store, PartitionIndex partition, storage::KvBatch& batch) {
  const std::string prefix = PrefixOf(partition);
  batch.DeleteRange(store.entries, prefix, EndOf(prefix));
  batch.Delete(store.sources, StreamOf(partition));
  batch.ForgetApplied(StreamOf(partition));
}

using Values = std::map<std::string, std::optional<std::string>, std::less<>>;
using Overlay = std::map<std::string_view, const GroupRecord*>;

// Walks over what is in memory above the store, in key order: of a key that is in both the record
// that was appended last. No value is a tombstone.
class InMemory {
 public:
  // `overlay` may be null.
  InMemory(const Values& committed, const Overlay* overlay, const GroupView::Range& range)
      : prefix_(range.prefix),
        committed_(committed.lower_bound(range.from)),
        committed_end_(committed.end()) {
    if (overlay == nullptr) return;
    appended_ = overlay->lower_bound(range.from);
    appended_end_ = overlay->end();
  }

  bool AtEnd() const { return !Begins(committed_, committed_end_) && !AppendedIsNext(); }
  std::string_view key() const { return AppendedIsNext() ? appended_->first : committed_->first; }
  const std::optional<std::string>& value() const {
    return AppendedIsNext() ? appended_->second->value : committed_->second;
  }
  void Next() {
    const bool appended = AppendedIsNext();
    if (!appended || (Begins(committed_, committed_end_) && committed_->first == appended_->first))
      ++committed_;
    if (appended) ++appended_;
  }

 private:
  template <typename Iterator>
  bool Begins(Iterator at, Iterator end) const {
    return at != end && std::string_view(at->first).substr(0, prefix_.size()) == prefix_;
  }
  bool AppendedIsNext() const {
    return Begins(appended_, appended_end_) &&
           (!Begins(committed_, committed_end_) || appended_->first <= committed_->first);
  }

  const std::string_view prefix_;
  Values::const_iterator committed_, committed_end_;
  Overlay::const_iterator appended_{}, appended_end_{};  // equal without an overlay
};

}  // namespace

Result<std::vector<PartitionIndex>> OffsetsStore::Views() const {
  std::vector<PartitionIndex> views;
  SLUICE_RETURN_IF_ERROR(kv->Iterate(nullptr, {.family = sources, .from = "", .to = ""},
                                     [&](std::string_view stream, std::string_view) {
                                       if (const auto partition = PartitionOf(stream))
                                         views.push_back(*partition);
                                       return true;
                                     }));
  return views;
}

Status OffsetsStore::Forget(PartitionIndex partition) const {
  storage::KvBatch batch;
  AddForget(*this, partition, batch);
  return kv->Write(batch);
}

bool OffsetsView::Unstored::full() const {
  return records >= kUnstoredRecordsMax || size_bytes >= kUnstoredBytesMax;
}

OffsetsView::OffsetsView(OffsetsStore store, TopicId topic_id, PartitionIndex partition)
    : store_(store),
      topic_id_(topic_id),
      partition_(partition),
      stream_(StreamOf(partition)),
      prefix_(PrefixOf(partition)) {}

Status OffsetsView::Open() {
  applied_.reset();
  unstored_ = {};
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> source,
                          store_.kv->Get(store_.sources, stream_));
  if (!source.has_value() || *source != topic_id_.view()) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(applied_, store_.kv->Applied(stream_));
  return Status::Ok();
}

Status OffsetsView::Forget() {
  applied_.reset();
  unstored_ = {};
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> source,
                          store_.kv->Get(store_.sources, stream_));
  // It may be of a newer topic already.
  if (!source.has_value() || *source != topic_id_.view()) return Status::Ok();
  return store_.Forget(partition_);
}

Status OffsetsView::Restart(Offset from) {
  unstored_ = {};
  storage::KvBatch batch;
  batch.DeleteRange(store_.entries, prefix_, EndOf(prefix_));
  batch.Put(store_.sources, stream_, topic_id_.view());
  return Commit(batch, from);
}

void OffsetsView::Add(std::string_view key, const std::optional<std::string>& value,
                      storage::KvBatch& changes) const {
  if (value.has_value())
    changes.Put(store_.entries, StoredKey(key), *value);
  else
    changes.Delete(store_.entries, StoredKey(key));
}

storage::KvBatch OffsetsView::BeginChanges() const {
  storage::KvBatch changes;
  for (const auto& [key, value] : unstored_.values) Add(key, value, changes);
  return changes;
}

Status OffsetsView::Commit(storage::KvBatch& changes, Offset applied) {
  changes.SetApplied(stream_, applied);
  SLUICE_RETURN_IF_ERROR(store_.kv->Write(changes));
  applied_ = applied;
  unstored_ = {};
  return Status::Ok();
}

Status OffsetsView::Store() {
  if (unstored_.records == 0) return Status::Ok();
  storage::KvBatch changes = BeginChanges();
  changes.SetApplied(stream_, *applied_);
  SLUICE_RETURN_IF_ERROR(store_.kv->Write(changes));
  unstored_ = {};
  return Status::Ok();
}

Status OffsetsView::Apply(std::string_view batches, Offset upto) {
  CHECK(applied_.has_value()) << stream_;
  storage::KvBatch changes = BeginChanges();
  Offset end = *applied_;
  kafka::BatchIterator iterator(batches);
  for (;;) {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<kafka::RecordBatchView> batch, iterator.Next());
    if (!batch.has_value() || batch->next_offset() > upto) break;
    if (batch->next_offset() <= end) continue;
    SLUICE_RETURN_IF_ERROR(batch->CheckCrc());
    if (!batch->is_control() && !batch->is_transactional())
      SLUICE_RETURN_IF_ERROR(AddBatch(*batch, changes));
    end = batch->next_offset();
  }
  return end == *applied_ ? Status::Ok() : Commit(changes, end);
}

Status OffsetsView::AddBatch(const kafka::RecordBatchView& batch, storage::KvBatch& changes) const {
  std::string inflated;
  SLUICE_ASSIGN_OR_RETURN(const std::string_view records,
                          kafka::PlainRecords(batch, kInflatedBytesMax, inflated));
  kafka::RecordIterator iterator(batch, records);
  for (kafka::Record record; iterator.Next(record);) {
    // A log may start within a batch; and without a key there is nothing to keep it by.
    if (record.offset < *applied_ || !record.key.has_value()) continue;
    const std::string key = StoredKey(*record.key);
    if (record.value.has_value())
      changes.Put(store_.entries, key, *record.value);
    else
      changes.Delete(store_.entries, key);
  }
  return iterator.status();
}

Status OffsetsView::SkipTo(Offset upto) {
  storage::KvBatch changes = BeginChanges();
  return Commit(changes, upto);
}

void OffsetsView::AddAppended(AppendId id, std::vector<GroupRecord> records) {
  const Appended& added = appended_.emplace_back(Appended{id, std::move(records), {}});
  // The map's keys are those of the newest records: an older one's may go before the entry does.
  for (const GroupRecord& record : added.records) {
    overlay_.erase(record.key);
    overlay_.emplace(record.key, &record);
  }
}

void OffsetsView::SetOffset(AppendId id, Offset base_offset) {
  for (Appended& appended : appended_) {
    if (appended.id == id) appended.base_offset = base_offset;
  }
}

std::optional<Offset> OffsetsView::first_appended() const {
  return appended_.empty() ? std::nullopt : appended_.front().base_offset;
}

Status OffsetsView::ApplyAppended(Offset upto) {
  CHECK(applied_.has_value()) << stream_;
  while (!appended_.empty()) {
    const Appended& first = appended_.front();
    if (!first.base_offset.has_value() || first.end() > upto) break;
    if (*first.base_offset > *applied_) break;  // others have written in between
    if (unstored_.full()) SLUICE_RETURN_IF_ERROR(Store());
    TakeAppended();
  }
  return Status::Ok();
}

void OffsetsView::TakeAppended() {
  Appended& first = appended_.front();
  const bool is_new = first.end() > *applied_;
  for (GroupRecord& record : first.records) {
    const auto found = overlay_.find(record.key);
    if (found != overlay_.end() && found->second == &record) overlay_.erase(found);
    if (!is_new) continue;
    ++unstored_.records;
    unstored_.size_bytes += record.key.size() + record.value.value_or("").size();
    unstored_.values.insert_or_assign(std::move(record.key), std::move(record.value));
  }
  if (is_new) applied_ = first.end();
  appended_.pop_front();
}

void OffsetsView::DropAppended() {
  overlay_.clear();
  appended_.clear();
}

Result<std::optional<std::string>> OffsetsView::Get(Upto upto, std::string_view key) const {
  if (upto == Upto::kLogEnd) {
    if (const auto found = overlay_.find(key); found != overlay_.end()) return found->second->value;
  }
  if (const auto found = unstored_.values.find(key); found != unstored_.values.end())
    return found->second;
  return store_.kv->Get(store_.entries, StoredKey(key));
}

Status OffsetsView::ForEach(Upto upto, const Range& range, const Visitor& visit) const {
  const std::string_view from = std::max(range.prefix, range.from);
  InMemory above(unstored_.values, upto == Upto::kLogEnd ? &overlay_ : nullptr,
                 {range.prefix, from});
  bool going = true;
  // The records in memory that come before `key`, or all of them.
  const auto visit_above = [&](std::optional<std::string_view> key) {
    while (going && !above.AtEnd() && (!key.has_value() || above.key() < *key)) {
      const std::optional<std::string>& value = above.value();
      if (value.has_value()) going = visit(above.key(), *value);
      above.Next();
    }
  };
  const std::string first = StoredKey(from);
  const std::string end = EndOf(StoredKey(range.prefix));
  SLUICE_RETURN_IF_ERROR(
      store_.kv->Iterate(nullptr, {.family = store_.entries, .from = first, .to = end},
                         [&](std::string_view stored, std::string_view value) {
                           const std::string_view key = stored.substr(prefix_.size());
                           visit_above(key);
                           if (!going) return false;
                           // Replaced above; visit_above gives it next.
                           if (!above.AtEnd() && above.key() == key) return true;
                           return going = visit(key, value);
                         }));
  visit_above(std::nullopt);
  return Status::Ok();
}

}  // namespace sluice::broker
