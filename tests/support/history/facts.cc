#include "tests/support/history/facts.h"

#include <sstream>

namespace sluice::history {
namespace {

const char* NameOf(const Operation& operation) {
  static constexpr const char* kNames[] = {"send", "poll", "commit", "fetch of the position",
                                           "question for the end"};
  return kNames[operation.what.index()];
}

// Sorts the operations of a history into its facts.
class Sorter {
 public:
  Sorter(Facts& facts, const Operation& operation)
      : facts_(facts), place_(facts.places[operation.place]), operation_(operation) {}

  void operator()(const Send& send) {
    facts_.sent.emplace(send.value, &operation_);
    if (operation_.outcome != Outcome::kOk) return;
    place_.sends.push_back({&operation_, &send});
    if (send.offset.has_value()) Hold(*send.offset, send.value);
  }
  void operator()(const Poll& poll) {
    if (operation_.outcome != Outcome::kOk) return;
    place_.polls.push_back({&operation_, &poll});
    for (const Poll::Seen& seen : poll.records) Hold(seen.offset, seen.value);
  }
  void operator()(const Commit& commit) {
    if (operation_.outcome != Outcome::kFailed) place_.commits.push_back({&operation_, &commit});
  }
  void operator()(const FetchCommitted& fetch) {
    if (operation_.outcome == Outcome::kOk) place_.fetches.push_back({&operation_, &fetch});
  }
  void operator()(const AskEnd& ask) {
    if (operation_.outcome == Outcome::kOk) place_.ends.push_back({&operation_, &ask});
  }

 private:
  void Hold(Offset offset, Value value) {
    const auto [at, is_new] = place_.held.try_emplace(offset, value, &operation_);
    if (is_new || at->second.value == value) return;
    facts_.contradictions.push_back(
        {"two values", Tell(operation_.place, offset, value, operation_) + "; value " +
                           std::to_string(at->second.value) + ", " + Tell(*at->second.heard)});
  }

  Facts& facts_;
  PlaceFacts& place_;
  const Operation& operation_;
};

}  // namespace

Facts::Facts(const History& history) : idempotent(history.idempotent) {
  for (const Operation& operation : history.operations)
    std::visit(Sorter(*this, operation), operation.what);
}

std::string Tell(const Operation& operation) {
  std::ostringstream text;
  text << NameOf(operation) << " of client " << operation.client << " at " << operation.begin_us;
  if (operation.outcome == Outcome::kUnknown) {
    text << " us, outcome unknown";
  } else {
    text << "-" << operation.end_us << " us";
  }
  return text.str();
}

std::string Tell(const Place& place, Offset offset, Value value, const Operation& operation) {
  std::ostringstream text;
  text << place.topic << "-" << place.partition << " offset " << offset << " value " << value
       << ", " << Tell(operation);
  return text.str();
}

}  // namespace sluice::history
