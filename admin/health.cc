#include "admin/health.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace sluice::admin {
namespace {

constexpr int kReplicasNamedMax = 5;

// The partitions that have one problem, and what their replicas suffer from.
struct Affected {
  int partitions = 0;
  std::set<NodeId> down;  // registered, and not in service
  std::set<NodeId> full;  // has no room for one of them
  int damaged_here = 0;   // replicas of the answering node
  int others = 0;         // partitions with none of that
};

struct Counts {
  int brokers = 0;
  int brokers_down = 0;
  int partitions = 0;
  Affected offline;
  Affected under_min_isr;      // with a leader: writes with acks=all fail
  Affected leader_full;        // enough in sync, and the leader has no room: no write is taken
  Affected too_few_with_room;  // enough in sync, too few of them with room: acks=all fails
  Affected at_min_isr;         // not all replicas in sync, one failure from the above
  Affected under_replicated;   // further from it
  int damaged_here = 0;        // replicas of the answering node
  std::string first_offline;
  int undecided = 0;  // of those: nobody has all records, and an operator has to say who leads
  std::string first_undecided;
  int awaiting_all = 0;  // and of those: the longest log is to lead once all replicas are there
  std::string first_awaiting;
  std::vector<NodeId> awaited;  // by that one
  std::vector<NodeId> down;
};

// Which replicas have no room, by what brokers tell the active controller.
class FullReplicas {
 public:
  FullReplicas(const metadata::Image& image, const QuorumAnswer* quorum) : image_(image) {
    if (quorum == nullptr) return;
    for (const auto& broker : quorum->full_brokers()) {
      Told& told = brokers_[NodeId(broker.id())];
      told.directories = broker.directories();
      for (const std::string& id : broker.directory_ids()) told.ids.insert(id);
    }
  }

  bool Has(const metadata::PartitionImage& partition, NodeId replica) const {
    if (brokers_.empty()) return false;
    const auto told = brokers_.find(replica);
    const metadata::BrokerImage* broker = image_.FindBroker(replica);
    if (told == brokers_.end() || broker == nullptr) return false;
    const Uuid assigned = partition.DirectoryOf(replica);
    if (!assigned.IsZero() && !told->second.ids.empty())
      return told->second.ids.contains(std::string(assigned.view()));
    // A controller of an earlier version only counts them; and before a broker with several has
    // said where a replica is, all of them tell.
    return told->second.directories >= static_cast<int>(broker->log_directories.size());
  }

