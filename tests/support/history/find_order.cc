// Readers and producers for whom a partition is not one sequence.
#include <algorithm>

#include "tests/support/history/facts.h"

namespace sluice::history {
namespace {

// What is held in [from, to) was passed by this reader and not given to it.
void FindSkippedBetween(const Place& place, const PlaceFacts& told, const Did<Poll>& reader,
                        std::pair<Offset, Offset> range, std::vector<Anomaly>& found) {
  for (auto held = told.held.lower_bound(range.first);
       held != told.held.end() && held->first < range.second; ++held) {
    const bool read = std::holds_alternative<Poll>(held->second.heard->what);
    found.push_back({read ? "skipped" : "lost",
                     Tell(place, held->first, held->second.value, *held->second.heard) +
                         "; passed by " + Tell(*reader.operation)});
  }
}

}  // namespace

void FindSkipped(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    for (const Did<Poll>& reader : told.polls) {
      Offset next = reader.what->from;
      for (const Poll::Seen& seen : reader.what->records) {
        FindSkippedBetween(place, told, reader, {next, seen.offset}, found);
        next = seen.offset + 1;
      }
      FindSkippedBetween(place, told, reader, {next, reader.what->to}, found);
    }
  }
}

void FindReadBack(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    std::map<int32_t, Offset> positions;  // by client
    for (const auto& [operation, poll] : told.polls) {
      const auto [position, is_first] = positions.try_emplace(operation->client, poll->to);
      if (!is_first && !poll->sought && poll->from != position->second)
        found.push_back(
            {"read back", Tell(*operation) + " asked from " + std::to_string(poll->from.value()) +
                              ", its position was " + std::to_string(position->second.value())});
      position->second = poll->to;
      Offset next = poll->from;
      for (const Poll::Seen& seen : poll->records) {
        if (seen.offset < next || seen.offset >= poll->to)
          found.push_back({"read back", Tell(place, seen.offset, seen.value, *operation)});
        next = std::max(next, seen.offset + 1);
      }
    }
  }
}

// A producer that is not idempotent keeps the order only of what it did not have in flight at once.
void FindOutOfOrder(const Facts& facts, std::vector<Anomaly>& found) {
  for (const auto& [place, told] : facts.places) {
    std::map<int32_t, std::vector<Did<Send>>> by_client;
    for (const Did<Send>& send : told.sends)
      if (send.what->offset.has_value()) by_client[send.operation->client].push_back(send);
    for (const auto& [client, sends] : by_client) {
      std::vector<Did<Send>> ended = sends;
      std::ranges::sort(ended, {}, [](const auto& send) { return send.operation->end_us; });
      auto before = ended.begin();
      std::optional<Did<Send>> highest;
      for (const Did<Send>& send : sends) {
        for (; !facts.idempotent && before->operation->end_us < send.operation->begin_us; ++before)
          if (!highest.has_value() || *before->what->offset > *highest->what->offset)
            highest = *before;
        if (highest.has_value() && *send.what->offset < *highest->what->offset)
          found.push_back(
              {"out of order",
               Tell(place, *send.what->offset, send.what->value, *send.operation) + "; and " +
                   Tell(place, *highest->what->offset, highest->what->value, *highest->operation)});
        if (facts.idempotent) highest = send;
      }
    }
  }
}

}  // namespace sluice::history
