#include "storage/offset_index.h"

#include "base/bytes.h"

namespace sluice::storage {

Result<bool> OffsetIndex::Load(uint64_t log_size_bytes) {
  SLUICE_ASSIGN_OR_RETURN(const bool whole, file_.Load());
  if (!whole) return false;
  SLUICE_RETURN_IF_ERROR(RefreshLast());
  // The first batch has no entry; zeros are what a file that was never written to reads as.
  return count() == 0 ||
         (last_.offset >= base() && last_.position > 0 && last_.position < log_size_bytes);
}

Status OffsetIndex::Append(const Entry& entry) {
  CHECK(count() == 0 || (entry.offset > last_.offset && entry.position > last_.position))
      << file_.path();
  char bytes[kEntryBytes];
  StoreBigEndian(bytes, static_cast<int32_t>(entry.offset - base()));
  StoreBigEndian(bytes + 4, static_cast<int32_t>(entry.position));
  SLUICE_RETURN_IF_ERROR(file_.Append({bytes, sizeof bytes}));
  last_ = entry;
  return Status::Ok();
}

Result<OffsetIndex::Entry> OffsetIndex::Floor(Offset target) const {
  if (count() == 0) return Entry{base(), 0};
  if (target >= last_.offset) return last_;
  const auto key = [](const char* e) { return int64_t{LoadBigEndian<int32_t>(e)}; };
  const EntryFile::Scale<decltype(key)> scale{key, 0, last_.offset - base()};
  SLUICE_ASSIGN_OR_RETURN(const size_t below, file_.CountUpTo(target - base(), scale));
  if (below == 0) return Entry{base(), 0};
  return At(below - 1);
}

Result<std::optional<Offset>> OffsetIndex::OffsetAbove(uint64_t position) const {
  const std::optional<Offset> unknown;
  if (count() == 0 || position > last_.position) return unknown;
  const auto key = [](const char* e) { return int64_t{LoadBigEndian<uint32_t>(e + 4)}; };
  const EntryFile::Scale<decltype(key)> scale{key, 0, int64_t{last_.position}};
  SLUICE_ASSIGN_OR_RETURN(const size_t below,
                          file_.CountUpTo(static_cast<int64_t>(position) - 1, scale));
  char bytes[2 * kEntryBytes];
  SLUICE_ASSIGN_OR_RETURN(const size_t got, file_.ReadEntries(below, 2, bytes));
  if (got < 2) return unknown;
  // Were one of them wrong, the other is too high at worst. Nobody compares them with the log.
  const Entry at = Decode(bytes), next = Decode(bytes + kEntryBytes);
  const bool agree =
      at.position >= position && next.position > at.position && next.offset > at.offset;
  return agree ? std::optional(next.offset + 1) : unknown;
}

Result<bool> OffsetIndex::Ascends() const {
  Entry last{base() - 1, 0};
  return file_.AllOf([&](const char* bytes) {
    const Entry entry = Decode(bytes);
    const bool ascends = entry.offset > last.offset && entry.position > last.position;
    last = entry;
    return ascends;
  });
}

Status OffsetIndex::TruncateTo(Offset offset) {
  if (count() == 0 || last_.offset < offset) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const size_t kept, file_.CountWhile([&](const char* e) {
    return Decode(e).offset < offset;
  }));
  SLUICE_RETURN_IF_ERROR(file_.Shrink(kept));
  return RefreshLast();
}

Status OffsetIndex::Clear() {
  SLUICE_RETURN_IF_ERROR(file_.Clear());
  return RefreshLast();
}

void OffsetIndex::Forget() {
  file_.Forget();
  last_ = Entry{base(), 0};
}

Result<OffsetIndex::Entry> OffsetIndex::At(size_t index) const {
  char bytes[kEntryBytes];
  SLUICE_RETURN_IF_ERROR(file_.ReadEntry(index, bytes));
  return Decode(bytes);
}

OffsetIndex::Entry OffsetIndex::Decode(const char* bytes) const {
  return {base() + LoadBigEndian<int32_t>(bytes), LoadBigEndian<uint32_t>(bytes + 4)};
}

Status OffsetIndex::RefreshLast() {
  last_ = Entry{base(), 0};
  if (count() == 0) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(last_, At(count() - 1));
  return Status::Ok();
}

}  // namespace sluice::storage
