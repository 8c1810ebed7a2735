#include "broker/net/connection.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::broker {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

using Sent = AnswerQueue::Sent;

// Turns of reading before others on the reactor get theirs.
constexpr int kReadsPerTurn = 16;
constexpr int64_t kRefusalLineIntervalMs = 1000;
constexpr int32_t kSmallestRequest = 8;  // key, version, correlation id

// The other side has closed, or half of it.
bool PeerHungUp(int socket) {
  pollfd state{socket, POLLRDHUP, 0};
  return poll(&state, 1, 0) > 0;
}

}  // namespace

Connection::Connection(Reactor& reactor, uint64_t id, AcceptedSocket accepted)
    : reactor_(reactor),
      id_(id),
      socket_(std::move(accepted.socket)),
      wake_(reactor.io()),
      answers_(std::make_shared<AnswerQueue>(socket_.native_handle(),
                                             *reactor.shared().options.metrics)),
      info_(std::make_shared<ConnectionInfo>()),
      ip_(std::move(accepted.ip)),
      reader_({kSmallestRequest, reactor.shared().options.request_bytes_max},
              reactor.shared().budget, reactor.pool()) {
  info_->listener = std::move(accepted.listener);
  info_->peer_address = std::move(accepted.peer_address);
  Touch();
}

Connection::~Connection() {
  reactor_.shared().counter->Remove(ip_);
  reactor_.shared().options.metrics->connections.fetch_sub(1, std::memory_order_relaxed);
}

void Connection::Start() {
  boost::system::error_code ignored;
  const ServerOptions& options = reactor_.shared().options;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  if (options.socket_send_bytes > 0) {
    socket_.set_option(asio::socket_base::send_buffer_size(options.socket_send_bytes), ignored);
  }
  if (options.socket_receive_bytes > 0) {
    socket_.set_option(asio::socket_base::receive_buffer_size(options.socket_receive_bytes),
                       ignored);
  }
  socket_.native_non_blocking(true, ignored);
  asio::co_spawn(
      reactor_.io(), [self = shared_from_this()] { return self->ReadLoop(); }, asio::detached);
}

asio::awaitable<void> Connection::ReadLoop() {
  int reads = 0;
  while (!closing_ && !closed_) {
    boost::system::error_code error;
    if (Paused()) {
      reading_paused_ = true;
      Attend();
      // Looked at again: the answer may have left before the reactor was to be told of it.
      if (Paused()) {
        wake_.expires_at(asio::steady_timer::time_point::max());
        const Reactor::Asleep asleep(reactor_);
        co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      }
      reading_paused_ = false;
      Attend();
      continue;
    }
    if (held_ != nullptr) {
      OnFrame(std::exchange(held_, nullptr));
      continue;
    }
    if (!stash_.empty()) {
      const std::string input = std::exchange(stash_, {});
      Parse(input);
      continue;
    }
    const ReadOutcome outcome = ReadSome();
    if (outcome == ReadOutcome::kEnd) break;
    if (outcome == ReadOutcome::kWouldBlock) {
      // What is read already comes first: the socket may stay silent until the client has its
      // answers.
      if (Paused() || held_ != nullptr || !stash_.empty()) continue;
      reads = 0;
      const Reactor::Asleep asleep(reactor_);
      co_await socket_.async_wait(tcp::socket::wait_read,
                                  asio::redirect_error(asio::use_awaitable, error));
    } else if (++reads == kReadsPerTurn) {
      reads = 0;
      co_await asio::post(reactor_.io(), asio::use_awaitable);
    }
  }
}

// One recv, into the frame under way when much of it is missing, else into the reactor's scratch
// memory.
Connection::ReadOutcome Connection::ReadSome() {
  const std::span<char> direct = reader_.DirectSpace();
  char* const target = direct.empty() ? reactor_.scratch().data() : direct.data();
  const size_t size = direct.empty() ? reactor_.scratch().size() : direct.size();
  const ssize_t got = recv(socket_.native_handle(), target, size, MSG_DONTWAIT);
  if (got < 0 && errno == EINTR) return ReadOutcome::kProgress;
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return ReadOutcome::kWouldBlock;
  if (got <= 0) {
    Close(got == 0 ? "" : std::string("recv: ") + std::strerror(errno));
    return ReadOutcome::kEnd;
  }
  Count(reactor_.shared().options.metrics->bytes_in, static_cast<uint64_t>(got));
  Touch();
  if (direct.empty()) {
    Parse({target, static_cast<size_t>(got)});
  } else {
    reader_.CommitDirect(static_cast<size_t>(got));
    Parse({});
  }
  // A short read emptied the socket: asking again would only cost a call.
  return static_cast<size_t>(got) < size ? ReadOutcome::kWouldBlock : ReadOutcome::kProgress;
}

