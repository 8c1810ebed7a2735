#pragma once
// ClassicMembers: who is in a classic group: members by id and by static instance id, those that
// have been given an id and have not come back with it, the votes on protocols, and whose JoinGroup
// is parked. The group (classic_group.h) decides what follows from it.
//
// Invariants (asserted where they are used):
//   1. joins_parked() counts the members with a parked JoinGroup.
//   2. An instance id leads to a member that has it, and each member's instance id leads to it.
//   3. supporters_ counts, for each protocol, the members that offer it.
//   4. There is a leader exactly while there are members, and it is one of them; but a group that
//      has come from the consumer protocol has none before its next generation.
//
// Thread rule: as the group's.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/group/group_types.h"
#include "broker/group/pending_members.h"

namespace sluice::broker {

struct ClassicProtocol {
  std::string name;
  std::string metadata;
  friend bool operator==(const ClassicProtocol&, const ClassicProtocol&) = default;
};

// Each name once.
std::vector<ClassicProtocol> ProtocolsOf(const kafka::JoinGroupRequest& request);

// What a member says of itself with each JoinGroup.
struct ClassicTerms {
  int32_t session_ms = 0;
  int32_t rebalance_ms = 0;
  std::vector<ClassicProtocol> protocols;  // each name once, the most wanted first
};

struct ClassicMember {
  std::string id;
  std::optional<std::string> instance_id;  // of a static member (KIP-345)
  std::string client_id;
  std::string client_host;
  ClassicTerms terms;
  std::string assignment;
  int64_t session_deadline_ms = 0;
  // Has been in no generation yet: its session runs even while its JoinGroup is parked.
  bool is_new = false;
  // Has not sent SyncGroup in this generation.
  bool owes_sync = false;
  std::optional<RequestToken> parked_join;
  std::optional<RequestToken> parked_sync;

  // Whether silence proves nothing, since it waits for us.
  bool waits_for_group() const {
    return !is_new && (parked_join.has_value() || parked_sync.has_value());
  }
  // Empty when it does not offer the protocol.
  std::string_view MetadataOf(std::string_view protocol) const;
};

class ClassicMembers {
 public:
  // By id.
  using Map = std::map<std::string_view, std::unique_ptr<ClassicMember>>;

  const Map& all() const { return members_; }
  size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }
  // Null when there is none.
  ClassicMember* Find(std::string_view id) const;
  ClassicMember* FindStatic(std::string_view instance_id) const;

  // The id (and the instance id) must be free. The first member leads.
  ClassicMember& Add(ClassicMember member);
  // Its parked requests are the caller's to answer before. Another member leads when it did.
  void Remove(std::string_view id);
  // The member goes on under another id, and leads if it did.
  ClassicMember& Rename(std::string_view id, std::string new_id);
  void SetTerms(ClassicMember& member, ClassicTerms terms);

  void ParkJoin(ClassicMember& member, RequestToken token);
  std::optional<RequestToken> TakeJoin(ClassicMember& member);
  size_t joins_parked() const { return joins_parked_; }

  PendingMembers& pending() { return pending_; }
  const PendingMembers& pending() const { return pending_; }
  bool AllHaveJoined() const { return members_.size() == joins_parked_ && pending_.empty(); }

  const std::string& leader() const { return leader_; }  // empty: none
  void set_leader(std::string id) { leader_ = std::move(id); }
  // Sees to a leader that has joined; false when nobody has.
  bool ElectLeader();

  // Whether all members offer one of these. True of any without members.
  bool OfferOneOf(const std::vector<ClassicProtocol>& protocols) const;
  // The protocol with the most votes among those that all offer; each member votes for the one it
  // wants most. There must be members, and such a protocol.
  std::string SelectProtocol() const;
  // The longest that any of them asks for; 0 without members.
  int32_t rebalance_ms() const;

 private:
  void Count(const ClassicTerms& terms, int by);

  Map members_;
  std::map<std::string, std::string, std::less<>> statics_;  // member ids by instance id
  PendingMembers pending_;
  std::map<std::string, size_t, std::less<>> supporters_;
  size_t joins_parked_ = 0;
  std::string leader_;
};

}  // namespace sluice::broker
