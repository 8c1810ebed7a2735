#pragma once
// Transport: carries Raft messages to other voters. It may lose, delay, repeat and reorder them;
// Raft copes. What comes in is handed to Driver::Step, and a connection that broke to
// Driver::PeerLost.
//
// Thread rule: all calls on the driver's loop thread; none may block.

#include <vector>

#include "raft/types.h"

namespace sluice::raft {

class Transport {
 public:
  virtual ~Transport() = default;
  // Sends or drops: nothing is reported back.
  virtual void Send(NodeId to, Message message) = 0;
  // Whom messages will go to: the other members, as they change. Answers also go to whoever asked.
  virtual void SetPeers(const std::vector<Member>& peers) = 0;
};

}  // namespace sluice::raft