void Connection::Parse(std::string_view input) {
  parsing_ = true;
  bool more = true;
  while (more && held_ == nullptr && !Paused() && !closing_ && !closed_) {
    switch (reader_.Feed(input)) {
      case FrameReader::Outcome::kFrame: HoldOrTake(reader_.TakeFrame()); break;
      case FrameReader::Outcome::kBadSize: RefuseFrame(reader_.wanted_bytes()); break;
      case FrameReader::Outcome::kNeedBytes: more = false; break;
      case FrameReader::Outcome::kNeedBudget:
        waiting_for_budget_ = true;
        reactor_.shared().budget->Acquire(
            static_cast<size_t>(reader_.wanted_bytes()),
            [mailbox = reactor_.mailbox(), id = id_](BudgetLease lease) {
              const auto shared = std::make_shared<BudgetLease>(std::move(lease));
              mailbox->Send(id, [shared](Connection& connection) {
                connection.OnBudget(std::move(*shared));
              });
            });
        break;
    }
  }
  parsing_ = false;
  if (!closing_ && !closed_) stash_.append(input);
  Flush();
}

void Connection::HoldOrTake(FramePtr frame) {
  const auto in_turn = reactor_.shared().options.in_turn;
  const bool hold = in_turn != nullptr && answers_->owed().requests > 0 && in_turn(frame->bytes());
  if (hold)
    held_ = std::move(frame);
  else
    OnFrame(std::move(frame));
}

void Connection::OnFrame(FramePtr frame) {
  const uint64_t sequence = answers_->Add(frame->size_bytes());
  frame_mark_bytes_ = 0;
  frame_mark_ms_ = last_active_ms_;
  // By value: the view must be taken before the owner moves.
  const std::string_view bytes = frame->bytes();
  SharedBytes request{std::move(frame), bytes};
  const bool exclusive = reactor_.shared().options.sink(
      std::move(request), info_,
      [mailbox = reactor_.mailbox(), id = id_, answers = answers_, sequence](Reply reply) {
        const auto sent = mailbox->asleep() ? answers->SendNow(sequence, reply) : Sent::kNo;
        if (sent == Sent::kNo) {
          mailbox->Send(id, [sequence, reply = std::move(reply)](Connection& connection) mutable {
            connection.Deliver(sequence, std::move(reply));
          });
        } else if (sent == Sent::kPart) {
          mailbox->Send(id, [](Connection& connection) { connection.Flush(); });
        }
      });
  if (exclusive) exclusive_until_ = sequence + 1;
}

void Connection::RefuseFrame(int32_t size) {
  closing_ = true;
  Attend();
  stash_.clear();
  NoteRefusal("a request of " + std::to_string(size) + " bytes is outside the allowed " +
              std::to_string(kSmallestRequest) + " to " +
              std::to_string(reactor_.shared().options.request_bytes_max) +
              " (socket.request.max.bytes)");
}

// Each refusal is counted, and one a second is told: whoever sends rubbish must not fill the log.
void Connection::NoteRefusal(const std::string& reason) {
  NetMetrics& metrics = *reactor_.shared().options.metrics;
  Count(metrics.frames_refused);
  const int64_t now_ms = reactor_.shared().options.clock->SteadyMs();
  int64_t told_ms = metrics.refusal_told_ms.load(std::memory_order_relaxed);
  if (told_ms != 0 && now_ms - told_ms < kRefusalLineIntervalMs) return;
  if (!metrics.refusal_told_ms.compare_exchange_strong(told_ms, now_ms)) return;
  LOG(WARNING) << "closing connection from " << info_->peer_address << ": " << reason << "; "
               << metrics.frames_refused.load() << " refused so far";
}

void Connection::Deliver(uint64_t sequence, Reply reply) {
  const AnswerQueue::Due due = answers_->Complete(sequence, std::move(reply));
  for (const IdleClose& idle_close : due.idle_closes) CloseIdleLater(idle_close);
  if (due.refusal) {
    NoteRefusal(*due.refusal);
    closing_ = true;
    Attend();
  }
  if (!parsing_) Flush();
}

// Whether the reactor has something to do once an answer has left.
void Connection::Attend() {
  answers_->set_attended(reading_paused_ || closing_ || close_idle_until_ms_ > 0);
}

void Connection::Flush() {
  if (!closed_ && !waiting_to_write_) WriteWhatIsDue();
  Resume();
}

void Connection::WriteWhatIsDue() {
  switch (answers_->Write()) {
    case SocketWriter::Outcome::kDone:
      if (closing_ && answers_->empty()) Close("");
      if (close_idle_until_ms_ > 0) CloseIdle(close_idle_until_ms_);
      break;
    case SocketWriter::Outcome::kWouldBlock: WaitWritable(); break;
    case SocketWriter::Outcome::kYield:
      waiting_to_write_ = true;
      asio::post(reactor_.io(), [self = shared_from_this()] {
        self->waiting_to_write_ = false;
        self->Flush();
      });
      break;
    case SocketWriter::Outcome::kCold: ReadElsewhere(); break;
    case SocketWriter::Outcome::kFailed: Close(answers_->error()); break;
  }
}

void Connection::WaitWritable() {
  waiting_to_write_ = true;
  socket_.async_wait(tcp::socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->waiting_to_write_ = false;
                       if (!error) self->Flush();
                     });
}

