#include "broker/disk_testimony.h"

#include <glog/logging.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace sluice::broker {

void TellOfDisks(const storage::LogDirectories& logs, BrokerLifecycleOptions& options) {
  // The controllers judge by topic what a stop without the marker and another boot id mean; a
  // damaged log has lost bytes in any case.
  for (const auto& [partition, why] : logs.DamagedLogs()) {
    if (why.code() != StatusCode::kDiskFull) options.damaged.push_back(partition);
  }
  // Without its records a replica must not lead those that have them.
  for (const storage::TopicPartition& partition : logs.MissingLogs()) {
    LOG(WARNING) << "partition " << partition.ToString()
                 << ": its directory is gone, though the checkpoints know of records in it. If the "
                    "partition still exists, this replica is copied anew from its leader; where it "
                    "was the only one, the records are lost unless the directory comes back before "
                    "this node starts";
    options.damaged.push_back(partition);
  }
  // Nobody uses these before the registration.
  for (const storage::TopicPartition& partition : logs.Partitions()) {
    const auto log = logs.Find(partition);
    if (log != nullptr && !log->known_damage().ok()) options.damaged.push_back(partition);
  }
  const std::vector<storage::DirectoryPtr>& directories = logs.directories();
  if (directories.size() > 1) options.directories = directories;
  options.disks = directories;
  options.registration.set_keeps_epoch(true);
  // The oldest of what the directories tell.
  std::optional<int64_t> previous_epoch;
  std::optional<int64_t> kept_epoch;
  for (const storage::DirectoryPtr& directory : directories) {
    if (!directory->online()) continue;
    const storage::ShutdownState& last = directory->last_shutdown();
    const int64_t epoch = last.clean ? last.broker_epoch : -1;
    previous_epoch = std::min(previous_epoch.value_or(epoch), epoch);
    kept_epoch = std::min(kept_epoch.value_or(last.kept_epoch), last.kept_epoch);
  }
  options.kept_broker_epoch = kept_epoch.value_or(-1);
  options.previous_broker_epoch = previous_epoch.value_or(-1);
}

Status CloseDisks(storage::LogDirectories& logs,
                  const std::map<storage::TopicPartition, Offset>& high_watermarks, int64_t epoch,
                  bool registration_open) {
  // A start that never got as far as to register leaves the marker as it was found, so that the
  // next one tells the same of the past.
  //
  // The controllers may have the registration that they did not answer: a marker with the epoch
  // before it would tell them of an older copy of the disk. Without one the next start only scans.
  return logs.CloseCleanly(high_watermarks, [&](const storage::DirectoryState& directory) {
    std::optional<BrokerEpoch> told;
    if (!registration_open)
      told.emplace(epoch >= 0 ? epoch : directory.last_shutdown().broker_epoch);
    return told;
  });
}

}  // namespace sluice::broker
