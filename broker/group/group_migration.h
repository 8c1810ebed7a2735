#pragma once
// A group on its way from one protocol to the other with its members in it (KIP-848): what they
// have agreed on in the classic protocol, as members of a consumer group, and back. It happens in
// one batch of records: the group of one protocol goes and the other one comes.
//
//   upgrade     with the first heartbeat of a member of the consumer protocol. Each classic member
//               keeps what it was assigned, and its generation as its epoch. What a cooperative one
//               is giving up is its own until it joins again.
//   downgrade   when the last member of the consumer protocol leaves, at the group's epoch. The
//               members rebalance at once.
//
// Thread rule: pure.

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "broker/group/classic_group.h"
#include "broker/group/consumer_group.h"

namespace sluice::broker {

// Fails, and says why, for a group that has to stay what it is.
Result<std::vector<ConsumerMember>> ConsumerMembersOf(const ClassicGroup& group,
                                                      const ConsumerGroupConfig& config,
                                                      const metadata::Image& image);
// Of a group that shall downgrade.
ClassicMembers ClassicMembersOf(const ConsumerGroup& group, const metadata::Image& image);

// What a member of a consumer group owns, as the classic protocol tells it, in the version of the
// subscription that `metadata` is.
std::string ClassicAssignmentOf(const ConsumerMember& member, std::string_view metadata,
                                const metadata::Image& image);

}  // namespace sluice::broker
