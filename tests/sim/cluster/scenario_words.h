#pragma once
// What the words of a scenario's sentences mean, and the topic that they are about.
//
// Thread rule: pure functions.

#include <charconv>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "base/ids.h"
#include "tests/support/history/history.h"

namespace sluice::sim {

inline constexpr char kTopic[] = "orders";
inline const history::Place kPlace{kTopic, PartitionIndex(0)};

inline int64_t Number(const std::string& word) {
  int64_t number = 0;
  std::from_chars(word.data(), word.data() + word.size(), number);
  return number;
}

inline NodeId Node(const std::string& word) { return NodeId(static_cast<int32_t>(Number(word))); }

// "1,2,3"
inline std::vector<NodeId> Nodes(const std::string& word) {
  std::vector<NodeId> nodes;
  std::istringstream in(word);
  for (std::string one; std::getline(in, one, ',');) nodes.push_back(Node(one));
  return nodes;
}

}  // namespace sluice::sim
