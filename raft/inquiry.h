#pragma once
// What a voter that asks whether its cluster has run (inquiry.cc) knows so far.
//
// Thread rule: part of the core; one owner.

#include <cstdint>
#include <map>

#include "raft/types.h"

namespace sluice::raft {

struct Inquiring {
  struct Heard {
    Term term;
    InquiryResponse answer;
  };
  uint64_t question;               // answers to another are not counted
  int64_t ask_at_ms;               // again
  int64_t candidacies_end_ms;      // nobody campaigns with a vote of before the start any more
  bool candidacies_ended = false;  // when this question was asked first
  std::map<NodeId, Heard> heard;
};

}  // namespace sluice::raft
