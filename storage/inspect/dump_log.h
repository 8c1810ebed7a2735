#pragma once
// DumpLog: the batches and records of one .log file as rows (dump.h).
//
// Thread rule: as FileSystem.

#include <string>

#include "storage/inspect/dump.h"

namespace sluice::storage {

Status DumpLog(FileSystem& fs, const std::string& path, const DumpOptions& options,
               const DumpTo& to);

}  // namespace sluice::storage
