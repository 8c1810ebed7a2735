#include "storage/inspect/dump.h"

#include "storage/epoch_cache.h"
#include "storage/file_names.h"
#include "storage/inspect/directory_facts.h"
#include "storage/inspect/dump_log.h"
#include "storage/inspect/entry_reader.h"
#include "storage/log_directory.h"
#include "storage/meta_properties.h"
#include "storage/offset_index.h"
#include "storage/partition_metadata.h"
#include "storage/producer_state.h"
#include "storage/time_index.h"

namespace sluice::storage {
namespace {

constexpr const char* kCheckpointNames[] = {kRecoveryPointCheckpointName,
                                            kHighWatermarkCheckpointName, kLogStartCheckpointName,
                                            kCleanerCheckpointName, kDamageCheckpointName};

// Of an index file: hands each entry to `print`, then tells of what stands behind the entries.
template <typename Print>
Status DumpEntries(FileSystem& fs, const std::string& path, size_t entry_bytes, const DumpTo& to,
                   Print print) {
  SLUICE_ASSIGN_OR_RETURN(auto reader, EntryReader::Open(fs, path, entry_bytes));
  if (!reader) return Status::NotFound(path + " does not exist");
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const std::string_view bytes, reader->Next());
    if (bytes.empty()) break;
    print(bytes);
  }
  if (!reader->has_tail()) return Status::Ok();
  SLUICE_ASSIGN_OR_RETURN(const auto behind, reader->FirstNonZeroInTail());
  const auto end = static_cast<int64_t>(reader->end_position());
  if (behind) {
    to({"damage",
        {{"position", static_cast<int64_t>(*behind)},
         {"problem", std::string("bytes behind a hole of zeros, or of a torn entry")}}});
  } else {
    to({"zeros", {{"position", end}, {"bytes", static_cast<int64_t>(reader->size_bytes()) - end}}});
  }
  return Status::Ok();
}

Status DumpOffsetIndex(FileSystem& fs, const std::string& path, Offset base, const DumpTo& to) {
  return DumpEntries(fs, path, OffsetIndex::kEntryBytes, to, [&](std::string_view bytes) {
    const OffsetEntry entry = DecodeOffsetEntry(bytes, base);
    to({"index", {{"offset", entry.offset.value()}, {"position", entry.position}}});
  });
}

Status DumpTimeIndex(FileSystem& fs, const std::string& path, Offset base, const DumpTo& to) {
  return DumpEntries(fs, path, TimeIndex::kEntryBytes, to, [&](std::string_view bytes) {
    const TimeEntry entry = DecodeTimeEntry(bytes, base);
    to({"time_index", {{"timestamp_ms", entry.timestamp_ms}, {"offset", entry.offset.value()}}});
  });
}

Status DumpTxnIndex(FileSystem& fs, const std::string& path, const DumpTo& to) {
  return DumpEntries(fs, path, kTxnEntryBytes, to, [&](std::string_view bytes) {
    const TxnEntry entry = DecodeTxnEntry(bytes);
    to({"aborted_transaction",
        {{"version", int64_t{entry.version}},
         {"producer_id", entry.producer_id.value()},
         {"first_offset", entry.first_offset.value()},
         {"last_offset", entry.last_offset.value()},
         {"last_stable_offset", entry.last_stable_offset.value()}}});
  });
}

Status DumpSnapshot(std::string_view bytes, const DumpTo& to) {
  SLUICE_ASSIGN_OR_RETURN(const ProducerState state, ProducerState::DecodeSnapshot(bytes));
  for (const auto& [id, entry] : state.producers()) {
    const ProducerBatch last =
        entry.last_batch() == nullptr ? ProducerBatch() : *entry.last_batch();
    to({"producer",
        {{"producer_id", id.value()},
         {"producer_epoch", int64_t{entry.epoch}},
         {"last_sequence", int64_t{last.last_sequence}},
         {"last_offset", last.last_offset.value()},
         {"offset_delta", int64_t{last.offset_delta}},
         {"timestamp_ms", entry.last_timestamp_ms},
         {"coordinator_epoch", int64_t{entry.coordinator_epoch}},
         {"transaction_first_offset", entry.transaction_first_offset}}});
  }
  return Status::Ok();
}

