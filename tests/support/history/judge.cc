#include "tests/support/history/judge.h"

#include "tests/support/history/facts.h"

namespace sluice::history {

std::vector<Anomaly> Judge(const History& history) {
  const Facts facts(history);
  std::vector<Anomaly> found = facts.contradictions;
  for (const auto find : {FindLost, FindDuplicates, FindPhantoms, FindSkipped, FindReadBack,
                          FindOutOfOrder, FindCommittedBack, FindEndsThatWentBack})
    find(facts, found);
  return found;
}

}  // namespace sluice::history
