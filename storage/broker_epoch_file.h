#pragma once
// "broker-epoch" in a log directory: the epoch of the last registration whose broker could use it.
// A broker writes it, durably, before it asks to be taken into service, so that a directory which
// tells of an older epoch than the last one that was in service is an older copy of a disk: a
// snapshot of a virtual machine, a restored backup (reliability.md, D14). The clean-shutdown marker
// tells so only of copies that were stopped cleanly.
//
// It is written over in place, twenty digits in one sector: a full disk has room for that. Where a
// file system has none all the same (it may copy what is written over), the file goes away.
//
// Thread rule: as FileSystem.

#include <string>

#include "base/file_system.h"
#include "base/ids.h"
#include "base/status.h"

namespace sluice::storage {

inline constexpr char kBrokerEpochName[] = "broker-epoch";

// -1 where there is none: an older version has used the directory, or nobody.
Result<int64_t> ReadBrokerEpoch(FileSystem& fs, const std::string& directory);
// Durably. OK also where a full disk has no room: then there is no such file afterwards.
Status KeepBrokerEpoch(FileSystem& fs, const std::string& directory, BrokerEpoch epoch);

}  // namespace sluice::storage
