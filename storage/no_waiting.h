#pragma once
// NoWaiting: a span of a log's life in which its reads wait for no disk.
//
// Thread rule: under the log's guard.

#include "storage/log.h"

namespace sluice::storage {

// While it lives, reads of `log` fail rather than wait for the disk: see Log::set_lacking. With a
// null `lacking` they wait.
class NoWaiting {
 public:
  NoWaiting(Log& log, Lacking* lacking) : log_(log) { log_.set_lacking(lacking); }
  ~NoWaiting() { log_.set_lacking(nullptr); }
  NoWaiting(const NoWaiting&) = delete;
  NoWaiting& operator=(const NoWaiting&) = delete;

 private:
  Log& log_;
};

}  // namespace sluice::storage