Status DumpEpochs(std::string_view text, const DumpTo& to) {
  SLUICE_ASSIGN_OR_RETURN(const EpochCache epochs, EpochCache::Parse(text));
  for (const EpochCache::Entry& entry : epochs.entries()) {
    to({"epoch", {{"epoch", int64_t{entry.epoch.value()}}, {"start_offset", entry.start.value()}}});
  }
  return Status::Ok();
}

Status DumpOffsets(std::string_view text, const DumpTo& to) {
  SLUICE_ASSIGN_OR_RETURN(const OffsetCheckpoint offsets, ParseOffsetCheckpoint(text));
  for (const auto& [partition, offset] : offsets) {
    to({"checkpoint",
        {{"topic", partition.topic},
         {"partition", int64_t{partition.partition.value()}},
         {"offset", offset.value()}}});
  }
  return Status::Ok();
}

Status DumpIdentity(std::string_view text, const DumpTo& to) {
  SLUICE_ASSIGN_OR_RETURN(const DirectoryIdentity identity, ParseMetaProperties(text));
  to({"directory",
      {{"cluster_id", identity.cluster_id},
       {"node_id", int64_t{identity.node_id.value()}},
       {"directory_id", identity.directory_id.ToString()}}});
  return Status::Ok();
}

Status DumpTopicId(std::string_view text, const DumpTo& to) {
  SLUICE_ASSIGN_OR_RETURN(const TopicId id, ParsePartitionMetadata(text));
  to({"partition", {{"topic_id", id.ToString()}}});
  return Status::Ok();
}

using DumpText = Status (*)(std::string_view, const DumpTo&);

// What reads a file that is small enough to be read at once; null for any other name.
DumpText SmallFileDump(std::string_view name) {
  if (ParseOffsetFileName(name, kSnapshotSuffix)) return DumpSnapshot;
  if (name == kEpochCheckpointName) return DumpEpochs;
  if (name == kPartitionMetadataName) return DumpTopicId;
  if (name == kMetaPropertiesName) return DumpIdentity;
  for (const char* checkpoint : kCheckpointNames) {
    if (name == checkpoint) return DumpOffsets;
  }
  return nullptr;
}

bool IsDumpable(std::string_view name) {
  for (const std::string_view suffix :
       {kLogSuffix, kIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix}) {
    if (ParseOffsetFileName(name, suffix)) return true;
  }
  return SmallFileDump(name) != nullptr;
}

}  // namespace

Status DumpFile(FileSystem& fs, const std::string& path, const DumpOptions& options,
                const DumpTo& to) {
  if (!fs.Exists(path)) return Status::NotFound(path + " does not exist");
  const std::string name = NameOf(path);
  if (ParseOffsetFileName(name, kLogSuffix)) return DumpLog(fs, path, options, to);
  if (const auto base = ParseOffsetFileName(name, kIndexSuffix))
    return DumpOffsetIndex(fs, path, *base, to);
  if (const auto base = ParseOffsetFileName(name, kTimeIndexSuffix))
    return DumpTimeIndex(fs, path, *base, to);
  if (ParseOffsetFileName(name, kTxnIndexSuffix)) return DumpTxnIndex(fs, path, to);
  const DumpText dump = SmallFileDump(name);
  if (dump == nullptr) return Status::Unsupported("no file of a log directory is called " + name);
  SLUICE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs, path));
  const Status dumped = dump(bytes, to);
  return dumped.ok() ? dumped : Status(dumped.code(), path + ": " + dumped.message());
}

Result<std::vector<std::string>> DumpableFiles(FileSystem& fs, const std::string& directory) {
  std::vector<std::string> files;
  SLUICE_ASSIGN_OR_RETURN(const auto names, fs.List(directory));
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    if (IsDumpable(name)) {
      files.push_back(path);
    } else if (ParseDirectoryName(name) && fs.IsDirectory(path)) {
      SLUICE_ASSIGN_OR_RETURN(const auto below, fs.List(path));
      for (const std::string& file : below) {
        if (IsDumpable(file)) files.push_back(path + "/" + file);
      }
    }
  }
  return files;
}

}  // namespace sluice::storage
