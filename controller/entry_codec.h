#pragma once
// How a Raft entry lies in the metadata log: one record batch with one record. A batch's CRC covers
// neither its offset nor its leader epoch, so the value repeats both, and carries the checksum of
// the value before it: a batch that was moved, or that belongs to another history, is found out.
// The record's key says how far the log had been synced when the entry was written: the same entry
// may have other keys on other voters (docs/formats/raft_log.md).
//
// Thread rule: pure functions.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "kafka/record_batch.h"
#include "raft/types.h"

namespace sluice::controller {

// Where the first entry after a snapshot has nothing before it in the log.
inline constexpr uint32_t kNoChain = 0;

struct EncodedEntry {
  std::string batch;
  uint32_t chain = kNoChain;  // the next entry's `previous_chain`
};
struct EntryContext {
  uint32_t previous_chain = kNoChain;
  int64_t timestamp_ms = 0;
  LogIndex synced_end{0};  // entries below it are durable by now
};
EncodedEntry EncodeEntry(const raft::Entry& entry, const EntryContext& context);

struct DecodedEntry {
  raft::Entry entry;
  uint32_t previous_chain = kNoChain;
  uint32_t chain = kNoChain;
  LogIndex synced_end{0};  // when it was written; 0: it does not tell
};
// kCorruption when the batch is not an entry, or its header contradicts its value.
Result<DecodedEntry> DecodeEntry(const kafka::RecordBatchView& batch);

}  // namespace sluice::controller
