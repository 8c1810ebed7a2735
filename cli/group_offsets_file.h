#pragma once
// The file that `sluice group offsets export` and the undo of a reset write, and that `import`
// takes: a group's committed offsets as JSON.
//
//   {"group":"billing","saved":"2026-11-21T09:30:00.123Z","offsets":[
//     {"topic":"orders","partition":0,"offset":47,"leader_epoch":3,"metadata":""}]}
//
// An offset of null says that nothing is committed: import deletes what is.
//
// Thread rule: functions.

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "proto/admin.pb.h"

namespace sluice::cli {

struct OffsetsFile {
  std::string group;
  std::vector<admin::GroupOffset> offsets;
};

std::string FormatOffsetsFile(const OffsetsFile& file, const std::string& saved);
// `path`: "-" reads standard input.
Result<OffsetsFile> ReadOffsetsFile(FileSystem& fs, const std::string& path);
// Never over a file that is there: it may be somebody's only undo.
Status WriteNewFile(FileSystem& fs, const std::string& path, const std::string& text);

}  // namespace sluice::cli
