#pragma once
// BrokerManager: registration, heartbeats, fencing and controlled shutdown of brokers. What lasts
// is records; contact times, applied indexes and evidence of death are soft state of the active
// controller, rebuilt at activation with a full session of grace for everyone.
//
// A broker's life:   registered (fenced) -> unfenced once ready and its applied metadata holds its
// registration
//                    -> fenced when its session expires or its process is known to be dead ->
//                    unfenced by its next heartbeat
//                    -> leaving (controlled shutdown) -> fenced.    A new incarnation starts again
//                    at the top.
//
// Thread rule: one owner (the controller's loop).

#include <map>
#include <optional>

#include "controller/decision.h"
#include "controller/full_directories.h"
#include "controller/log_ends.h"

namespace sluice::controller {

struct BrokerManagerOptions {
  int64_t session_timeout_ms = 600;
  int64_t refused_grace_ms = 50;  // between evidence of death and fencing
  int64_t silence_before_dial_ms = 150;
  int64_t takeover_before_dial_ms = 50;
  int64_t dial_interval_ms = 100;
  int64_t dial_timeout_ms = 200;
  int64_t fence_brake_percent = 50;  // of the brokers, within a session (MetadataController)
  size_t fence_step_changes = 5000;  // of partitions, in one entry
};

class BrokerManager {
 public:
  explicit BrokerManager(BrokerManagerOptions options) : options_(options) {}

  // Soft state: everyone gets a full session from now (a new active controller), or nothing is
  // known (any other).
  void Activate(const metadata::Image& image, int64_t now_ms);
  void Deactivate();

  Decision<RegisterBrokerResponse> Register(const HandleContext& context,
                                            const RegisterBrokerRequest& request);
  // Leaves lease, commit index and `fenced` of the response to the caller, who knows what is
  // committed.
  Decision<HeartbeatResponse> Heartbeat(const HandleContext& context,
                                        const HeartbeatRequest& request);

  // The broker that should be fenced first: it is dead for sure, or silent for longer than its
  // session.
  std::optional<NodeId> NextToFence(const metadata::Image& image, int64_t now_ms);
  // The next records that fence it: partition changes first, the broker's own with the last of
  // them. In steps, for a million changes are more than one entry may hold, and than the loop may
  // take at once. Whoever comes back between two of them is out of some ISRs, and leads less.
  struct FenceStep {
    Records records;  // none: a walk found nothing more, and the next call looks once again
    bool last = false;
  };
  FenceStep Fence(const metadata::Image& image, NodeId broker);
  // A step of it is proposed as the entry at `index`.
  void OnFenced(NodeId broker, LogIndex index);
  // The entry at `index` gives a lead of the broker's to another one, or to nobody.
  void OnLeadLost(NodeId broker, LogIndex index, int64_t now_ms);
  // Whether it may have a lease. Not while it has not applied what fenced it: others lead as soon
  // as that is committed. Nor when its metadata is a whole session behind on what it leads: its
  // answers to readers would be those of then.
  bool KnowsWhatItLeads(NodeId broker, int64_t now_ms) const;

  // The loop stood still for `ms`, until now: nobody could have been heard.
  void Forgive(int64_t ms, int64_t now_ms);
  // When ToDial or NextToFence first name somebody, if nothing is heard until then.
  int64_t DueMs(const metadata::Image& image, int64_t now_ms);
  // Brokers silent for so long that it is worth asking their host; each is named once per interval.
  std::vector<NodeId> ToDial(const metadata::Image& image, int64_t now_ms);
  // The broker's host refuses connections to it: its process is gone, unless a heartbeat
  // contradicts before the grace ends.
  void OnRefused(NodeId broker, int64_t now_ms);

  // What the brokers have told since activation.
  const LogEnds& log_ends() const { return log_ends_; }
  const FullDirectories& full() const { return full_; }

  // Whether there is evidence of its death that no heartbeat has contradicted.
  bool Refused(NodeId broker) const;

 private:
  struct Session {
    int64_t contact_ms = 0;
    bool heard = false;  // since activation
    int64_t timeout_ms = 0;
    LogIndex applied{-1};
    // The entry that fenced it last; after a change of controllers, what was known then. Who has
    // not applied it may think that it still leads.
    LogIndex fence_index{-1};
    // The same of the entry that took a lead from it last, and since when there is one that it has
    // not applied.
    LogIndex lost_lead_index{-1};
    int64_t behind_ms = 0;
    int64_t refused_ms = -1;  // when evidence of death came, or -1
    int64_t dialed_ms = -1;
    LogIndex shutdown_index{
        -1};  // that every active broker must have applied before this one may stop
  };

  int64_t DialDueMs(const Session& session) const;
  Session& SessionOf(NodeId broker, int64_t now_ms);
  bool Alive(NodeId broker, int64_t now_ms) const;
  bool ShutdownKnown(const metadata::Image& image, const Session& session, NodeId broker) const;
  Records DirectoriesGone(const metadata::Image& image, const metadata::BrokerImage& broker,
                          const HeartbeatRequest& request) const;
  Records Unfence(const metadata::Image& image, NodeId broker) const;
  Records Leave(const metadata::Image& image, NodeId broker) const;

  const BrokerManagerOptions options_;
  std::map<NodeId, Session> sessions_;
  LogEnds log_ends_;
  FullDirectories full_;
  int64_t activated_ms_ = 0;
  // Where the walk over the topics of who is being fenced has come to.
  NodeId fenced_ = kNoNode;
  TopicId fence_from_;
};

}  // namespace sluice::controller
