#pragma once
// IsrLog: what this broker, as a leader, asks of its ISRs, gathered for the log: a node that stops
// or comes back leaves or joins hundreds of them at once, and that is one line with their number
// and a few names. The line for each of them is VLOG(1), written by who notes it.
//
// Thread rule: any thread; noted under the partition's mutex, calls nobody back.

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/ids.h"
#include "storage/log_manager.h"

namespace sluice::broker {

class IsrLog {
 public:
  void NoteJoins(const storage::TopicPartition& partition, NodeId broker);
  void NoteLeaves(const storage::TopicPartition& partition, NodeId broker);
  // Of all that was noted since the last call; empty when nothing was.
  std::string TakeSummary();

 private:
  static constexpr size_t kNamedMax = 3;
  struct Burst {
    size_t count = 0;
    std::vector<std::string> named;  // the first ones
  };
  using ByBroker = std::map<NodeId, Burst>;

  static void Note(const storage::TopicPartition& partition, Burst& burst);
  static void Describe(const ByBroker& bursts, const std::string& verb, std::string& text);

  std::mutex mutex_;  // guards all below
  ByBroker joins_;
  ByBroker leaves_;
};

}  // namespace sluice::broker
