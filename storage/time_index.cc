#include "storage/time_index.h"

#include "base/bytes.h"

namespace sluice::storage {

Result<bool> TimeIndex::Load() {
  SLUICE_ASSIGN_OR_RETURN(const bool whole, file_.Load());
  if (!whole) return false;
  SLUICE_RETURN_IF_ERROR(RefreshLast());
  if (count() == 0) return true;
  SLUICE_ASSIGN_OR_RETURN(const Entry first, At(0));
  const bool ascends =
      count() == 1 || (last_.timestamp_ms > first.timestamp_ms && last_.offset > first.offset);
  return ascends && first.offset >= base();
}

Status TimeIndex::MaybeAppend(const Entry& entry) {
  if (entry.timestamp_ms <= last_.timestamp_ms) return Status::Ok();
  CHECK(count() == 0 || entry.offset > last_.offset) << file_.path();
  char bytes[kEntryBytes];
  StoreBigEndian(bytes, entry.timestamp_ms);
  StoreBigEndian(bytes + 8, static_cast<int32_t>(entry.offset - base()));
  SLUICE_RETURN_IF_ERROR(file_.Append({bytes, sizeof bytes}));
  last_ = entry;
  return Status::Ok();
}

Result<TimeIndex::Entry> TimeIndex::Floor(int64_t target_ms, int64_t first_ms) const {
  if (count() == 0) return Entry{kNoTimestamp, base()};
  if (target_ms >= last_.timestamp_ms) return last_;
  const auto key = [](const char* e) { return LoadBigEndian<int64_t>(e); };
  const int64_t last_ms = last_.timestamp_ms;
  const EntryFile::Scale<decltype(key)> scale{key, first_ms < 0 ? last_ms : first_ms, last_ms};
  SLUICE_ASSIGN_OR_RETURN(const size_t below, file_.CountUpTo(target_ms, scale));
  if (below == 0) return Entry{kNoTimestamp, base()};
  return At(below - 1);
}

Result<bool> TimeIndex::Ascends() const {
  Entry last{kNoTimestamp, base() - 1};
  return file_.AllOf([&](const char* bytes) {
    const Entry entry = Decode(bytes);
    const bool ascends = entry.timestamp_ms > last.timestamp_ms && entry.offset > last.offset;
    last = entry;
    return ascends;
  });
}

Status TimeIndex::TruncateTo(Offset offset) {
  if (count() == 0 || last_.offset < offset) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const size_t kept, file_.CountWhile([&](const char* e) {
    return Decode(e).offset < offset;
  }));
  SLUICE_RETURN_IF_ERROR(file_.Shrink(kept));
  return RefreshLast();
}

Status TimeIndex::Clear() {
  SLUICE_RETURN_IF_ERROR(file_.Clear());
  return RefreshLast();
}

void TimeIndex::Forget() {
  file_.Forget();
  last_ = Entry{kNoTimestamp, base()};
}

Result<TimeIndex::Entry> TimeIndex::At(size_t index) const {
  char bytes[kEntryBytes];
  SLUICE_RETURN_IF_ERROR(file_.ReadEntry(index, bytes));
  return Decode(bytes);
}

TimeIndex::Entry TimeIndex::Decode(const char* bytes) const {
  return {LoadBigEndian<int64_t>(bytes), base() + LoadBigEndian<int32_t>(bytes + 8)};
}

Status TimeIndex::RefreshLast() {
  last_ = Entry{kNoTimestamp, base()};
  if (count() == 0) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(last_, At(count() - 1));
  return Status::Ok();
}

}  // namespace sluice::storage
