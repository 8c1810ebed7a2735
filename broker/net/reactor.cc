#include "broker/net/reactor.h"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "broker/net/connection.h"

namespace sluice::broker {

namespace asio = boost::asio;

namespace {

constexpr size_t kRetainedBytesPerReactor = size_t{8} << 20;

}  // namespace

void Mailbox::Send(uint64_t connection, Task task) {
  {
    std::lock_guard lock(mutex_);
    if (reactor_ == nullptr) return;
    if (!reactor_->InThread()) {
      mails_.push_back({connection, std::move(task)});
      if (mails_.size() == 1)
        asio::post(reactor_->io(), [reactor = reactor_] { reactor->DeliverMail(); });
      return;
    }
  }
  // On the reactor's own thread nobody can close the mailbox meanwhile.
  if (Connection* const found = reactor_->Find(connection)) task(*found);
}

std::vector<Mailbox::Mail> Mailbox::TakeAll() {
  std::lock_guard lock(mutex_);
  return std::exchange(mails_, {});
}

void Mailbox::Close() {
  // What is dropped may hold leases, whose release can send mail: not under the lock.
  std::vector<Mail> dropped;
  std::lock_guard lock(mutex_);
  reactor_ = nullptr;
  dropped.swap(mails_);
}

Reactor::Reactor(const ServerShared& shared, int index)
    : shared_(shared),
      index_(index),
      mailbox_(std::make_shared<Mailbox>(*this)),
      sweep_timer_(io_),
      pool_(std::make_shared<FramePool>(kRetainedBytesPerReactor)),
      scratch_(std::make_unique<std::array<char, kScratchBytes>>()) {}

Reactor::~Reactor() { Stop(); }

void Reactor::Start() {
  work_.emplace(io_.get_executor());
  ScheduleSweep();
  thread_ = std::thread([this] {
    thread_id_ = std::this_thread::get_id();
    pthread_setname_np(pthread_self(), ("kafka-net-" + std::to_string(index_)).c_str());
    io_.run();
  });
}

void Reactor::Adopt(AcceptedSocket accepted) {
  asio::post(io_, [this, accepted = std::move(accepted)]() mutable {
    const uint64_t id = next_connection_++;
    const auto connection = std::make_shared<Connection>(*this, id, std::move(accepted));
    if (draining_) return;
    connections_.emplace(id, connection);
    connection->Start();
  });
}

void Reactor::Drain() {
  asio::post(io_, [this] {
    draining_ = true;
    const auto connections = connections_;
    for (const auto& [id, connection] : connections) connection->Drain();
  });
}

void Reactor::CloseIdle(std::function<bool(const ConnectionInfo&)> which, int64_t until_ms) {
  asio::post(io_, [this, which = std::move(which), until_ms] {
    const auto connections = connections_;
    for (const auto& [id, connection] : connections) {
      if (which(connection->info())) connection->CloseIdle(until_ms);
    }
  });
}

void Reactor::Stop() {
  if (!thread_.joinable()) return;
  asio::post(io_, [this] {
    stopping_ = true;
    draining_ = true;
    sweep_timer_.cancel();
    const auto connections = connections_;
    for (const auto& [id, connection] : connections) connection->Close("the server stops");
    mailbox_->Close();
    work_.reset();
  });
  thread_.join();
}

Connection* Reactor::Find(uint64_t connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? nullptr : found->second.get();
}

// Destroyed a turn later: the caller is usually the connection itself.
void Reactor::Forget(uint64_t connection) {
  if (auto node = connections_.extract(connection)) {
    asio::post(io_, [kept = std::move(node.mapped())] {});
  }
}

void Reactor::DeliverMail() {
  for (Mailbox::Mail& mail : mailbox_->TakeAll()) {
    if (Connection* const connection = Find(mail.connection)) mail.task(*connection);
  }
  // Unless a connection has something to do, too, which says so itself.
  mailbox_->asleep_.store(true, std::memory_order_relaxed);
}

void Reactor::ScheduleSweep() {
  sweep_timer_.expires_after(std::chrono::milliseconds(shared_.options.sweep_ms));
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopping_) return;
    Sweep();
    ScheduleSweep();
  });
}

void Reactor::Sweep() {
  pool_->TrimIfUnused();
  const int64_t now_ms = shared_.options.clock->SteadyMs();
  std::vector<uint64_t> ids;
  ids.reserve(connections_.size());
  for (const auto& [id, connection] : connections_) ids.push_back(id);
  for (const uint64_t id : ids) {
    if (Connection* const connection = Find(id)) connection->CheckDeadlines(now_ms);
  }
}

}  // namespace sluice::broker
