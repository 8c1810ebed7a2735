#pragma once
// EntryReader: the entries of an index file (.index, .timeindex, .txnindex) one after another, a
// few KiB at a time, with what a running or killed Kafka leaves behind them: zeros up to the 10 MiB
// that it makes an active index long. An entry of zeros ends the entries.
//
// Thread rule: one owner.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/ids.h"

namespace sluice::storage {

inline constexpr size_t kTxnEntryBytes = 34;

class EntryReader {
 public:
  // nullopt when there is no such file.
  static Result<std::optional<EntryReader>> Open(FileSystem& fs, const std::string& path,
                                                 size_t entry_bytes);

  // The next entry, empty at the end. `zeros_count`: an entry of zeros is one.
  Result<std::string_view> Next(bool zeros_count = false);
  const std::string& path() const { return path_; }
  uint64_t size_bytes() const { return size_; }
  // Of the entry that Next gave last.
  uint64_t position() const { return next_ - entry_bytes_; }
  // Where the entries end.
  uint64_t end_position() const { return next_; }
  // Behind the entries, once Next gave none: whether anything follows, and the position of its
  // first byte that is not zero.
  bool has_tail() const { return next_ < size_; }
  Result<std::optional<uint64_t>> FirstNonZeroInTail();

 private:
  EntryReader(std::shared_ptr<const File> file, std::string path, uint64_t size, size_t entry_bytes)
      : file_(std::move(file)), path_(std::move(path)), size_(size), entry_bytes_(entry_bytes) {}
  Status Fill();

  std::shared_ptr<const File> file_;
  std::string path_;
  uint64_t size_;
  size_t entry_bytes_;
  uint64_t next_ = 0;
  std::string buffer_;  // file bytes from buffer_position_ on
  uint64_t buffer_position_ = 0;
};

struct OffsetEntry {
  Offset offset;
  int64_t position = 0;  // negative only in a damaged file
};
struct TimeEntry {
  int64_t timestamp_ms = -1;
  Offset offset;
};
struct TxnEntry {
  int16_t version = 0;
  ProducerId producer_id = kNoProducer;
  Offset first_offset;
  Offset last_offset;  // the marker's
  Offset last_stable_offset;
  friend bool operator==(const TxnEntry&, const TxnEntry&) = default;
};

OffsetEntry DecodeOffsetEntry(std::string_view bytes, Offset base);
TimeEntry DecodeTimeEntry(std::string_view bytes, Offset base);
TxnEntry DecodeTxnEntry(std::string_view bytes);
void EncodeTo(std::string& out, const OffsetEntry& entry, Offset base);
void EncodeTo(std::string& out, const TimeEntry& entry, Offset base);
void EncodeTo(std::string& out, const TxnEntry& entry);

}  // namespace sluice::storage
