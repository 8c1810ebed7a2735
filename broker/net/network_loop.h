#pragma once
// NetworkLoop: an EventLoop whose thread also serves sockets, so that what a peer has sent is acted
// upon by the thread that read it, and no other has to be woken. Asio objects that are made with
// io() call back on it.
//
// Thread rule: EventLoop's; io() from any thread. Objects made with io() go before the loop does;
// coroutines that wait for it are destroyed with it.

#include <memory>
#include <string>

#include "base/event_loop.h"

namespace boost::asio {
class io_context;
}

namespace sluice::broker {

class NetworkLoop final : public EventLoop {
 public:
  // `name`: at most 15 characters, shown by top and gdb. `clock` must outlive the loop.
  NetworkLoop(const std::string& name, const Clock& clock);
  ~NetworkLoop() override;

  void Post(Task task) override;
  TimerId RunAfter(int64_t delay_ms, Task task) override;
  void Cancel(TimerId id) override;
  bool InLoopThread() const override;
  const Clock& clock() const override;
  // What has not run is dropped; joins. Not from a task.
  void Stop();

  boost::asio::io_context& io();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::broker
