#pragma once
// Clients whose leader is lost. One that dies with its host, is cut off or stopped closes no
// connection: its clients wait for an answer until a timeout of their own, half a minute or a whole
// one. Nobody can call them, but clients ask for the leaders anew when any of their connections
// breaks. So when a broker is fenced, the others close connections on which nothing is under way,
// of clients that may have known it as a leader.
//
// librdkafka then asks any broker that it is connected to, the lost one too. If it is connected to
// no other it connects again and to one more, and does not ask; but when that breaks it does. So
// the brokers take turns, three times each: one of them makes it ask somebody who is alive. In
// them a connection that has asked for nothing goes too.
//
// Nothing is closed for one whose process is gone, or runs anew: the connections to it broke. A
// client that wakes without any connection may give up, as kcat does.
//
// A broker that stops in order does the same to its own clients, and is quicker, since no other
// does it at the same time. Told that it leads no longer, librdkafka would wait for 250 ms.
//
// Not closed: connections of replicas, which hear of everything by the feed; of group members,
// whose coordinator is here, and alive; of who has asked since.
//
// Limit: a client that is connected to the lost leader, and to one other or none, may not be
// reached: librdkafka asks the lost one, as it is the only one that it knows to be up.
//
// Thread rule: pure.

#include <cstdint>
#include <set>
#include <vector>

#include "broker/api/handler.h"
#include "metadata/image.h"

namespace sluice::broker {

// Brokers that were in service and fell silent. Who stops in order tells its clients itself: of
// such the broker `self` sees only itself, when its partitions have gone to others.
std::set<NodeId> LostLeaders(const metadata::Image& before, const metadata::Image& after,
                             NodeId self);

// When `self` closes connections, after it has heard of the loss, and for how long each time.
struct Turns {
  std::vector<int64_t> at_ms;
  int64_t within_ms = 0;
  friend bool operator==(const Turns&, const Turns&) = default;
};
Turns TurnsOf(NodeId self, const metadata::Image& after);

// Whether the client at the other end may wait for one of `lost`, which were lost at `lost_ms`.
// What it was told elsewhere is not known here, so who was told nothing may.
bool Concerns(const ConnectionInfo& connection, const std::set<NodeId>& lost, int64_t lost_ms);

}  // namespace sluice::broker
