#pragma once
// Connection: one client's socket. A coroutine reads ahead while earlier requests are answered (up
// to a number and a volume of them); replies may come in any order from any thread and leave in the
// order of the requests. While nothing is under way it holds no buffer.
//
// Invariant: once closing_ is set no request is read; the socket closes when what was promised
// before is written.
//
// Thread rule: the reactor's thread only. Included by broker/net/*.cc only.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/net/answer_queue.h"
#include "broker/net/frame_reader.h"
#include "broker/net/reactor.h"

namespace sluice::broker {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Reactor& reactor, uint64_t id, AcceptedSocket accepted);
  ~Connection();

  void Start();
  // The reply to request `sequence` is there.
  void Deliver(uint64_t sequence, Reply reply);
  // Writes what is due, or begins to wait until it can be written.
  void Flush();
  void OnBudget(BudgetLease lease);
  // No more requests; closes when all owed is written.
  void Drain();
  // Closes when it next owes and is owed nothing, if that is before `until_ms`.
  void CloseIdle(int64_t until_ms);
  void CloseIdleLater(const IdleClose& when);
  void Close(const std::string& reason);
  // Closes the connection when it has been idle or too slow for too long.
  void CheckDeadlines(int64_t now_ms);
  const ConnectionInfo& info() const { return *info_; }

 private:
  enum class ReadOutcome { kProgress, kWouldBlock, kEnd };

  boost::asio::awaitable<void> ReadLoop();
  ReadOutcome ReadSome();
  void Parse(std::string_view input);
  void HoldOrTake(FramePtr frame);
  void OnFrame(FramePtr frame);
  void RefuseFrame(int32_t size);
  void NoteRefusal(const std::string& reason);
  bool Paused() const;
  bool Idle() const;
  void Resume();
  void Attend();
  void WriteWhatIsDue();
  void WaitWritable();
  void ReadElsewhere();
  void Touch();

  Reactor& reactor_;
  const uint64_t id_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer wake_;  // cancelled to wake the reader
  const std::shared_ptr<AnswerQueue> answers_;
  std::shared_ptr<ConnectionInfo> info_;
  std::string ip_;
  FrameReader reader_;
  std::string stash_;  // read, but not yet parsed, because the connection was paused
  FramePtr held_;      // to be looked at when all before it are answered, and before stash_
  uint64_t exclusive_until_ = 0;     // no request is looked at before this sequence is the first
  uint64_t seen_written_bytes_ = 0;  // when the deadlines were last looked at
  int64_t last_active_ms_ = 0;
  int64_t close_idle_until_ms_ = 0;
  int64_t frame_mark_ms_ =
      0;  // since when, and from where on, the progress of the frame under way is measured
  size_t frame_mark_bytes_ = 0;
  bool reading_paused_ = false;
  bool waiting_for_budget_ = false;
  bool waiting_to_write_ = false;
  bool parsing_ = false;  // replies gather until the input is used up
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace sluice::broker
