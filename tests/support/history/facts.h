#pragma once
// Facts: what a history says about each place, put in order once for all that look for anomalies.
//
// Thread rule: values; it points into the history.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/history/history.h"
#include "tests/support/history/judge.h"

namespace sluice::history {

template <typename What>
struct Did {
  const Operation* operation;
  const What* what;
};

struct PlaceFacts {
  // What an offset holds, told by an acknowledgement or to a reader: the first that was heard of
  // each, and by which operation.
  struct Held {
    Value value;
    const Operation* heard;
  };
  std::map<Offset, Held> held;
  // Those whose outcome is kOk, but for commits, of which none has failed; by begin_us.
  std::vector<Did<Send>> sends;
  std::vector<Did<Poll>> polls;
  std::vector<Did<Commit>> commits;
  std::vector<Did<FetchCommitted>> fetches;
  std::vector<Did<AskEnd>> ends;
};

struct Facts {
  explicit Facts(const History& history);

  bool idempotent;
  std::map<Place, PlaceFacts> places;
  std::map<Value, const Operation*> sent;  // whatever became of it
  std::vector<Anomaly> contradictions;     // two values at one offset
};

// "orders-0 offset 7 value 12, send of client 1 at 1000-1200 us"
std::string Tell(const Place& place, Offset offset, Value value, const Operation& operation);
std::string Tell(const Operation& operation);

// What each looks for is said in judge.h.
void FindLost(const Facts& facts, std::vector<Anomaly>& found);
void FindDuplicates(const Facts& facts, std::vector<Anomaly>& found);
void FindPhantoms(const Facts& facts, std::vector<Anomaly>& found);
void FindSkipped(const Facts& facts, std::vector<Anomaly>& found);
void FindReadBack(const Facts& facts, std::vector<Anomaly>& found);
void FindOutOfOrder(const Facts& facts, std::vector<Anomaly>& found);
void FindCommittedBack(const Facts& facts, std::vector<Anomaly>& found);
void FindEndsThatWentBack(const Facts& facts, std::vector<Anomaly>& found);

}  // namespace sluice::history
