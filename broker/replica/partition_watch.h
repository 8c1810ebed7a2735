#pragma once
// PartitionWatch: lets an observer follow one replica, in whatever role: a view that is derived
// from its records, a coordinator that leads while the broker does. It is told that something has
// changed, at most once until it looks; what there is to see it reads then, so that no order of
// calls matters.
//
// Thread rule: its partition's mutex guards it. The observer is called with no lock held.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/output_chain.h"
#include "kafka/error_code.h"
#include "storage/lacking.h"

namespace sluice::broker {

struct PartitionEffects;
struct PartitionKey;

// Told of replicas of one topic; cheap, from any thread.
using PartitionObserver = std::function<void(const PartitionKey&)>;

// A replica as an observer finds it.
struct LocalState {
  bool usable = false;  // its log is not offline
  bool is_leader = false;
  LeaderEpoch leader_epoch = kNoEpoch;
  Offset epoch_start{0};  // of a leader: its log's end when it became that
  Offset high_watermark{0};
  Offset log_start{0};
  // The lowest end that the log has had since the observer last looked, or was opened: what was
  // read from there on may be another record now.
  Offset lowest_end{INT64_MAX};
};

// What ReplicaManager::ReadLocal found.
struct LocalRead {
  kafka::ErrorCode error = kafka::ErrorCode::kNone;
  std::vector<FileSlice> records;  // whole batches, from the one that holds the offset on
  size_t size_bytes = 0;
  storage::Lacking lacking;  // as FetchEntryResult's
};

class PartitionWatch {
 public:
  // Neither is owned; without a call nobody watches.
  void Start(const PartitionObserver* observer, const PartitionKey* key) {
    observer_ = observer;
    key_ = key;
  }
  // Something has changed.
  void Note(PartitionEffects& effects) {
    if (observer_ != nullptr) Tell(effects);
  }
  // The log ends at `end`, having been cut or opened.
  void NoteEnd(Offset end) { lowest_end_ = std::min(lowest_end_, end); }
  // The observer looks: the next change is told again.
  Offset Look() {
    told_ = false;
    return std::exchange(lowest_end_, Offset(INT64_MAX));
  }

 private:
  void Tell(PartitionEffects& effects);

  const PartitionObserver* observer_ = nullptr;
  const PartitionKey* key_ = nullptr;
  bool told_ = false;
  Offset lowest_end_{INT64_MAX};
};

}  // namespace sluice::broker
