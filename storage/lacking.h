#pragma once
// Lacking: what an operation of a log that must not wait for the disk needs first
// (Log::set_lacking). The caller has it done by somebody who may wait, without the log's guard, and
// asks again.
//
// Thread rule: one owner; a Mending may be run by any thread.

#include <memory>

#include "base/output_chain.h"

namespace sluice::storage {

// Work for a log that reads much, waits for the disk, and needs nothing that the guard protects.
// The log looks at what came of it when it is asked again.
class Mending {
 public:
  virtual ~Mending() = default;
  // Does it, once: whoever comes later waits for the first and does nothing.
  virtual void Run() = 0;
};

struct Lacking {
  FileSlice slice;                   // to be read into memory
  bool passing = false;              // the slice is of what its reader is sent next
  std::shared_ptr<Mending> mending;  // or to be run
  bool any() const { return slice.file != nullptr || mending != nullptr; }
};

}  // namespace sluice::storage
