#pragma once
// Quorum and Dialer: what the controller needs of the world. The real ones are in
// controller/controller_node.cc; tests give their own.
//
// Thread rule: Quorum on the controller's loop thread only; Dial from any thread.

#include <functional>
#include <string>

#include "base/status.h"
#include "raft/driver.h"

namespace sluice::controller {

// The replicated log, as raft::Driver offers it.
class Quorum {
 public:
  using Done = std::function<void(Result<LogIndex>)>;
  virtual ~Quorum() = default;
  virtual void Propose(std::string data, Done done) = 0;
  virtual LogIndex NextIndex() const = 0;
  virtual void ReadIndex(Done done) = 0;
  virtual void ChangeMember(const raft::MemberChange& change, Done done) = 0;
  virtual Status WhyRefuseChange(const raft::MemberChange& change) const = 0;
  virtual Status TransferLeadership(NodeId target) = 0;
  virtual raft::DriverStatus status() const = 0;
};

enum class DialOutcome {
  kConnected,
  kRefused,      // the host answers that nobody listens: the process is gone
  kUnreachable,  // no answer in time, or no way there: proves nothing
};

// Opens a TCP connection and closes it again, to learn whether a process lives.
class Dialer {
 public:
  virtual ~Dialer() = default;
  // `done` runs once, on any thread.
  virtual void Dial(const std::string& address, int64_t timeout_ms,
                    std::function<void(DialOutcome)> done) = 0;
};

}  // namespace sluice::controller
