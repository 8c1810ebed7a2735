#include "raft/raft_log.h"

#include <algorithm>

namespace sluice::raft {

RaftLog::RaftLog(const LogStore& store, size_t cache_bytes_max)
    : store_(store), cache_bytes_max_(cache_bytes_max) {
  const OpenedLog& opened = store.opened();
  first_index_ = opened.first_index;
  last_index_ = opened.last_index;
  if (opened.snapshot.has_value()) {
    snapshot_ = *opened.snapshot;
    history_.Reset(snapshot_.index, snapshot_.members);
  }
  for (const auto& [index, members] : opened.memberships) {
    if (index > snapshot_.index) history_.Append(index, members);
  }
  for (const auto& [index, term] : opened.term_starts) term_starts_.push_back({index, term});
  if (first_index_ == LogIndex(0)) term_before_first_ = Term(0);
  if (first_index_ == snapshot_.index + 1) term_before_first_ = snapshot_.term;
  handed_index_ = last_index_;
  durable_index_ = last_index_;
  cache_first_ = last_index_ + 1;
  CHECK_GE(last_index_, snapshot_.index)
      << "the log store shows a log that ends before its snapshot";
  CHECK(last_index_ < first_index_ || !term_starts_.empty());
  CheckInvariants();
}

void RaftLog::CheckInvariants() const {
  CHECK_LE(first_index_, last_index_ + 1);
  CHECK_GE(snapshot_.index, first_index_ - 1)
      << "entries between the snapshot and the log are missing";
  CHECK_LE(durable_index_, handed_index_);
  CHECK_LE(handed_index_, last_index_);
  CHECK_LE(cache_first_, durable_index_ + 1);
  CHECK_EQ(last_index_ + 1 - cache_first_, static_cast<int64_t>(cache_.size()));
}

std::optional<Term> RaftLog::TermAt(LogIndex index) const {
  if (index == kNoIndex) return Term(0);
  if (index == snapshot_.index) return snapshot_.term;
  if (index == first_index_ - 1) return term_before_first_;
  if (index < first_index_ || index > last_index_) return std::nullopt;
  const auto after =
      std::upper_bound(term_starts_.begin(), term_starts_.end(), index,
                       [](LogIndex i, const TermStart& start) { return i < start.index; });
  CHECK(after != term_starts_.begin());
  return std::prev(after)->term;
}

LogIndex RaftLog::LastIndexWithTermAtMost(LogIndex index, Term term) const {
  index = std::min(index, last_index_);
  for (auto start = term_starts_.rbegin(); start != term_starts_.rend(); ++start) {
    if (start->index > index) continue;
    if (start->term <= term) return index;
    index = start->index - 1;
  }
  return index;
}

std::vector<Entry> RaftLog::Entries(LogIndex from, LogIndex to, size_t bytes_max) const {
  CHECK_GE(from, first_index_);
  CHECK_LE(to, last_index_ + 1);
  CHECK_LT(from, to);
  std::vector<Entry> entries;
  size_t bytes = 0;
  if (from < cache_first_) {
    Result<std::vector<Entry>> read = store_.Read(from, std::min(to, cache_first_), bytes_max);
    // An entry that was durable and cannot be read is a broken disk: this voter must not go on.
    CHECK(read.ok()) << "reading the log at index " << from << ": " << read.status().ToString();
    CHECK(!read->empty() && read->front().index == from);
    entries = *std::move(read);
    for (const Entry& entry : entries) bytes += SizeOf(entry);
    from = entries.back().index + 1;
    if (from < cache_first_) return entries;
  }
  for (LogIndex index = from; index < to; ++index) {
    const Entry& entry = Cached(index);
    bytes += SizeOf(entry);
    if (!entries.empty() && bytes > bytes_max) break;
    entries.push_back(entry);
  }
  return entries;
}

void RaftLog::Append(Entry entry) {
  CHECK_EQ(entry.index, last_index_ + 1);
  const Term last = last_term();
  CHECK_GE(entry.term, last) << "terms never fall along the log";
  if (term_starts_.empty() || entry.term != term_starts_.back().term)
    term_starts_.push_back({entry.index, entry.term});
  if (SetsMembers(entry.type)) {
    Result<Membership> members = MembersIn(entry);
    CHECK(members.ok()) << "entry " << entry.index << ": " << members.status().ToString();
    history_.Append(entry.index, *std::move(members));
  }
  last_index_ = entry.index;
  cache_bytes_ += SizeOf(entry);
  cache_.push_back(std::move(entry));
}

void RaftLog::TruncateFrom(LogIndex index) {
  CHECK_GT(index, snapshot_.index);
  CHECK_GE(index, first_index_);
  CHECK_LE(index, last_index_);
  while (!cache_.empty() && cache_.back().index >= index) {
    cache_bytes_ -= SizeOf(cache_.back());
    cache_.pop_back();
  }
  cache_first_ = std::min(cache_first_, index);
  last_index_ = index - 1;
  history_.TruncateFrom(index);
  while (!term_starts_.empty() && term_starts_.back().index >= index) term_starts_.pop_back();
  if (handed_index_ >= index) {
    handed_index_ = index - 1;
    truncate_from_ = std::min(truncate_from_.value_or(index), index);
  }
  durable_index_ = std::min(durable_index_, last_index_);
  CheckInvariants();
}

void RaftLog::SnapshotTaken(const SnapshotMeta& meta, LogIndex drop_before) {
  CHECK_GT(meta.index, snapshot_.index);
  CHECK_LE(drop_before, meta.index + 1);
  const LogIndex new_first = std::max(first_index_, std::min(drop_before, durable_index_ + 1));
  term_before_first_ = TermAt(new_first - 1);
  snapshot_ = meta;
  history_.ForgetBefore(meta.index);
  while (!cache_.empty() && cache_first_ < new_first) {
    cache_bytes_ -= SizeOf(cache_.front());
    cache_.pop_front();
    ++cache_first_;
  }
  // The term that reaches over the new start begins there now.
  const auto after =
      std::upper_bound(term_starts_.begin(), term_starts_.end(), new_first,
                       [](LogIndex i, const TermStart& start) { return i < start.index; });
  if (after != term_starts_.begin()) {
    term_starts_.erase(term_starts_.begin(), std::prev(after));
    term_starts_.front().index = std::max(term_starts_.front().index, new_first);
  }
  if (new_first > last_index_) term_starts_.clear();
  first_index_ = new_first;
  cache_first_ = std::max(cache_first_, first_index_);
  CheckInvariants();
}

void RaftLog::Reset(const SnapshotMeta& meta) {
  snapshot_ = meta;
  history_.Reset(meta.index, meta.members);
  term_before_first_ = meta.term;
  first_index_ = meta.index + 1;
  last_index_ = meta.index;
  term_starts_.clear();
  cache_.clear();
  cache_bytes_ = 0;
  cache_first_ = first_index_;
  handed_index_ = meta.index;
  // The snapshot is handed to the store in the same request, ahead of all entries that will follow
  // it.
  durable_index_ = meta.index;
  truncate_from_.reset();
  CheckInvariants();
}

bool RaftLog::HandOver(PersistRequest& request) {
  if (!truncate_from_.has_value() && handed_index_ == last_index_) return false;
  request.truncate_from = truncate_from_;
  truncate_from_.reset();
  for (LogIndex index = handed_index_ + 1; index <= last_index_; ++index)
    request.entries.push_back(Cached(index));
  handed_index_ = last_index_;
  return true;
}

void RaftLog::Durable(LogIndex index) {
  if (index <= durable_index_) return;
  durable_index_ = index;
  TrimCache();
  CheckInvariants();
}

void RaftLog::TrimCache() {
  while (cache_bytes_ > cache_bytes_max_ && !cache_.empty() && cache_first_ <= durable_index_) {
    cache_bytes_ -= SizeOf(cache_.front());
    cache_.pop_front();
    ++cache_first_;
  }
}

}  // namespace sluice::raft
