#include "base/thread_priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice {

void LowerThreadPriority() {
  constexpr int kNice = 10;
  // On Linux a thread has its own nice value, under its own id.
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  if (::setpriority(PRIO_PROCESS, thread, kNice) != 0) return;
#ifdef SYS_ioprio_set
  constexpr int kWhoProcess = 1;
  constexpr int kBestEffortLowest = (2 << 13) | 7;
  (void)::syscall(SYS_ioprio_set, kWhoProcess, thread, kBestEffortLowest);
#endif
}

}  // namespace sluice
