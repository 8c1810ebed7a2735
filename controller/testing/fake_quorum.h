#pragma once
// FakeQuorum and FakeDialer: a log in memory that commits when the test says so, and hosts that
// answer as the test says. They let a script walk the controller through commits, lost leadership
// and dead brokers, one step at a time.
//
// Thread rule: one thread.

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "controller/controller.h"

namespace sluice::controller::testing {

class FakeQuorum final : public Quorum {
 public:
  void Attach(MetadataController* controller) { controller_ = controller; }

  void Propose(std::string data, Done done) override;
  LogIndex NextIndex() const override {
    return LogIndex(static_cast<int64_t>(log_.size() + pending_.size()));
  }
  void ReadIndex(Done done) override;
  // Members change as proposals do: when the test commits.
  void ChangeMember(const raft::MemberChange& change, Done done) override;
  Status WhyRefuseChange(const raft::MemberChange& change) const override;
  Status TransferLeadership(NodeId target) override;
  raft::DriverStatus status() const override;

  // This node becomes leader of the next term; the term's first entry is committed.
  void Lead();
  // Commits the oldest `count` proposals.
  void Commit(size_t count);
  void CommitAll() { Commit(pending_.size()); }
  // Another node leads; what was not committed is lost.
  void Lose(NodeId new_leader);
  // A majority answers (or not) to rounds of confirmation.
  void set_connected(bool connected) { connected_ = connected; }
  // Nobody answers to them, and that is not noticed either.
  void set_silent(bool silent) { silent_ = silent; }
  raft::Membership members;
  NodeId asked_to_lead = kNoNode;
  // Proposals are refused at once.
  void set_refusing(bool refusing) { refusing_ = refusing; }

  const std::vector<raft::Entry>& log() const { return log_; }
  size_t pending() const { return pending_.size(); }

 private:
  struct Proposal {
    raft::Entry entry;
    Done done;
  };
  void Append(raft::Entry entry);

  MetadataController* controller_ = nullptr;
  std::vector<raft::Entry> log_;
  std::deque<Proposal> pending_;
  Term term_{0};
  bool leading_ = false;
  bool connected_ = true;
  bool silent_ = false;
  bool refusing_ = false;
};

class FakeDialer final : public Dialer {
 public:
  void Dial(const std::string& address, int64_t timeout_ms,
            std::function<void(DialOutcome)> done) override;
  // What dialling `address` gives; kConnected unless set.
  std::map<std::string, DialOutcome> outcomes;
  std::vector<std::string> dialed;
};

}  // namespace sluice::controller::testing
