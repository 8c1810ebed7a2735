#pragma once
// AnswerQueue: what one connection owes its client: the requests that wait for their answers, and
// the bytes of the answers that are due. The connection's reactor does all of it, but for one short
// way: a small answer that is due at once and comes while the reactor sleeps is written by the
// thread that has it, since to wake a thread costs more than to write so little.
//
// Invariants:
//   1. slots_ holds the unanswered requests in order; slot i has the sequence first_sequence_ + i.
//   2. Only a done front slot leaves slots_, so answers are written in request order.
//   3. After Close nothing is written and the socket's number is not used.
//
// Thread rule: SendNow from any thread, all else on the reactor's. The mutex is held while bytes
// are written; SendNow never waits for it, and nobody is called back under it.

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "broker/api/handler.h"
#include "broker/net/net_metrics.h"
#include "broker/net/socket_writer.h"

namespace sluice::broker {

class AnswerQueue {
 public:
  // A larger answer keeps its sender for longer than the wake-up would.
  static constexpr size_t kSmallBytes = size_t{32} << 10;

  // Both outlive the queue's use: the socket until Close, the metrics the queue.
  AnswerQueue(int socket, NetMetrics& metrics) : socket_(socket), metrics_(metrics) {}

  struct Owed {
    uint64_t first_sequence = 0;  // of the oldest request without an answer, or of the next
    size_t requests = 0;
    size_t request_bytes = 0;  // of the requests
  };
  Owed owed() const;
  // True when neither requests nor bytes are left.
  bool empty() const;
  uint64_t written_bytes() const;

  // A request came; gives its sequence.
  uint64_t Add(size_t request_bytes);
  // What the connection has to do when answers become due.
  struct Due {
    std::vector<IdleClose> idle_closes;
    std::optional<std::string> refusal;  // close when all before it is written; the reason
  };
  // Request `sequence` is answered: it, and those behind it that waited for it, become due.
  Due Complete(uint64_t sequence, Reply reply);
  // Writes what is due, as SocketWriter::Flush.
  SocketWriter::Outcome Write();
  FileSlice cold() const;
  void BroughtIn(const Status& read, ColdReads::Pin pin);
  void Age();
  std::string error() const;
  // While it is set, every answer passes through the reactor, which has something to do after it.
  void set_attended(bool attended);
  void Close();

  enum class Sent {
    kNo,     // untouched: give it to the reactor
    kPart,   // taken, but the reactor has to go on writing
    kWhole,  // done
  };
  // Answers request `sequence` here and now, if that is as good as to let the reactor do it.
  Sent SendNow(uint64_t sequence, Reply& reply);

 private:
  struct Slot {
    size_t request_bytes = 0;
    bool done = false;
    Reply reply;
  };

  bool MayBeSentNow(uint64_t sequence, const Reply& reply) const;
  void DropFront(size_t count);
  SocketWriter::Outcome WriteLocked();

  const int socket_;
  NetMetrics& metrics_;
  mutable std::mutex mutex_;  // guards all below
  SocketWriter writer_;
  std::vector<Slot> slots_;
  uint64_t first_sequence_ = 0;
  size_t request_bytes_ = 0;
  bool attended_ = false;
  bool closed_ = false;
};

}  // namespace sluice::broker
