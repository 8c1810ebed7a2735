#pragma once
// IsrLog: what becomes of the ISRs that this broker leads, gathered for the log: a node that stops
// or comes back leaves or joins hundreds of them at once, and that is one line with their number
// and a few names. Who joins is told when it has joined, or was refused: a leader may ask in vain
// for as long as a disk is full. Who is to leave is told when it is asked for: that says why
// records wait, also where nobody answers. The line for each of them is VLOG(1), written by who
// notes it.
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
  void NoteJoined(const storage::TopicPartition& partition, NodeId broker);
  void NoteRefused(const storage::TopicPartition& partition, NodeId broker);
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
  ByBroker joined_;
  ByBroker refused_;
  ByBroker leaves_;
};

}  // namespace sluice::broker
