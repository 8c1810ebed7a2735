#pragma once
// How a Raft entry lies in the metadata log: one record batch with one record. A batch's CRC covers
// neither its offset nor its leader epoch, so the value repeats both, and carries the checksum of
// the value before it: a batch that was moved, or that belongs to another history, is found out
// (docs/formats/raft_log.md).
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
EncodedEntry EncodeEntry(const raft::Entry& entry, uint32_t previous_chain, int64_t timestamp_ms);

struct DecodedEntry {
  raft::Entry entry;
  uint32_t previous_chain = kNoChain;
  uint32_t chain = kNoChain;
};
// kCorruption when the batch is not an entry, or its header contradicts its value.
Result<DecodedEntry> DecodeEntry(const kafka::RecordBatchView& batch);

}  // namespace sluice::controller
