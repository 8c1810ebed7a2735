#include "storage/txn_index.h"

#include "base/bytes.h"

namespace sluice::storage {
namespace {

constexpr EntryFile::Kind kKind{kTxnIndexSuffix, TxnIndexes::kEntryBytes};
constexpr int16_t kVersion = 0;
constexpr size_t kProducerIdAt = 2, kFirstOffsetAt = 10, kLastOffsetAt = 18, kStableOffsetAt = 26;

AbortedTransaction Decode(const char* entry) {
  return {ProducerId(LoadBigEndian<int64_t>(entry + kProducerIdAt)),
          Offset(LoadBigEndian<int64_t>(entry + kFirstOffsetAt)),
          Offset(LoadBigEndian<int64_t>(entry + kLastOffsetAt)),
          Offset(LoadBigEndian<int64_t>(entry + kStableOffsetAt))};
}

Offset MarkerOf(const char* entry) { return Offset(LoadBigEndian<int64_t>(entry + kLastOffsetAt)); }

// Calls `visit` for each entry from `index` on, until it gives false.
template <typename Visit>
Status Walk(const EntryFile& file, size_t index, Visit visit) {
  constexpr size_t kBlockEntries = 64;
  char block[kBlockEntries * TxnIndexes::kEntryBytes];
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const size_t got, file.ReadEntries(index, kBlockEntries, block));
    if (got == 0) return Status::Ok();
    for (size_t i = 0; i < got; ++i) {
      if (!visit(block + i * TxnIndexes::kEntryBytes)) return Status::Ok();
    }
    index += got;
  }
}

}  // namespace

TxnIndexes::Index::Index(const SegmentHome& home, Offset base) : file(home, base, kKind) {}

void TxnIndexes::Add(Offset base) { files_.try_emplace(base, home_, base); }

Result<bool> TxnIndexes::Check(Offset base, Offset end) {
  const auto found = files_.find(base);
  if (found == files_.end() || found->second.checked) return true;
  Index& index = found->second;
  SLUICE_ASSIGN_OR_RETURN(const bool whole, index.file.Load());
  if (!whole) return false;
  Offset last_marker = base - 1;
  bool sound = true;
  SLUICE_RETURN_IF_ERROR(Walk(index.file, 0, [&](const char* entry) {
    const AbortedTransaction aborted = Decode(entry);
    sound = LoadBigEndian<int16_t>(entry) == kVersion && aborted.producer_id.value() >= 0 &&
            aborted.first_offset >= Offset(0) && aborted.first_offset < aborted.last_offset &&
            aborted.last_offset > last_marker && aborted.last_offset < end;
    last_marker = aborted.last_offset;
    return sound;
  }));
  index.checked = sound;
  return sound;
}

Status TxnIndexes::StartAgain(Offset base) {
  const auto found = files_.find(base);
  if (found == files_.end()) return Status::Ok();
  found->second.checked = true;
  return found->second.file.Clear();
}

Status TxnIndexes::Append(Offset base, const AbortedTransaction& aborted) {
  auto found = files_.find(base);
  if (found == files_.end()) {
    found = files_.try_emplace(base, home_, base).first;
    found->second.checked = true;
  }
  CHECK(found->second.checked) << home_.PathOf(base, kTxnIndexSuffix);
  char entry[kEntryBytes];
  StoreBigEndian(entry, kVersion);
  StoreBigEndian(entry + kProducerIdAt, aborted.producer_id.value());
  StoreBigEndian(entry + kFirstOffsetAt, aborted.first_offset.value());
  StoreBigEndian(entry + kLastOffsetAt, aborted.last_offset.value());
  StoreBigEndian(entry + kStableOffsetAt, aborted.last_stable_offset.value());
  return found->second.file.Append({entry, sizeof entry});
}

Status TxnIndexes::TruncateTo(Offset base, Offset offset) {
  const auto found = files_.find(base);
  if (found == files_.end()) return Status::Ok();
  EntryFile& file = found->second.file;
  SLUICE_ASSIGN_OR_RETURN(const size_t kept, file.CountWhile([&](const char* entry) {
    return MarkerOf(entry) < offset;
  }));
  return file.Shrink(kept);
}

Result<bool> TxnIndexes::Collect(Offset base, const OffsetRange& range,
                                 std::vector<AbortedTransaction>& out) const {
  const auto found = files_.find(base);
  if (found == files_.end()) return false;
  CHECK(found->second.checked) << home_.PathOf(base, kTxnIndexSuffix);
  const EntryFile& file = found->second.file;
  SLUICE_ASSIGN_OR_RETURN(const size_t first, file.CountWhile([&](const char* entry) {
    return MarkerOf(entry) < range.from;
  }));
  bool complete = false;
  SLUICE_RETURN_IF_ERROR(Walk(file, first, [&](const char* entry) {
    const AbortedTransaction aborted = Decode(entry);
    if (aborted.first_offset < range.upto) out.push_back(aborted);
    complete = aborted.last_stable_offset >= range.upto;
    return !complete;
  }));
  return complete;
}

Result<std::shared_ptr<File>> TxnIndexes::Complete(Offset base) {
  const auto found = files_.find(base);
  if (found == files_.end()) return std::shared_ptr<File>();
  return found->second.file.Complete();
}

}  // namespace sluice::storage
