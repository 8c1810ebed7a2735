// check_history: judges histories that real clients wrote (history_json.h, judge.h).
//
//   check_history FILE
//
// Prints one JSON object: how many operations there are, and the anomalies with their kinds.
// Exit status: 0 none, 1 some, 2 the file is no history.

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/history/history_json.h"
#include "tests/support/history/judge.h"

namespace sluice::history {
namespace {

int Main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: check_history FILE\n";
    return 2;
  }
  std::ifstream file(argv[1]);
  if (!file) {
    std::cerr << argv[1] << " cannot be read\n";
    return 2;
  }
  std::ostringstream lines;
  lines << file.rdbuf();
  const Result<History> history = ParseHistory(lines.str());
  if (!history.ok()) {
    std::cerr << argv[1] << ": " << history.status().message() << "\n";
    return 2;
  }
  nlohmann::json verdict = {{"operations", history->operations.size()},
                            {"anomalies", nlohmann::json::array()}};
  for (const Anomaly& anomaly : Judge(*history))
    verdict["anomalies"].push_back({{"kind", anomaly.kind}, {"what", anomaly.what}});
  std::cout << verdict.dump(1) << "\n";
  return verdict["anomalies"].empty() ? 0 : 1;
}

}  // namespace
}  // namespace sluice::history

int main(int argc, char** argv) { return sluice::history::Main(argc, argv); }