void Connection::ReadElsewhere() {
  waiting_to_write_ = true;
  reactor_.shared().options.cold_reads->BringInPassing(
      answers_->cold(), ColdReads::kAheadBytes,
      [weak = weak_from_this()] { return !weak.expired(); },
      [mailbox = reactor_.mailbox(), id = id_](const Status& read, ColdReads::Pin pin) {
        mailbox->Send(id, [read, pin = std::move(pin)](Connection& connection) mutable {
          connection.waiting_to_write_ = false;
          connection.answers_->BroughtIn(read, std::move(pin));
          connection.Flush();
        });
      });
}

void Connection::OnBudget(BudgetLease lease) {
  waiting_for_budget_ = false;
  reader_.Grant(std::move(lease));
  frame_mark_ms_ = reactor_.shared().options.clock->SteadyMs();
  Resume();
}

// Reading ahead ends where the client would gain nothing or the node lose: too many requests or
// bytes under way, an answer that must come first, answers that the client does not take, no
// memory.
bool Connection::Paused() const {
  const ServerOptions& options = reactor_.shared().options;
  const AnswerQueue::Owed owed = answers_->owed();
  if (waiting_for_budget_ || owed.first_sequence < exclusive_until_) return true;
  if (owed.requests == 0) return waiting_to_write_;
  return held_ != nullptr ||
         owed.requests >= static_cast<size_t>(options.outstanding_requests_max) ||
         owed.request_bytes >= options.outstanding_bytes_max;
}

void Connection::Resume() {
  if (reading_paused_ && (closing_ || closed_ || !Paused())) wake_.cancel();
}

void Connection::Drain() {
  closing_ = true;
  Attend();
  boost::system::error_code ignored;
  if (answers_->empty()) {
    Close("");
  } else {
    socket_.shutdown(tcp::socket::shutdown_receive, ignored);
    Resume();
  }
}

void Connection::CloseIdleLater(const IdleClose& when) {
  const int64_t until_ms = reactor_.shared().options.clock->SteadyMs() + when.until_ms;
  const auto timer =
      std::make_shared<asio::steady_timer>(reactor_.io(), std::chrono::milliseconds(when.from_ms));
  timer->async_wait(
      [weak = weak_from_this(), timer, until_ms](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!error && self != nullptr && !self->closed_) self->CloseIdle(until_ms);
      });
}

void Connection::CloseIdle(int64_t until_ms) {
  const bool late = reactor_.shared().options.clock->SteadyMs() >= until_ms;
  close_idle_until_ms_ = late ? 0 : until_ms;
  Attend();
  const auto self = shared_from_this();  // Close drops the reactor's reference
  if (!late && Idle()) Close("it shall look for leaders again");
}

// Nothing is under way in either direction: what a client sent and nobody read would be lost to it
// without need.
bool Connection::Idle() const {
  int unread_bytes = 0;
  return answers_->empty() && !reader_.in_frame() && stash_.empty() && held_ == nullptr &&
         !waiting_for_budget_ &&
         ioctl(const_cast<tcp::socket&>(socket_).native_handle(), FIONREAD, &unread_bytes) == 0 &&
         unread_bytes == 0;
}

void Connection::Close(const std::string& reason) {
  if (closed_) return;
  closed_ = true;
  if (!reason.empty())
    VLOG(1) << "connection from " << info_->peer_address << " closed: " << reason;
  boost::system::error_code ignored;
  answers_->Close();
  socket_.close(ignored);
  wake_.cancel();
  reactor_.Forget(id_);
  // Their answers find no connection any more.
  info_->parked.AbandonAll();
}

void Connection::CheckDeadlines(int64_t now_ms) {
  const ServerOptions& options = reactor_.shared().options;
  answers_->Age();
  const uint64_t written_bytes = answers_->written_bytes();
  if (std::exchange(seen_written_bytes_, written_bytes) != written_bytes) last_active_ms_ = now_ms;
  const bool owes = answers_->owed().requests > 0;
  // Whoever is not read from is not seen to leave. What it sent before it did is still served, but
  // nothing of it waits any more.
  if (reading_paused_ && owes && PeerHungUp(socket_.native_handle())) info_->parked.AbandonAll();
  const bool idle =
      options.idle_ms_max >= 0 && now_ms - last_active_ms_ >= options.idle_ms_max && !owes;
  bool slow = false;
  if (reader_.in_frame() && !Paused() && now_ms - frame_mark_ms_ >= options.slow_frame_ms) {
    slow = reader_.frame_progress_bytes() - frame_mark_bytes_ < options.slow_frame_bytes_min;
    frame_mark_ms_ = now_ms;
    frame_mark_bytes_ = reader_.frame_progress_bytes();
  }
  if (!idle && !slow) return;
  Count(options.metrics->connections_expired);
  const auto self = shared_from_this();  // Close drops the reactor's reference
  Close(idle ? "idle for longer than connections.max.idle.ms" : "a request came in too slowly");
}

void Connection::Touch() {
  last_active_ms_ = reactor_.shared().options.clock->SteadyMs();
  if (!reader_.in_frame()) frame_mark_ms_ = last_active_ms_;
}

}  // namespace sluice::broker
