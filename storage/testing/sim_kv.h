#pragma once
// SimKvDisk: the simulated twin of the key-value store's files. A Kv opened on it starts from what
// was flushed last; what was written since is gone when the Kv is destroyed, as after a crash.
// Flushes may also come by themselves, as RocksDB's do, and fail.
//
// Thread rule: one thread.

#include <functional>
#include <memory>
#include <string>

#include "storage/kv.h"

namespace sluice::storage::testing {

class SimKvDisk {
 public:
  SimKvDisk();
  ~SimKvDisk();

  // `flush_by_itself` is asked after each write; empty for never.
  Result<std::unique_ptr<Kv>> Open(const KvOptions& options,
                                   std::function<bool()> flush_by_itself = {});

  // From now on each flush has this outcome. After one that failed, writes are refused.
  void FailFlushes(const Status& outcome);
  // From now on entries are read with this outcome.
  void FailReads(const Status& outcome);

  struct Content;
  struct Shared;

 private:
  std::shared_ptr<Shared> shared_;  // with the open stores
};

}  // namespace sluice::storage::testing
