#pragma once
// Processes and ports of this machine, as `sluice dev` needs them: start one that outlives its
// starter, tell whether it still is the same one, probe a port.
//
// Thread rule: plain functions over system calls.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice::cli {

// A process that cannot be confused with a later one of the same pid.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
};

// Starts `arguments[0]` in a session of its own, stdin from /dev/null, stdout and stderr appended
// to `log_path`.
Result<ProcessId> SpawnDetached(const std::vector<std::string>& arguments,
                                const std::string& log_path);
bool IsAlive(const ProcessId& process);
bool IsPaused(const ProcessId& process);
// The path of the running program.
std::string OwnProgram();
bool PortIsFree(int port);
// Status code of GET `path` on 127.0.0.1:`port`; nullopt when there is no answer within
// `timeout_ms`.
std::optional<int> HttpGetStatus(int port, const std::string& path, int timeout_ms);
void SleepMs(int ms);

}  // namespace sluice::cli
