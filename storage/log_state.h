#pragma once
// LogState: what recovery finds in a log's directory, and a LogImpl starts from. Private to
// storage/.
//
// Thread rule: plain data.

#include <memory>
#include <set>
#include <vector>

#include "storage/epoch_cache.h"
#include "storage/log.h"
#include "storage/producer_state.h"
#include "storage/segment.h"
#include "storage/txn_index.h"

namespace sluice::storage {

struct LogState {
  std::unique_ptr<SegmentHome> home;  // of all segments
  std::vector<std::unique_ptr<Segment>> segments;
  std::unique_ptr<TxnIndexes> txn_indexes;
  EpochCache epochs;
  ProducerState producers;
  Offset log_start;
  Offset flushed;
  Offset scanned_from{
      INT64_MAX};  // segments from here on were read whole, and their indexes built in memory
  std::set<Offset> lost;            // bases of segments whose indexes alone were found
  Offset unsynced_from{INT64_MAX};  // segments from here on are not known to be durable
  bool epochs_changed = false;      // the file must be written again
  bool directory_created = false;
  bool later = false;  // segments, epochs and producers are still to be read
  RecoveryReport report;
};

}  // namespace sluice::storage
