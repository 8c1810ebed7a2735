#pragma once
// What this broker's disks say of its past, when it registers with the controllers, and what a stop
// leaves on them for the next start to say.
//
// Thread rule: functions; nobody uses the logs meanwhile.

#include <cstdint>
#include <map>

#include "base/status.h"
#include "broker/broker_lifecycle.h"
#include "storage/log_directories.h"

namespace sluice::broker {

// Fills in what was damaged, which directories there are, the epochs of their clean-shutdown
// markers and those that they hold. REQUIRES: options.keep_epoch puts the next one there.
void TellOfDisks(const storage::LogDirectories& logs, BrokerLifecycleOptions& options);

// Closes all logs with a marker. `epoch`: of the registration, -1 when there was none;
// `registration_open`: the controllers may have another one.
Status CloseDisks(storage::LogDirectories& logs,
                  const std::map<storage::TopicPartition, Offset>& high_watermarks, int64_t epoch,
                  bool registration_open);

}  // namespace sluice::broker