 private:
  struct Told {
    int directories = 0;
    std::set<std::string> ids;
  };
  const metadata::Image& image_;
  std::map<NodeId, Told> brokers_;
};

std::string Plural(int count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

template <typename Nodes>
std::string Join(const Nodes& nodes) {
  std::string text;
  for (const NodeId node : nodes) text += (text.empty() ? "" : ", ") + std::to_string(node.value());
  return text;
}

// Of a partition without a leader: whether any replica is sure to have all records, and what is
// waited for if not.
void CountUndecided(const metadata::Image& image, const metadata::TopicImage& topic, size_t index,
                    Counts* counts) {
  const metadata::PartitionImage& partition = topic.partitions[index];
  if (!partition.isr.empty() || !partition.elr.empty()) return;
  const std::string name = topic.name + " " + std::to_string(index);
  if (partition.last_known_elr.empty()) {
    if (counts->undecided++ == 0) counts->first_undecided = name;
  } else if (counts->awaiting_all++ == 0) {
    counts->first_awaiting = name;
    for (const NodeId replica : partition.replicas) {
      if (!metadata::ReplicaActive(image, partition, replica)) counts->awaited.push_back(replica);
    }
  }
}

using NameAndIndex = std::pair<std::string, PartitionIndex>;

// What there is to know of replicas beside the image.
struct Replicas {
  const FullReplicas full;
  std::set<NameAndIndex> damaged_here{};
};

// Of a partition with a leader: the problem that it has, or null. Who has no room appends nothing:
// as a leader it refuses every record, and as a member of the ISR it holds acks=all up until it
// lags and leaves.
Affected* ProblemOfLed(const metadata::Image& image, const metadata::TopicImage& topic,
                       const metadata::PartitionImage& partition, const FullReplicas& full,
                       Counts* counts) {
  const auto with_room =
      std::ranges::count_if(partition.isr, [&](NodeId node) { return !full.Has(partition, node); });
  const int32_t spare =
      static_cast<int32_t>(with_room) - metadata::EffectiveMinIsr(image, topic.name, partition);
  if (IsUnderMinIsr(image, topic.name, partition)) return &counts->under_min_isr;
  if (full.Has(partition, partition.leader)) return &counts->leader_full;
  if (spare < 0) return &counts->too_few_with_room;
  if (!IsUnderReplicated(partition) && with_room == std::ssize(partition.isr)) return nullptr;
  return spare == 0 ? &counts->at_min_isr : &counts->under_replicated;
}

// What the replicas of one more partition suffer from.
void AddReplicas(const metadata::Image& image, const NameAndIndex& name,
                 const metadata::PartitionImage& partition, const Replicas& replicas,
                 Affected* affected) {
  ++affected->partitions;
  const bool damaged = replicas.damaged_here.contains(name);
  affected->damaged_here += damaged;
  bool other = !damaged;
  for (const NodeId replica : partition.replicas) {
    const metadata::BrokerImage* broker = image.FindBroker(replica);
    const bool down = broker != nullptr && !broker->active();
    // Room gives nobody the lead: who has none leads where nobody else may.
    const bool full = !IsOffline(partition) && replicas.full.Has(partition, replica);
    if (down) affected->down.insert(replica);
    if (full) affected->full.insert(replica);
    other = other && !down && !full;
  }
  // Without a leader nobody catches up.
  affected->others += other && !IsOffline(partition);
}

void CountPartition(const metadata::Image& image, const metadata::TopicImage& topic, size_t index,
                    const Replicas& replicas, Counts* counts) {
  const metadata::PartitionImage& partition = topic.partitions[index];
  const bool offline = IsOffline(partition);
  ++counts->partitions;
  Affected* affected =
      offline ? &counts->offline : ProblemOfLed(image, topic, partition, replicas.full, counts);
  if (affected == nullptr) return;
  if (offline && affected->partitions == 0)
    counts->first_offline = topic.name + "-" + std::to_string(index);
  if (offline) CountUndecided(image, topic, index, counts);
  AddReplicas(image, {topic.name, PartitionIndex(static_cast<int32_t>(index))}, partition, replicas,
              affected);
}

Counts Count(const metadata::Image& image, const QuorumAnswer* quorum, const LocalReplicas& local) {
  Replicas replicas{.full = FullReplicas(image, quorum)};
  Counts counts;
  for (const LocalPartition& partition : local.partitions) {
    if (!partition.offline) continue;
    ++counts.damaged_here;
    replicas.damaged_here.emplace(partition.topic, partition.partition);
  }
  for (const auto& [id, broker] : image.brokers) {
    ++counts.brokers;
    if (broker->active()) continue;
    ++counts.brokers_down;
    counts.down.push_back(id);
  }
  for (const auto& [name, topic] : *image.topics_by_name) {
    for (size_t i = 0; i < topic->partitions.size(); ++i)
      CountPartition(image, *topic, i, replicas, &counts);
  }
  return counts;
}

void AddProblem(ClusterHealthResponse* response, std::string what, std::string next_step) {
  Problem* problem = response->add_problems();
  problem->set_what(std::move(what));
  problem->set_next_step(std::move(next_step));
}

// `role`: what it is in the quorum that `leader` leads, and is not that leader itself.
void AddMemberProblems(const controller::DescribeQuorumResponse::Voter& member,
                       const std::string& role, int32_t leader, ClusterHealthResponse* response) {
  const std::string id = std::to_string(member.id());
  const std::string name = role + " " + id + " at " + member.address();
  const std::string bring_back =
      "bring node " + id + " back; if it runs, its log says what keeps it from taking part";
  if (member.last_contact_age_ms() > kVoterSilenceMsMax) {
    AddProblem(response,
               name + " has not been heard for " +
                   std::to_string(member.last_contact_age_ms() / 1000) + " s",
               bring_back);
  } else if (member.recovering()) {
    AddProblem(response,
               name +
                   " has lost entries of its metadata log to damage, and does not vote until the "
                   "others have given them back",
               "wait; look into its disk, and leave the other controllers running meanwhile");
  } else if (member.match_index() < 0) {
    AddProblem(response,
               name + " has not confirmed any of the metadata log to the active controller " +
                   std::to_string(leader) + " yet",
               "wait; if it stays so, the log of node " + id + " says what keeps it");
  }
}

struct VoterCounts {
  int all = 0;
  int answering = 0;
  std::string silent;  // the others, by id
};

VoterCounts CountVoters(const QuorumAnswer& quorum) {
  VoterCounts counts;
  for (const auto& voter : quorum.voters()) {
    ++counts.all;
    const bool answers =
        voter.id() == quorum.leader_id() ||
        (voter.last_contact_age_ms() >= 0 && voter.last_contact_age_ms() <= kVoterSilenceMsMax &&
         voter.match_index() >= 0 && !voter.recovering());
    counts.answering += answers ? 1 : 0;
    if (!answers) counts.silent += (counts.silent.empty() ? "" : ", ") + std::to_string(voter.id());
  }
  return counts;
}

// Each of those that are away is told by itself; here is what that means.
void AddMajorityAtRisk(const QuorumAnswer& quorum, ClusterHealthResponse* response) {
  const VoterCounts counts = CountVoters(quorum);
  const int majority = counts.all / 2 + 1;
  // With fewer than that the leader is about to resign, and soon no controller is active.
  if (counts.answering == counts.all || counts.answering != majority) return;
  AddProblem(response,
             "of " + Plural(counts.all, "controller") + " " + std::to_string(counts.answering) +
                 " take part, and a majority is " + std::to_string(majority) +
                 ": no more of them may fail, or topics cannot be changed and failed leaders are "
                 "not replaced",
             "bring controller " + counts.silent + " back before another one is stopped");
}

void AddQuorumProblems(const QuorumAnswer* quorum, ClusterHealthResponse* response) {
  if (quorum == nullptr) {
    AddProblem(
        response,
        "no controller is active: topics cannot be changed and failed leaders are not replaced",
        "start controllers until a majority of them runs, on a cluster's first day all of them; "
        "one that runs and takes no part says what it waits for when its own node is asked");
    return;
  }
  const int32_t leader = quorum->leader_id();
  for (const auto& voter : quorum->voters()) {
    if (voter.id() != leader) AddMemberProblems(voter, "controller", leader, response);
  }
  AddMajorityAtRisk(*quorum, response);
  for (const auto& learner : quorum->learners())
    AddMemberProblems(learner, "learner", leader, response);
}

// By what brokers tell the active controller; of itself the answering node says more (below).
void AddFullBrokers(const QuorumAnswer* quorum, const LocalReplicas& local,
                    ClusterHealthResponse* response) {
  if (quorum == nullptr) return;
  for (const auto& full : quorum->full_brokers()) {
    const bool said_below =
        full.id() == local.node_id.value() &&
        std::ranges::any_of(local.directories, [](const LocalDirectory& directory) {
          return directory.standing == LocalDirectory::Standing::kFull;
        });
    if (said_below) continue;
    const std::string id = std::to_string(full.id());
    AddProblem(response,
               "broker " + id + " has " +
                   (full.directories() == 1
                        ? "a full log directory"
                        : std::to_string(full.directories()) + " full log directories") +
                   ": its replicas there lead nothing and are out of sync wherever the others "
                   "suffice",
               "give the disk of node " + id +
                   " room, or shorten the retention of the topics in it; no restart is needed as "
                   "long as that node has something in reserve (space.reserve). The health of that "
                   "node names the directory");
  }
}

// Those without a leader where no replica is sure to have all records.
void AddUndecided(const Counts& counts, ClusterHealthResponse* response) {
  if (counts.undecided > 0) {
    AddProblem(response,
               "of them " + std::to_string(counts.undecided) +
                   " will not get one by itself: the replica that led last came back on an empty "
                   "disk, and the others may lack what it had got alone",
               "if its disk can be brought back, do that first; else start all other replicas that "
               "can be, and let the one lead whose log has the most: sluice partition elect " +
                   counts.first_undecided + " --unclean");
  }
  if (counts.awaiting_all > 0) {
    const std::string missing = counts.awaited.empty()
                                    ? "it takes a second; if it stays so, one of them cannot use "
                                      "its log, and the health of "
                                      "its own node says why"
                                    : "bring node " + Join(counts.awaited) + " back";
    AddProblem(
        response,
        "of them " + std::to_string(counts.awaiting_all) +
            " wait until all of their replicas run: the one that led last came back without "
            "some of its records, and the one that has the most is to lead (" +
            counts.first_awaiting + (counts.awaiting_all > 1 ? " and others)" : ")"),
        missing +
            "; where a replica is gone for good, let the one lead that has the most of those "
            "that run: sluice partition elect " +
            counts.first_awaiting + " --unclean");
  }
}

// What brings the replicas back into the ISRs of these partitions.
std::string BringBack(const Affected& affected) {
  std::string steps;
  const auto add = [&steps](const std::string& step) {
    steps += (steps.empty() ? "" : "; ") + step;
  };
  if (!affected.down.empty()) add("bring node " + Join(affected.down) + " back");
  if (!affected.full.empty())
    add("give the disk of node " + Join(affected.full) + " room, as said below");
  const bool rebuilt = steps.empty() && affected.damaged_here > 0;
  if (rebuilt) {
    const std::string damaged = affected.damaged_here == 1
                                    ? "damaged replica"
                                    : Plural(affected.damaged_here, "damaged replica");
    add("rebuild the " + damaged + " of this node, as said below");
  }
  if (steps.empty()) {
    return "wait until the replicas have caught up; sluice topic describe shows a topic's. One "
           "that does not may be damaged: ask its own node for its health";
  }
  if (rebuilt || affected.others > 0) {
    add("others catch up by themselves, unless the health of their own nodes names them");
  }
  return steps;
}

// What has enough replicas in sync, and is not written all the same.
void AddWithoutRoom(const Counts& counts, ClusterHealthResponse* response) {
  const auto next = [](const Affected& affected) {
    return "give the disk of node " + Join(affected.full) + " room, as said below";
  };
  if (counts.leader_full.partitions > 0) {
    AddProblem(response,
               Plural(counts.leader_full.partitions, "partition") +
                   " whose leader is on a full disk: no record is taken, with any acks; what is "
                   "there can be read",
               next(counts.leader_full));
  }
  if (counts.too_few_with_room.partitions > 0) {
    AddProblem(response,
               Plural(counts.too_few_with_room.partitions, "partition") +
                   " with fewer in-sync replicas on disks with room than min.insync.replicas: "
                   "writes with acks=all fail; others, and reads, go on",
               next(counts.too_few_with_room));
  }
}

void AddDataProblems(const Counts& counts, ClusterHealthResponse* response) {
  const int offline = counts.offline.partitions;
  if (offline > 0) {
    AddProblem(response,
               Plural(offline, "partition") + " without a leader (" + counts.first_offline +
                   (offline > 1 ? " and others" : "") + "): neither read nor written",
               BringBack(counts.offline));
  }
  AddUndecided(counts, response);
  if (counts.under_min_isr.partitions > 0) {
    AddProblem(
        response,
        Plural(counts.under_min_isr.partitions, "partition") +
            " with fewer replicas in sync than min.insync.replicas: writes with acks=all fail",
        BringBack(counts.under_min_isr));
  }
  AddWithoutRoom(counts, response);
  const Affected& at_min_isr = counts.at_min_isr;
  if (at_min_isr.partitions > 0) {
    AddProblem(response,
               Plural(at_min_isr.partitions, "partition") +
                   " with just min.insync.replicas in sync" +
                   (at_min_isr.full.empty() ? "" : " on disks with room") +
                   ": one more failure stops writes to them",
               BringBack(at_min_isr));
  }
  const Affected& under_replicated = counts.under_replicated;
  if (under_replicated.partitions > 0) {
    AddProblem(
        response,
        Plural(under_replicated.partitions, "partition") + " with replicas " +
            (under_replicated.full.empty() ? "out of sync" : "out of sync, or on full disks"),
        BringBack(under_replicated));
  }
}

void AddOfflineReplicas(const Counts& counts, const LocalReplicas& local,
                        ClusterHealthResponse* response) {
  const int count = counts.damaged_here;
  if (count == 0) return;
  int named = 0;
  std::string each;  // and how it is damaged
  for (const LocalPartition& partition : local.partitions) {
    if (!partition.offline || ++named > kReplicasNamedMax) continue;
    const std::string how = partition.damage.substr(0, partition.damage.find(". Nothing was"));
    each += (named == 1 ? "" : "; ") + partition.topic + "-" +
            std::to_string(partition.partition.value()) + (how.empty() ? "" : ": " + how);
  }
  if (count > kReplicasNamedMax)
    each += "; and " + std::to_string(count - kReplicasNamedMax) + " more, named in its log";
  const std::string node = std::to_string(local.node_id.value());
  AddProblem(response,
             Plural(count, "replica") + " on node " + node + (count == 1 ? " has" : " have") +
                 " a damaged log: " + each,
             "where another replica is in sync: stop node " + node +
                 ", remove that partition's directory and start it, and it is copied again; where "
                 "none is, put the damaged file back, or see with sluice log verify what is whole");
}

void AddReserveProblem(const LocalDirectory& reserve, const std::string& node,
                       ClusterHealthResponse* response) {
  const bool no_room = reserve.standing == LocalDirectory::Standing::kReserveWithoutRoom;
  const std::string disk = "the disk of " + reserve.path + " of node " + node;
  AddProblem(
      response,
      disk + (no_room ? " has no room for all of its reserve" : " refuses all of its reserve") +
          " (space.reserve), " + std::to_string(reserve.free_bytes >> 10) + " KiB of it are there" +
          (no_room ? "" : ", although it shows enough room"),
      (no_room ? "give it room: with " + std::to_string((reserve.wanted_bytes >> 20) + 1) +
                     " MiB free the reserve is made again within seconds. "
               : "see that no quota keeps the node from writing there; its log says what failed. "
                 "It is tried again, at least every 10 min. ") +
          "No restart is needed as long as some of it is left; without it a controller ends when "
          "it cannot write, and a start may fail");
}

void AddDirectoryProblems(const LocalReplicas& local, ClusterHealthResponse* response) {
  for (const LocalDirectory& directory : local.directories) {
    const std::string name =
        "log directory " + directory.path + " of node " + std::to_string(local.node_id.value());
    const std::string has =
        name + " has only " + std::to_string(directory.free_bytes >> 20) + " MiB free: ";
    switch (directory.standing) {
      case LocalDirectory::Standing::kOnline: break;
      case LocalDirectory::Standing::kLow:
        AddProblem(response, has + "producers are slowed down",
                   "give it room, or shorten the retention of the topics in it");
        break;
      case LocalDirectory::Standing::kFull:
        AddProblem(response, has + "nothing is written to it",
                   "give it room, or shorten the retention of the topics in it; no restart is "
                   "needed as long as the node has something in reserve (space.reserve)");
        break;
      case LocalDirectory::Standing::kReserveWithoutRoom:
      case LocalDirectory::Standing::kReserveRefused:
        AddReserveProblem(directory, std::to_string(local.node_id.value()), response);
        break;
      case LocalDirectory::Standing::kOffline:
        AddProblem(response, name + " is offline, with the replicas in it",
                   "mend or replace the disk, then restart the node; or take the directory out of "
                   "log.dirs to have the replicas made anew elsewhere");
        break;
    }
  }
}

// What operators have asked for stays until they take it back, through restarts: it is easily
// forgotten, and nothing is wrong with it.
void AddNotes(const metadata::Image& image, ClusterHealthResponse* response) {
  for (const auto& [id, broker] : image.brokers) {
    if (!broker->yields()) continue;
    const std::string name = std::to_string(id.value());
    Problem* note = response->add_notes();
    if (broker->goal == metadata::BrokerGoal::kDrain) {
      note->set_what("broker " + name +
                     " is drained: it leads only what nobody else may lead, and gets no new "
                     "replicas");
      note->set_next_step("sluice broker undrain " + name + " lets it serve again");
    } else {
      note->set_what("broker " + name + " is being decommissioned: its replicas move to others");
      note->set_next_step("sluice broker decommission " + name +
                          " --status shows how far it is, --cancel gives it up");
    }
  }
}

std::string Summary(const Counts& counts, bool healthy, const QuorumAnswer* quorum) {
  if (healthy) {
    return Plural(counts.brokers, "broker") + " in service, " +
           Plural(counts.partitions, "partition") + ", all in sync";
  }
  // Nobody fences a broker or moves a leader meanwhile, so the image says nothing about now.
  if (quorum == nullptr) {
    return "no controller is active; the state of the brokers and of the data is unknown since "
           "then";
  }
  std::string summary = counts.brokers_down == 0
                            ? "all " + std::to_string(counts.brokers) + " brokers in service"
                            : std::to_string(counts.brokers_down) + " of " +
                                  Plural(counts.brokers, "broker") + " down";
  const VoterCounts voters = CountVoters(*quorum);
  if (voters.answering < voters.all) {
    summary += ", " + std::to_string(voters.all - voters.answering) + " of " +
               Plural(voters.all, "controller") + " down";
  }
  const int offline = counts.offline.partitions;
  if (offline > 0) return summary + "; " + Plural(offline, "partition") + " unavailable";
  const int unwritten = counts.under_min_isr.partitions + counts.leader_full.partitions +
                        counts.too_few_with_room.partitions;
  if (unwritten > 0) return summary + "; " + Plural(unwritten, "partition") + " cannot be written";
  // Whether another replica has what is damaged here, only the others can tell.
  if (counts.damaged_here > 0)
    return summary + "; " + Plural(counts.damaged_here, "replica") + " damaged on this node";
  return summary + "; no data unavailable";
}

}  // namespace

ClusterHealthResponse EvaluateHealth(const metadata::Image& image, const QuorumAnswer* quorum,
                                     const LocalReplicas& local) {
  const Counts counts = Count(image, quorum, local);
  ClusterHealthResponse response;
  AddQuorumProblems(quorum, &response);
  if (counts.brokers_down > 0) {
    AddProblem(&response,
               Plural(counts.brokers_down, "broker") + " of " + std::to_string(counts.brokers) +
                   " out of service: " + Join(counts.down),
               "bring node " + Join(counts.down) + " back");
  }
  AddDataProblems(counts, &response);
  AddFullBrokers(quorum, local, &response);
  if (local.knows_cluster && counts.brokers == 0)
    AddProblem(&response, "no broker has registered", "start a broker");
  const int of_all = response.problems_size();
  if (!local.vote_waits_for.empty())
    AddProblem(&response,
               "the controller of node " + std::to_string(local.node_id.value()) + " " +
                   local.vote_waits_for,
               "start the controllers that do not run, and leave the others running");
  AddOfflineReplicas(counts, local, &response);
  AddDirectoryProblems(local, &response);
  if (!local.knows_cluster) {
    AddProblem(&response, "this node does not know the cluster's metadata yet",
               "wait for its start to end, or ask another node");
  }
  for (int i = of_all; i < response.problems_size(); ++i)
    response.mutable_problems(i)->set_node(local.node_id.value());

  response.set_healthy(response.problems().empty());
  AddNotes(image, &response);
  response.set_summary(Summary(counts, response.healthy(), quorum));
  return response;
}

}  // namespace sluice::admin
