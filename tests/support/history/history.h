#pragma once
// A history: what clients asked of a cluster and what they were told, with times of one clock. The
// chaos run writes one by its real clients, the simulation by its simulated ones; Judge (judge.h)
// says what must not have happened.
//
// Each record that is sent has a value of its own in the whole history, so that it is known again
// wherever it is read.
//
// Thread rule: values.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace sluice::history {

enum class Outcome : uint8_t {
  kOk,
  kFailed,   // it did not happen, and never will
  kUnknown,  // it may have happened, may yet, or never
};

struct Place {
  std::string topic;
  PartitionIndex partition;
  friend auto operator<=>(const Place&, const Place&) = default;
};

using Value = int64_t;

struct Send {
  Value value = 0;
  std::optional<Offset> offset;  // when the acknowledgement told it
};

// Records that a consumer was given in one go, in its order. It asked from `from` on and goes on at
// `to`; what lies between and is not given is not there for it.
struct Poll {
  struct Seen {
    Offset offset;
    Value value = 0;
  };
  Offset from, to;
  // The position is its own choice, not where the last poll of this client in this place ended.
  bool sought = false;
  std::vector<Seen> records;
};

struct Commit {
  std::string group;
  Offset offset;
};

struct FetchCommitted {
  std::string group;
  std::optional<Offset> offset;  // none: nothing is committed
};

struct AskEnd {
  Offset end;  // where the next record comes
};

struct Operation {
  int32_t client = 0;  // one thing at a time, but for sends, which are in flight together
  int64_t begin_us = 0;
  int64_t end_us = 0;  // not before begin_us; of no meaning when the outcome is not known
  Outcome outcome = Outcome::kOk;
  Place place;
  std::variant<Send, Poll, Commit, FetchCommitted, AskEnd> what;
};

struct History {
  // By begin_us; a client's sends in the order in which it made them.
  std::vector<Operation> operations;
  // Producers are idempotent: no duplicates, and a client's order is kept.
  bool idempotent = true;
};

}  // namespace sluice::history
