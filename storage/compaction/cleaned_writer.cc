#include "storage/compaction/cleaned_writer.h"

#include "base/bytes.h"
#include "storage/file_names.h"
#include "storage/segment.h"

namespace sluice::storage {
namespace {

constexpr size_t kLogBufferBytes = 4u << 20;
constexpr uint64_t kUnsyncedBytesMax = 32u << 20;
constexpr size_t kIndexBufferBytes = 64u << 10;
constexpr int16_t kTxnIndexVersion = 0;

}  // namespace

Status CleanedWriter::Output::Append(std::string_view bytes, size_t buffer_bytes_max) {
  buffer.append(bytes);
  size += bytes.size();
  return buffer.size() < buffer_bytes_max ? Status::Ok() : Flush();
}

Status CleanedWriter::Output::Flush() {
  if (buffer.empty()) return Status::Ok();
  SLUICE_RETURN_IF_ERROR(file->WriteAt(size - buffer.size(), buffer));
  buffer.clear();
  // A little at a time: others sync their files on the same disk.
  if (size - synced < kUnsyncedBytesMax) return Status::Ok();
  return Sync();
}

Status CleanedWriter::Output::Sync() {
  SLUICE_RETURN_IF_ERROR(file->Sync());
  if (leaves_memory) file->WontRead(synced, size - synced);
  synced = size;
  return Status::Ok();
}

CleanedWriter::CleanedWriter(const Options& options)
    : options_(options), max_timestamp_offset_(options.base) {}

CleanedWriter::~CleanedWriter() {
  if (kept_) return;
  for (Output* output : {&log_, &index_, &time_index_, &txn_index_}) {
    if (output->file == nullptr) continue;
    output->file.reset();
    // What stays is removed at the next start.
    if (Status removed = options_.file_system->Remove(output->path); !removed.ok())
      VLOG(1) << removed.ToString();
  }
}

Result<std::unique_ptr<CleanedWriter>> CleanedWriter::Create(const Options& options) {
  std::unique_ptr<CleanedWriter> writer(new CleanedWriter(options));
  SLUICE_RETURN_IF_ERROR(writer->Open(writer->log_, kLogSuffix));
  SLUICE_RETURN_IF_ERROR(writer->Open(writer->index_, kIndexSuffix));
  SLUICE_RETURN_IF_ERROR(writer->Open(writer->time_index_, kTimeIndexSuffix));
  return writer;
}

Status CleanedWriter::Open(Output& output, std::string_view suffix) {
  output.path = options_.directory + "/" + OffsetFileName(options_.base, suffix) +
                std::string(kCleanedSuffix);
  SLUICE_ASSIGN_OR_RETURN(output.file,
                          options_.file_system->Open(output.path, OpenMode::kCreateTruncate));
  return Status::Ok();
}

Status CleanedWriter::Add(const BatchHeader& header, std::string_view bytes) {
  const uint64_t position = log_.size;
  if (position + bytes.size() > Segment::kBytesMax) {
    return Status::ResourceExhausted(log_.path + " would grow beyond " +
                                     std::to_string(Segment::kBytesMax) + " bytes");
  }
  if (header.max_timestamp_ms > max_timestamp_ms_) {
    max_timestamp_ms_ = header.max_timestamp_ms;
    max_timestamp_offset_ = header.last_offset;
  }
  SLUICE_RETURN_IF_ERROR(log_.Append(bytes, kLogBufferBytes));
  if (bytes_since_index_ > static_cast<uint64_t>(options_.index_interval_bytes)) {
    char entry[8];
    StoreBigEndian(entry, static_cast<int32_t>(header.last_offset - options_.base));
    StoreBigEndian(entry + 4, static_cast<int32_t>(position));
    SLUICE_RETURN_IF_ERROR(index_.Append({entry, sizeof entry}, kIndexBufferBytes));
    SLUICE_RETURN_IF_ERROR(AppendTime());
    bytes_since_index_ = 0;
  }
  bytes_since_index_ += bytes.size();
  return Status::Ok();
}

Status CleanedWriter::AppendTime() {
  if (max_timestamp_ms_ <= indexed_timestamp_ms_) return Status::Ok();
  char entry[12];
  StoreBigEndian(entry, max_timestamp_ms_);
  StoreBigEndian(entry + 8, static_cast<int32_t>(max_timestamp_offset_ - options_.base));
  indexed_timestamp_ms_ = max_timestamp_ms_;
  return time_index_.Append({entry, sizeof entry}, kIndexBufferBytes);
}

Status CleanedWriter::AddAborted(const std::vector<AbortedTransaction>& spans) {
  for (const AbortedTransaction& span : spans) {
    if (txn_index_.file == nullptr) SLUICE_RETURN_IF_ERROR(Open(txn_index_, kTxnIndexSuffix));
    char entry[34];
    StoreBigEndian(entry, kTxnIndexVersion);
    StoreBigEndian(entry + 2, span.producer_id.value());
    StoreBigEndian(entry + 10, span.first_offset.value());
    StoreBigEndian(entry + 18, span.last_offset.value());
    StoreBigEndian(entry + 26, span.last_stable_offset.value());
    SLUICE_RETURN_IF_ERROR(txn_index_.Append({entry, sizeof entry}, kIndexBufferBytes));
  }
  return Status::Ok();
}

Status CleanedWriter::Finish() {
  // Forced, as at a roll: the last entry tells the segment's largest timestamp.
  SLUICE_RETURN_IF_ERROR(AppendTime());
  for (Output* output : {&log_, &index_, &time_index_, &txn_index_}) {
    if (output->file == nullptr) continue;
    SLUICE_RETURN_IF_ERROR(output->Flush());
    SLUICE_RETURN_IF_ERROR(output->Sync());
  }
  return options_.file_system->SyncDirectory(options_.directory);
}

}  // namespace sluice::storage
