#pragma once
// DriverQuorum: the Quorum of a real raft::Driver.
//
// Thread rule: as Quorum.

#include <string>
#include <utility>

#include "controller/quorum.h"
#include "raft/driver.h"

namespace sluice::controller {

class DriverQuorum final : public Quorum {
 public:
  // Not owned; it outlives this.
  explicit DriverQuorum(raft::Driver& driver) : driver_(driver) {}
  void Propose(std::string data, Done done) override {
    driver_.Propose(std::move(data), std::move(done));
  }
  LogIndex NextIndex() const override { return driver_.NextIndex(); }
  void ReadIndex(Done done) override { driver_.ReadIndex(std::move(done)); }
  void ChangeMember(const raft::MemberChange& change, Done done) override {
    driver_.ChangeMember(change, std::move(done));
  }
  Status WhyRefuseChange(const raft::MemberChange& change) const override {
    return driver_.WhyRefuseChange(change);
  }
  Status TransferLeadership(NodeId target) override { return driver_.TransferLeadership(target); }
  raft::DriverStatus status() const override { return driver_.status(); }

 private:
  raft::Driver& driver_;
};

}  // namespace sluice::controller
