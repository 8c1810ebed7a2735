#pragma once
// EventQueue: what is to happen when, in the lean simulator: small events in a wheel of one slot a
// millisecond, each in the order in which it was scheduled. Messages lie beside it, in slots that
// are used again.
//
// Nothing is scheduled further ahead than the wheel goes round; a word of bits for each 64 slots
// says which hold something, so that silence costs nothing.
//
// Thread rule: one thread, as all of the simulator.

#include <glog/logging.h>

#include <array>
#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "raft/types.h"

namespace sluice::raft::testing {

struct Event {
  enum class Kind : uint8_t { kMessage, kTimer, kWritten, kRefused };
  int64_t at_ms = 0;
  Kind kind = Kind::kMessage;
  int32_t node = 0;          // where it happens
  uint32_t incarnation = 0;  // of the node; messages reach any
  uint32_t detail = 0;       // kMessage: the slot; kRefused: whose address refuses
};

class EventQueue {
 public:
  EventQueue() : wheel_(kSlots) {}

  bool empty() const { return size_ == 0; }
  // Not empty.
  const Event& next() const {
    const size_t slot = NextSlot();
    return wheel_[slot][slot == SlotOf(now_ms_) ? taken_ : 0];
  }
  // Not before the time of the last one popped, or the time passed.
  void Push(const Event& event) {
    CHECK(event.at_ms >= now_ms_ && event.at_ms - now_ms_ < kSlots) << event.at_ms;
    const size_t slot = SlotOf(event.at_ms);
    wheel_[slot].push_back(event);
    filled_[slot / 64] |= uint64_t{1} << (slot % 64);
    ++size_;
  }
  Event Pop() {
    const Event event = next();
    if (event.at_ms != now_ms_) PassTo(event.at_ms);
    ++taken_;
    --size_;
    return event;
  }
  // Time goes on; nothing is left that is due before.
  void PassTo(int64_t now_ms) {
    const size_t slot = SlotOf(now_ms_);
    if (now_ms == now_ms_) return;
    CHECK_EQ(taken_, wheel_[slot].size());
    wheel_[slot].clear();
    filled_[slot / 64] &= ~(uint64_t{1} << (slot % 64));
    taken_ = 0;
    now_ms_ = now_ms;
  }

  uint32_t Keep(Message&& message) {
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
  static constexpr int64_t kSlots = 4096;
  static constexpr size_t kWords = kSlots / 64;
  static size_t SlotOf(int64_t at_ms) { return static_cast<size_t>(at_ms) % kSlots; }

  // The first slot that holds an event not taken yet.
  size_t NextSlot() const {
    const size_t present = SlotOf(now_ms_);
    if (taken_ < wheel_[present].size()) return present;
    // All of the present slot is taken. Its word is looked at twice: what lies before it comes
    // last.
    const size_t after = (present + 1) % kSlots;
    size_t word = after / 64;
    uint64_t bits = filled_[word] & (~uint64_t{0} << (after % 64));
    for (size_t n = 0; bits == 0; ++n) {
      CHECK_LE(n, kWords) << "the queue is empty";
      word = (word + 1) % kWords;
      bits = filled_[word];
    }
    return word * 64 + static_cast<size_t>(std::countr_zero(bits));
  }

  std::vector<std::vector<Event>> wheel_;
  std::array<uint64_t, kWords> filled_{};
  int64_t now_ms_ = 0;  // of the present slot
  size_t taken_ = 0;    // of it
  size_t size_ = 0;
  std::vector<Message> messages_;
  std::vector<uint32_t> free_;
};

}  // namespace sluice::raft::testing
