#pragma once
// Scenario: what happens to a cluster, told in sentences, one a line; lines that begin with # are
// for the reader. All sentences there are stand in scenario.cc. Those that say how something is
// wait until it is so. The checks of the simulation look on all the time, and the last line of each
// scenario, "all is well in the end", heals what is broken and asks for the verdict (verdict.h).
//
//   3 nodes start
//   the topic has replicas 1,2,3
//   10 records are acknowledged
//   node 1 is killed
//   node 2 leads
//   all is well in the end
//
// A line "fault: NAME" names the planted fault with which the scenario must fail.
//
// Thread rule: one thread, as all of the simulator.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tests/sim/cluster/cluster.h"

namespace sluice::sim {

class Scenario {
 public:
  // kInvalidArgument names the first line that is no sentence.
  static Result<Scenario> Parse(std::string_view text);

  // Empty, or at which line what went wrong.
  std::string Run(uint64_t seed);
  // Empty: none.
  const std::string& fault() const { return fault_; }

 private:
  using Words = std::vector<std::string>;
  using Act = std::string (Scenario::*)(const Words& arguments);
  struct Sentence {
    std::string_view pattern;  // # stands for a word, an argument
    Act act;
  };
  struct Line {
    size_t number;
    std::string text;
    Act act;
    Words arguments;
  };
  static const std::vector<Sentence>& Sentences();
  static std::optional<Words> Match(std::string_view pattern, const Words& words);

  // Sentences; each gives what went wrong.
  std::string Begin(const Words& words);
  std::string MakeTopic(const Words& words);
  std::string MakeTopicAgain(const Words& words);
  std::string DeleteTopic(const Words& words);
  std::string Follow(const Words& words);
  std::string AskEnd(const Words& words);
  std::string Acknowledged(const Words& words);
  std::string Sent(const Words& words);
  std::string SentWithAcksOne(const Words& words);
  std::string SentAreAcknowledged(const Words& words);
  std::string SentAreAcknowledgedWithin(const Words& words);
  std::string SentAhead(const Words& words);
  std::string RefusedAsOutOfOrder(const Words& words);
  std::string HaveRead(const Words& words);
  std::string ToldOfLoss(const Words& words);
  std::string Kill(const Words& words);
  std::string LosePower(const Words& words);
  std::string AllLosePower(const Words& words);
  std::string StartNode(const Words& words);
  std::string AllStart(const Words& words);
  std::string StopCleanly(const Words& words);
  std::string Stopped(const Words& words);
  std::string Pause(const Words& words);
  std::string Resume(const Words& words);
  std::string EmptyDisk(const Words& words);
  std::string CopyDisk(const Words& words);
  std::string RestoreDisk(const Words& words);
  std::string FillDisk(const Words& words);
  std::string MakeRoom(const Words& words);
  std::string TearEpochs(const Words& words);
  std::string NextSyncFails(const Words& words);
  std::string SyncsTake(const Words& words);
  std::string WritesOn(const Words& words);
  std::string CutOff(const Words& words);
  std::string CutOneWay(const Words& words);
  std::string CutFromOthers(const Words& words);
  std::string CutAnswersToClients(const Words& words);
  std::string CutAnswersToReaders(const Words& words);
  std::string CallsWait(const Words& words);
  std::string CallsArrive(const Words& words);
  std::string HeartbeatsWait(const Words& words);
  std::string HeartbeatsArrive(const Words& words);
  std::string MetadataWait(const Words& words);
  std::string Heal(const Words& words);
  std::string Pass(const Words& words);
  std::string InService(const Words& words);
  std::string Leads(const Words& words);
  std::string NobodyLeads(const Words& words);
  std::string LeadsNotFor(const Words& words);
  std::string IsrIs(const Words& words);
  std::string SetMinIsr(const Words& words);
  std::string SetDurability(const Words& words);
  std::string ToldOfFlushes(const Words& words);
  std::string Move(const Words& words);
  std::string CancelMove(const Words& words);
  std::string CancelIsRefused(const Words& words);
  std::string MoveDone(const Words& words);
  std::string ElectPreferred(const Words& words);
  std::string ElectUncleanly(const Words& words);
  std::string RecordsExpire(const Words& words);
  std::string FirstAreGone(const Words& words);
  std::string End(const Words& words);

  std::string Await(const std::function<bool()>& done);
  // Asks again and again: whoever is asked may be down.
  std::string Insist(const std::function<void()>& ask, const std::function<bool()>& done);
  bool AllInService() const;
  const metadata::PartitionImage* Partition() const;
  Admin& admin() { return *cluster_->admin(); }
  void CutLaneOf(NodeId node, Lane lane, bool to_others);
  void HealLaneOf(NodeId node, Lane lane);

  std::vector<Line> lines_;
  std::string fault_;
  std::unique_ptr<Cluster> cluster_;
  uint64_t seed_ = 1;
  TopicOptions topic_;
  Producer* producer_ = nullptr;
  Producer* producer_of_acks_one_ = nullptr;
};

}  // namespace sluice::sim
