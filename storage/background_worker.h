#pragma once
// BackgroundWorker: one thread for work that nobody waits for, as removing large files. Started at
// the first task; what has not run when it is destroyed is dropped, so tasks must be such that the
// next start of the process makes up for them.
//
// Thread rule: thread-safe.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace sluice::storage {

class BackgroundWorker {
 public:
  ~BackgroundWorker();
  void Post(std::function<void()> task);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
  bool stopping_ = false;                    // guarded by mutex_
  std::thread thread_;                       // guarded by mutex_ until the destructor
};

}  // namespace sluice::storage
