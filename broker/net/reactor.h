#pragma once
// Reactor: one io_context with one thread, and the connections that live on it. Other threads reach
// a connection only through the reactor's Mailbox, by the connection's number, so that a late reply
// to a closed connection is simply dropped.
//
// Thread rule: everything on the reactor's thread but the Mailbox, Start, Stop and Adopt. Included
// by broker/net/*.cc only, since Asio is slow to compile.

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "broker/net/frame.h"
#include "broker/net/server.h"

namespace sluice::broker {

class Connection;
class Reactor;

// Messages to connections of one reactor; outlives it.
class Mailbox {
 public:
  using Task = std::function<void(Connection&)>;

  explicit Mailbox(Reactor& reactor) : reactor_(&reactor) {}
  // Runs `task` on the reactor if the connection still exists: at once when called on its thread.
  // Wakes the reactor once for all that gathers until it looks.
  void Send(uint64_t connection, Task task);
  // A hint: whether the reactor waits for something to happen, so that to reach it is to wake it.
  bool asleep() const { return asleep_.load(std::memory_order_relaxed); }

 private:
  friend class Reactor;
  struct Mail {
    uint64_t connection;
    Task task;
  };
  std::vector<Mail> TakeAll();
  void Close();

  std::atomic<bool> asleep_ = true;
  std::mutex mutex_;  // guards all below
  Reactor* reactor_;  // null once closed
  std::vector<Mail> mails_;
};

// What all reactors of a server share.
struct ServerShared {
  ServerOptions options;
  std::shared_ptr<MemoryBudget> budget;
  ConnectionCounter* counter = nullptr;
};

// A connection that was counted and waits for its reactor.
struct AcceptedSocket {
  boost::asio::ip::tcp::socket socket;
  std::string listener;
  std::string ip;            // as counted
  std::string peer_address;  // with the port
};

class Reactor {
 public:
  static constexpr size_t kScratchBytes = FramePool::kStepBytes;

  Reactor(const ServerShared& shared, int index);
  ~Reactor();
  void Start();
  // From any thread: takes over an accepted socket whose executor is this reactor's.
  void Adopt(AcceptedSocket accepted);
  // From any thread: connections read no more and close when all they owe is written.
  void Drain();
  // From any thread: Server::CloseIdle.
  void CloseIdle(std::function<bool(const ConnectionInfo&)> which, int64_t until_ms);
  // From another thread: closes everything and joins.
  void Stop();

  boost::asio::io_context& io() { return io_; }
  const ServerShared& shared() const { return shared_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  const std::shared_ptr<FramePool>& pool() const { return pool_; }
  // For one read at a time; its contents are gone after the next suspension.
  std::array<char, kScratchBytes>& scratch() { return *scratch_; }
  bool InThread() const {
    return std::this_thread::get_id() == thread_id_.load(std::memory_order_relaxed);
  }
  // Held by a connection while it waits. Of several that have something to do at once, the first to
  // wait again says that the reactor sleeps: Mailbox::asleep is a hint.
  class Asleep {
   public:
    explicit Asleep(Reactor& reactor) : asleep_(reactor.mailbox_->asleep_) { Set(true); }
    ~Asleep() { Set(false); }
    Asleep(const Asleep&) = delete;
    Asleep& operator=(const Asleep&) = delete;

   private:
    void Set(bool asleep) { asleep_.store(asleep, std::memory_order_relaxed); }
    std::atomic<bool>& asleep_;
  };
  Connection* Find(uint64_t connection) const;
  void Forget(uint64_t connection);

 private:
  friend class Mailbox;
  void DeliverMail();
  void ScheduleSweep();
  void Sweep();

  const ServerShared& shared_;
  const int index_;
  const std::shared_ptr<Mailbox> mailbox_;  // those who wait on io_ refer to it
  boost::asio::io_context io_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  boost::asio::steady_timer sweep_timer_;
  std::shared_ptr<FramePool> pool_;
  std::unique_ptr<std::array<char, kScratchBytes>> scratch_;
  std::unordered_map<uint64_t, std::shared_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  bool draining_ = false;
  bool stopping_ = false;
  std::atomic<std::thread::id> thread_id_;
  std::thread thread_;
};

}  // namespace sluice::broker
