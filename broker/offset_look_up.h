#pragma once
// LookUpOffsets: where partitions that this broker leads begin and end, which offset stands for a
// time, and what the time of the record at an offset is. For the admin service: lag in seconds, and
// resets by time.
//
// Thread rule: from any thread; `done` runs once, on a worker or on the background loop.

#include <functional>
#include <optional>
#include <vector>

#include "base/event_loop.h"
#include "broker/replica/replica_manager.h"

namespace sluice::broker {

struct OffsetQuestion {
  PartitionKey key;
  std::optional<int64_t> time_ms;  // asks for the first record of that time or later
  std::optional<Offset> offset;    // asks for the time of the first record there or above
};

struct OffsetAnswer {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;  // else nothing below is known
  Offset log_start{-1};
  Offset log_end{-1};  // the high watermark
  std::optional<Offset> time_offset;
  std::optional<int64_t> record_time_ms;
};

using OffsetAnswers = std::function<void(std::vector<OffsetAnswer>)>;

// `background`: may wait for the disk, as a record's batch is read there. Both outlive the call.
void LookUpOffsets(ReplicaManager& replicas, EventLoop& background,
                   std::vector<OffsetQuestion> questions, OffsetAnswers done);

// The timestamp of the first record at `from` or above and below the high watermark; nullopt when
// there is none, or it cannot be read. May wait for the disk.
std::optional<int64_t> FirstRecordTime(ReplicaManager& replicas, const PartitionKey& key,
                                       Offset from);

}  // namespace sluice::broker
