#pragma once
// CleanedWriter: writes the files of one compacted segment under their .cleaned names: the log in
// large pieces, and its indexes by the rule of Segment::Note, so that they are what a scan would
// build.
//
// Thread rule: one owner.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "storage/batch_header.h"
#include "storage/compaction/transactions.h"

namespace sluice::storage {

class CleanedWriter {
 public:
  struct Options {
    FileSystem* file_system = nullptr;  // not owned
    std::string directory;
    Offset base;
    int32_t index_interval_bytes = 4096;
  };
  static Result<std::unique_ptr<CleanedWriter>> Create(const Options& options);
  // Removes the files, unless they were kept.
  ~CleanedWriter();

  // Adds a batch; `header` is that of `bytes`.
  Status Add(const BatchHeader& header, std::string_view bytes);
  Status AddAborted(const std::vector<AbortedTransaction>& spans);
  // Whether what is written from now on leaves the memory once it is synced: nobody reads there.
  void set_leaves_memory(bool leaves) { log_.leaves_memory = leaves; }
  // Writes everything out, syncs the files and their names.
  Status Finish();
  // The log has taken them.
  void Keep() { kept_ = true; }
  uint64_t size_bytes() const { return log_.size; }
  bool has_txn_index() const { return txn_index_.file != nullptr; }

 private:
  // A file that grows at its end, a piece at a time.
  struct Output {
    std::string path;
    std::shared_ptr<File> file;
    uint64_t size = 0;  // with what is buffered
    uint64_t synced = 0;
    bool leaves_memory = false;
    std::string buffer;
    Status Append(std::string_view bytes, size_t buffer_bytes_max);
    Status Flush();
    Status Sync();
  };

  explicit CleanedWriter(const Options& options);
  Status Open(Output& output, std::string_view suffix);
  Status AppendTime();

  const Options options_;
  Output log_;
  Output index_;
  Output time_index_;
  Output txn_index_;
  uint64_t bytes_since_index_ = 0;
  int64_t max_timestamp_ms_ = -1;
  Offset max_timestamp_offset_;
  int64_t indexed_timestamp_ms_ = -1;
  bool kept_ = false;
};

}  // namespace sluice::storage
