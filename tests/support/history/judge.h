#pragma once
// Judge: finds in a history what no cluster may do. Exact both ways for what it looks at: what it
// names did happen, whatever the outcomes that are not known came to.
//
//   lost               acknowledged; a later reader passed its place and was not given it
//   unread             acknowledged; no later reader came as far. At the end of a history somebody
//                      has to read everything, so this is a tail that was lost
//   two values         one offset has held two values
//   duplicate          one value at two offsets, though producers are idempotent
//   phantom            read, but never sent, or sent and refused
//   skipped            a reader passed an offset whose record another reader was given
//   read back          a reader was given offsets that do not grow, or that it did not ask for
//   out of order       a client's sends lie in another order than it made them
//   committed back     a group was told a position that a later one had replaced, or nobody
//   committed end went back      the end of a partition lies before what had been acknowledged,
//   read or told
//
// Cost: O(n log n) of the operations and their records, but for commits to one place by one group,
// each of which is compared with those that are told at the same time.
//
// Thread rule: pure.

#include <string>
#include <vector>

#include "tests/support/history/history.h"

namespace sluice::history {

struct Anomaly {
  std::string kind;  // as above
  std::string what;  // with place, offset, value, clients and times
};

std::vector<Anomaly> Judge(const History& history);

}  // namespace sluice::history
