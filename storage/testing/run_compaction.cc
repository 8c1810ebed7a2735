#include "storage/testing/run_compaction.h"

namespace sluice::storage::testing {

Status RunCompaction(CompactionRun& run, Log& log, FileSystem& fs, const std::string& directory) {
  constexpr size_t kStepBytes = 300;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const auto progress, run.Step(kStepBytes));
    if (progress == CompactionRun::Progress::kDone) return Status::Ok();
    if (progress != CompactionRun::Progress::kSegmentReady) continue;
    SLUICE_RETURN_IF_ERROR(log.CommitCompaction(run.ready()));
    run.OnCommitted();
    SLUICE_RETURN_IF_ERROR(fs.SyncDirectory(directory));
  }
}

}  // namespace sluice::storage::testing
