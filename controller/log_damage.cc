#include "controller/log_damage.h"

#include <algorithm>
#include <memory>

#include "controller/entry_codec.h"
#include "kafka/record_batch.h"
#include "storage/batch_header.h"
#include "storage/batch_scanner.h"
#include "storage/file_names.h"
#include "storage/segment_scan.h"

namespace sluice::controller {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

std::string SegmentName(LogIndex base) {
  return storage::OffsetFileName(Offset(base.value()), storage::kLogSuffix);
}

class Survey {
 public:
  Survey(FileSystem& fs, std::string directory, const LogExtent& extent)
      : fs_(fs), directory_(std::move(directory)), extent_(extent) {}

  Result<std::optional<LogDamage>> Run() {
    SLUICE_RETURN_IF_ERROR(ListSegments());
    due_ = bases_.empty() ? LogIndex(0) : bases_.front();
    if (due_ > extent_.start_max) {
      const std::string what = directory_ + ": the log starts at index " +
                               std::to_string(due_.value()) +
                               " and no readable snapshot reaches it";
      due_ = extent_.start_max;
      NoteDamage(what);
    }
    for (const LogIndex base : bases_) SLUICE_RETURN_IF_ERROR(Walk(base));
    if (due_ < extent_.synced_end) {
      NoteDamage(directory_ + ": the log ends at index " + std::to_string(due_.value()) +
                 ", and entries up to " + std::to_string(extent_.synced_end.value() - 1) +
                 " had been synced");
    }
    if (!damaged_) return std::optional<LogDamage>();
    damage_.upto = std::max({damage_.from, seen_, extent_.synced_end - 1});
    auto first = std::upper_bound(bases_.begin(), bases_.end(), damage_.from);
    if (first != bases_.begin()) --first;
    for (; first != bases_.end(); ++first) damage_.files.push_back(SegmentName(*first));
    return std::optional(std::move(damage_));
  }

 private:
  Status ListSegments() {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> names, fs_.List(directory_));
    for (const std::string& name : names) {
      if (const auto base = storage::ParseOffsetFileName(name, storage::kLogSuffix))
        bases_.emplace_back(base->value());
    }
    std::sort(bases_.begin(), bases_.end());
    return Status::Ok();
  }

  // Only the first counts: what follows is of no use without it.
  void NoteDamage(const std::string& what) {
    if (damaged_) return;
    damaged_ = true;
    damage_.from = due_;
    damage_.what = what;
  }

  Status Walk(LogIndex base) {
    const std::string path = directory_ + "/" + SegmentName(base);
    if (base != due_) NoteDamage(path + " begins where index " + ToString(due_) + " is due");
    SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<File> file, fs_.Open(path, OpenMode::kRead));
    SLUICE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
    uint64_t at = 0;
    while (at < size) {
      SLUICE_ASSIGN_OR_RETURN(at, WalkBatches(*file, path, at, size));
      if (at == size) break;
      NoteDamage(path + ": there is no whole entry " + ToString(due_) + " at position " +
                 std::to_string(at));
      SLUICE_ASSIGN_OR_RETURN(const std::optional<uint64_t> next,
                              storage::FindValidBatch(*file, at, size, Offset(0)));
      at = next.value_or(size);
    }
    return Status::Ok();
  }

  // Where the first batch begins that is none.
  Result<uint64_t> WalkBatches(const File& file, const std::string& path, uint64_t at,
                               uint64_t size) {
    storage::BatchScanner scanner(file, at, size, kChunkBytes);
    while (true) {
      SLUICE_ASSIGN_OR_RETURN(const bool more, scanner.Next());
      if (!more) return at;
      SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, scanner.Bytes());
      // The length of a bad batch is not to be believed.
      if (!storage::BatchChecksumHolds(bytes)) return at;
      Take(bytes, path);
      at = scanner.next_position();
    }
  }

  void Take(std::string_view bytes, const std::string& path) {
    const auto batch = kafka::RecordBatchView::Parse(bytes);
    const auto decoded = batch.ok() ? DecodeEntry(*batch) : Result<DecodedEntry>(batch.status());
    if (!decoded.ok()) return NoteDamage(path + ": " + decoded.status().message());
    const raft::Entry& entry = decoded->entry;
    seen_ = std::max(seen_, entry.index);
    bool readable = true;
    if (raft::SetsMembers(entry.type)) {
      Result<raft::Membership> members = raft::MembersIn(entry);
      readable = members.ok();
      if (readable && (!damage_.members.has_value() || damage_.members->first < entry.index))
        damage_.members.emplace(entry.index, *std::move(members));
    }
    const bool follows = entry.index == due_ && entry.term >= term_ && readable &&
                         (!chain_.has_value() || decoded->previous_chain == *chain_);
    if (!follows) NoteDamage(path + ": what lies at index " + ToString(due_) + " does not follow");
    if (damaged_) return;
    due_ = entry.index + 1;
    term_ = entry.term;
    chain_ = decoded->chain;
  }

  static std::string ToString(LogIndex index) { return std::to_string(index.value()); }

  FileSystem& fs_;
  const std::string directory_;
  const LogExtent extent_;
  std::vector<LogIndex> bases_;
  LogIndex due_{0};  // the entry that is to come next
  Term term_;
  std::optional<uint32_t> chain_;  // of the entry before; nothing: there was none
  LogIndex seen_ = raft::kNoIndex;
  bool damaged_ = false;
  LogDamage damage_;
};

}  // namespace

Result<std::optional<LogDamage>> FindDamage(FileSystem& fs, const std::string& directory,
                                            const LogExtent& extent) {
  return Survey(fs, directory, extent).Run();
}

Status KeepAside(FileSystem& fs, const std::string& directory, const LogDamage& damage) {
  for (const std::string& name : damage.files) {
    SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs, directory + "/" + name));
    SLUICE_RETURN_IF_ERROR(WriteFileAtomically(fs, directory + "/" + name + ".damaged", bytes));
  }
  return Status::Ok();
}

}  // namespace sluice::controller
