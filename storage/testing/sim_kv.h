#pragma once
// SimKvDisk: the simulated twin of the key-value store's files. A Kv opened on it starts from what
// was flushed last; what was written since is gone when the Kv is destroyed, as after a crash.
// Flushes may also come by themselves, as RocksDB's do.
//
// Thread rule: one thread.

#include <functional>
#include <map>
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

  struct Content;

 private:
  std::shared_ptr<std::map<std::string, Content>>
      directories_;  // what is durable, shared with the open stores
};

}  // namespace sluice::storage::testing
