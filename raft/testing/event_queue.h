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
  enum class Kind : uint8_t { kMessage, kTimer, kWritten, kRefused, kRead };
  int64_t at_ms = 0;
  Kind kind = Kind::kMessage;
  int32_t node = 0;          // where it happens
  uint32_t incarnation = 0;  // of the node; messages reach any
  uint32_t detail = 0;       // kMessage: the slot; kRefused: whose address refuses
};

class EventQueue {
 public:
  EventQueue() { slots_.fill({kNone, kNone}); }

  bool empty() const { return size_ == 0; }
  // Not empty.
  const Event& next() const { return nodes_[slots_[NextSlot()].first].event; }
  // Not before the time of the last one popped, or the time passed.
  void Push(const Event& event) {
    CHECK(event.at_ms >= now_ms_ && event.at_ms - now_ms_ < kSlots) << event.at_ms;
    const size_t at = SlotOf(event.at_ms);
    const uint32_t node = NewNode(event);
    Slot& slot = slots_[at];
    (slot.first == kNone ? slot.first : nodes_[slot.last].next) = node;
    slot.last = node;
    filled_[at / 64] |= uint64_t{1} << (at % 64);
    ++size_;
  }
  Event Pop() {
    const size_t at = NextSlot();
    Slot& slot = slots_[at];
    const uint32_t node = slot.first;
    slot.first = nodes_[node].next;
    if (slot.first == kNone) filled_[at / 64] &= ~(uint64_t{1} << (at % 64));
    free_nodes_.push_back(node);
    --size_;
    now_ms_ = nodes_[node].event.at_ms;
    return nodes_[node].event;
  }
  // Time goes on; nothing is left that is due before.
  void PassTo(int64_t now_ms) { now_ms_ = now_ms; }

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
  static constexpr uint32_t kNone = UINT32_MAX;
  // The events of one millisecond, a list.
  struct Slot {
    uint32_t first;
    uint32_t last;
  };
  struct Node {
    Event event;
    uint32_t next = kNone;
  };
  static size_t SlotOf(int64_t at_ms) { return static_cast<size_t>(at_ms) % kSlots; }

  uint32_t NewNode(const Event& event) {
    if (free_nodes_.empty()) {
      nodes_.push_back({event});
      return static_cast<uint32_t>(nodes_.size() - 1);
    }
    const uint32_t node = free_nodes_.back();
    free_nodes_.pop_back();
    nodes_[node] = {event};
    return node;
  }

  // The first slot from the present one on that holds an event. The first word is looked at twice:
  // what lies before the present slot in it is the last of the round.
  size_t NextSlot() const {
    const size_t present = SlotOf(now_ms_);
    size_t word = present / 64;
    uint64_t bits = filled_[word] & (~uint64_t{0} << (present % 64));
    for (size_t n = 0; bits == 0; ++n) {
      CHECK_LE(n, kWords) << "the queue is empty";
      word = (word + 1) % kWords;
      bits = filled_[word];
    }
    return word * 64 + static_cast<size_t>(std::countr_zero(bits));
  }

  std::array<Slot, kSlots> slots_;
  std::array<uint64_t, kWords> filled_{};
  std::vector<Node> nodes_;
  std::vector<uint32_t> free_nodes_;
  int64_t now_ms_ = 0;
  size_t size_ = 0;
  std::vector<Message> messages_;
  std::vector<uint32_t> free_;
};

}  // namespace sluice::raft::testing
