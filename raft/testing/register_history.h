#pragma once
// RegisterHistory: what clients of one register saw, and whether some order of their operations
// explains it in which each takes effect at one moment between its begin and its end
// (linearizability). Every write has a value of its own, and that makes it easy: all operations on
// one value stand together, so the question is only whether the times of the values can be laid in
// a row (Gibbons and Korach, "Testing Shared Memories", 1997):
//
// - of the operations on one value let `low` be the first end and `high` the last begin. When low
//   comes before high, the register held that value from low to high at least: a forward zone. Else
//   one moment between high and low suffices for all of them: a backward zone;
// - the history is linearizable if and only if no two forward zones overlap and no backward zone
//   lies within a forward one.
//
// It knows nothing of terms, logs and indexes, so that it finds what the invariants overlook. A
// write whose outcome is not known may take effect at any time from its begin on, or never.
//
// Time is the order of the calls. Thread rule: one thread.

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::raft::testing {

class RegisterHistory {
 public:
  using Value = uint64_t;  // 0: what the register holds at first
  using Moment = uint64_t;
  enum class Outcome { kDone, kRefused };

  // The value to write: one that was never used.
  Value WriteBegan();
  // Not called at all when the outcome is not known.
  void WriteEnded(Value value, Outcome outcome);
  // To be given back to ReadEnded. A read that has no answer says nothing.
  Moment ReadBegan() { return ++now_; }
  void ReadEnded(Moment began, Value value);

  // Empty, or what no order explains.
  std::string Check() const;
  size_t reads() const { return reads_; }

 private:
  static constexpr Moment kNever = UINT64_MAX;
  // The operations on one value.
  struct Zone {
    Value value = 0;
    Moment low = kNever;  // the first end
    Moment high = 0;      // the last begin
    bool read = false;
    bool refused = false;
    bool forward() const { return low < high; }
  };

  Moment now_ = 0;
  size_t reads_ = 0;
  std::vector<Zone> zones_{{.low = 0}};  // by value
  std::string wrong_;                    // a read of what was never written
};

}  // namespace sluice::raft::testing
