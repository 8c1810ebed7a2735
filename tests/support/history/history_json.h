#pragma once
// Histories as text: one JSON object a line, which many programs can append to. The first line says
// what producers promise, each other line is one operation:
//
//   {"idempotent": true}
//   {"client": 1, "begin_us": 10, "end_us": 19, "outcome": "ok", "topic": "orders", "partition": 0,
//    "send": {"value": 100, "offset": 0}}
//
// In the place of "send" may stand
//   "poll": {"from": 0, "to": 2, "sought": true, "records": [[0, 100], [1, 101]]}   offset, value
//   "commit": {"group": "g", "offset": 2}
//   "fetch": {"group": "g", "offset": 2}
//   "end": {"end": 2}
// "offset" may be left out of "send" and "fetch", "sought" where it is false, and "end_us" where
// the outcome ("ok", "failed", "unknown") is not known. The lines may come in any order.
//
// Thread rule: pure.

#include <string>

#include "base/status.h"
#include "tests/support/history/history.h"

namespace sluice::history {

// Operations are put in the order of their begin. kInvalidArgument: names the line and what is
// wrong with it.
Result<History> ParseHistory(const std::string& lines);

}  // namespace sluice::history
