#include "broker/net/answer_queue.h"

#include <glog/logging.h>

#include <utility>

namespace sluice::broker {

AnswerQueue::Owed AnswerQueue::owed() const {
  std::lock_guard lock(mutex_);
  return {first_sequence_, slots_.size(), request_bytes_};
}

bool AnswerQueue::empty() const {
  std::lock_guard lock(mutex_);
  return slots_.empty() && writer_.empty();
}

uint64_t AnswerQueue::written_bytes() const {
  std::lock_guard lock(mutex_);
  return writer_.written_bytes();
}

uint64_t AnswerQueue::Add(size_t request_bytes) {
  std::lock_guard lock(mutex_);
  slots_.push_back({request_bytes, false, {}});
  request_bytes_ += request_bytes;
  return first_sequence_ + slots_.size() - 1;
}

AnswerQueue::Due AnswerQueue::Complete(uint64_t sequence, Reply reply) {
  Due due;
  std::lock_guard lock(mutex_);
  if (closed_ || sequence < first_sequence_) return due;
  Slot& answered = slots_[sequence - first_sequence_];
  CHECK(!answered.done) << "a request was answered twice";
  answered.done = true;
  answered.reply = std::move(reply);
  size_t completed = 0;
  while (completed < slots_.size() && slots_[completed].done) {
    Reply& front = slots_[completed++].reply;
    if (front.kind == Reply::Kind::kSend) writer_.Add(std::move(front.frame));
    if (front.idle_close.until_ms > 0) due.idle_closes.push_back(front.idle_close);
    if (front.kind == Reply::Kind::kClose) {
      due.refusal = std::move(front.reason);
      // Later requests are dropped, as if they had come after the close.
      completed = slots_.size();
    }
  }
  DropFront(completed);
  return due;
}

void AnswerQueue::DropFront(size_t count) {
  for (size_t i = 0; i < count; ++i) request_bytes_ -= slots_[i].request_bytes;
  slots_.erase(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(count));
  first_sequence_ += count;
  // While nothing is under way a connection holds no buffer.
  if (slots_.empty() && slots_.capacity() > 4) std::vector<Slot>().swap(slots_);
}

SocketWriter::Outcome AnswerQueue::Write() {
  std::lock_guard lock(mutex_);
  return closed_ ? SocketWriter::Outcome::kDone : WriteLocked();
}

SocketWriter::Outcome AnswerQueue::WriteLocked() {
  const uint64_t before = writer_.written_bytes();
  const SocketWriter::Outcome outcome = writer_.Flush(socket_);
  const uint64_t written = writer_.written_bytes() - before;
  if (written > 0) Count(metrics_.bytes_out, written);
  return outcome;
}

AnswerQueue::Sent AnswerQueue::SendNow(uint64_t sequence, Reply& reply) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  // Whoever holds it writes, or is about to: the reactor is awake after all.
  if (!lock.owns_lock() || !MayBeSentNow(sequence, reply)) return Sent::kNo;
  writer_.Add(std::move(reply.frame));
  DropFront(1);
  return WriteLocked() == SocketWriter::Outcome::kDone ? Sent::kWhole : Sent::kPart;
}

bool AnswerQueue::MayBeSentNow(uint64_t sequence, const Reply& reply) const {
  if (closed_ || attended_ || sequence != first_sequence_ || !writer_.empty()) return false;
  // An answer behind it that waits for it would be due, too.
  if (slots_.size() > 1 && slots_[1].done) return false;
  return reply.kind == Reply::Kind::kSend && reply.idle_close.until_ms == 0 &&
         reply.frame.size_bytes() <= kSmallBytes;
}

FileSlice AnswerQueue::cold() const {
  std::lock_guard lock(mutex_);
  return writer_.cold();
}

void AnswerQueue::BroughtIn(const Status& read, ColdReads::Pin pin) {
  std::lock_guard lock(mutex_);
  writer_.BroughtIn(read, std::move(pin));
}

void AnswerQueue::Age() {
  std::lock_guard lock(mutex_);
  writer_.Age();
}

std::string AnswerQueue::error() const {
  std::lock_guard lock(mutex_);
  return writer_.error();
}

void AnswerQueue::set_attended(bool attended) {
  std::lock_guard lock(mutex_);
  attended_ = attended;
}

void AnswerQueue::Close() {
  // Answers that nobody takes any more hold files: they go now, and not under the lock.
  std::vector<Slot> slots;
  SocketWriter writer;
  std::lock_guard lock(mutex_);
  closed_ = true;
  slots.swap(slots_);
  std::swap(writer, writer_);
}

}  // namespace sluice::broker
