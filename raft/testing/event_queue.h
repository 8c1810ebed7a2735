#pragma once
// EventQueue: what is to happen when, in the lean simulator: small events in a binary heap, by time
// and then in the order in which they were scheduled. Messages lie beside it, in slots that are
// used again.
//
// Thread rule: one thread, as all of the simulator.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "raft/types.h"

namespace sluice::raft::testing {

struct Event {
  enum class Kind : uint8_t { kMessage, kTimer, kWritten, kRefused };
  int64_t at_ms = 0;
  uint64_t sequence = 0;
  Kind kind = Kind::kMessage;
  int32_t node = 0;          // where it happens
  uint32_t incarnation = 0;  // of the node; messages reach any
  uint32_t detail = 0;       // kMessage: the slot; kRefused: whose address refuses
};

class EventQueue {
 public:
  bool empty() const { return heap_.empty(); }
  const Event& next() const { return heap_.front(); }
  void Push(Event event) {
    event.sequence = ++sequence_;
    heap_.push_back(event);
    std::push_heap(heap_.begin(), heap_.end(), Later);
  }
  Event Pop() {
    std::pop_heap(heap_.begin(), heap_.end(), Later);
    const Event event = heap_.back();
    heap_.pop_back();
    return event;
  }

  uint32_t Keep(Message message) {
    if (free_.empty()) {
      messages_.push_back(std::move(message));
      return static_cast<uint32_t>(messages_.size() - 1);
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    messages_[slot] = std::move(message);
    return slot;
  }
  const Message& Peek(uint32_t slot) const { return messages_[slot]; }
  Message Take(uint32_t slot) {
    free_.push_back(slot);
    return std::move(messages_[slot]);
  }

 private:
  static bool Later(const Event& a, const Event& b) {
    return a.at_ms != b.at_ms ? a.at_ms > b.at_ms : a.sequence > b.sequence;
  }

  uint64_t sequence_ = 0;
  std::vector<Event> heap_;
  std::vector<Message> messages_;
  std::vector<uint32_t> free_;
};

}  // namespace sluice::raft::testing
