#pragma once
// FrameReader: cuts a connection's byte stream into frames (4 bytes of length, then that many). A
// pure state machine without sockets; the connection feeds it and does what the outcome says.
//
// Thread rule: owned by one connection.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "broker/net/frame.h"

namespace sluice::broker {

class FrameReader {
 public:
  enum class Outcome {
    kNeedBytes,   // all input was used
    kFrame,       // TakeFrame() has one; the rest of the input is still to be fed
    kNeedBudget,  // a frame of wanted_bytes() may only start with a lease: Grant() one and feed the
                  // rest
    kBadSize,     // wanted_bytes() is no acceptable length: close
  };

  // Sizes outside [size_min, size_max] are bad.
  struct Limits {
    int32_t size_min = 8;
    int32_t size_max = 104857600;
  };
  FrameReader(Limits limits, std::shared_ptr<MemoryBudget> budget, std::shared_ptr<FramePool> pool)
      : limits_(limits), budget_(std::move(budget)), pool_(std::move(pool)) {}

  // Uses up bytes from the front of `input` until something is to be done.
  Outcome Feed(std::string_view& input);
  void Grant(BudgetLease lease);
  FramePtr TakeFrame() { return std::move(frame_); }
  int32_t wanted_bytes() const { return size_; }

  // While a large body is under way, the socket may be read straight into it: empty when not worth
  // it. Commit what came; then Feed with no input tells whether the frame is complete.
  std::span<char> DirectSpace();
  void CommitDirect(size_t bytes) { frame_->Commit(bytes); }

  // A frame has begun and is not complete.
  bool in_frame() const { return size_filled_ > 0 || frame_ != nullptr; }
  // Bytes of the frame under way that have arrived.
  size_t frame_progress_bytes() const {
    return size_filled_ + (frame_ ? frame_->filled_bytes() : 0);
  }

 private:
  bool ReadSize(std::string_view& input);

  const Limits limits_;
  const std::shared_ptr<MemoryBudget> budget_;
  const std::shared_ptr<FramePool> pool_;
  char size_bytes_[4];
  uint8_t size_filled_ = 0;  // 0 to 4; 4 = the length is known, the frame is not begun
  int32_t size_ = 0;
  FramePtr frame_;
};

}  // namespace sluice::broker
