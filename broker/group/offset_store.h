#pragma once
// OffsetStore: the committed positions of one shard's groups: commits, fetches, deletions, and the
// sweep that removes what has expired (KIP-211, KIP-496) or belongs to no topic any more. It keeps
// nothing itself: all is in the view, so a million offsets cost no memory here.
//
// Thread rule: as GroupShard's, which owns it.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "broker/group/group.h"

namespace sluice::broker {

class OffsetStore {
 public:
  // In all of these `group` is null where the group has no state of its own.

  // A commit by nobody (generation -1) needs no group: assign(), tools, and admins' resets.
  void Commit(const GroupCaller& caller, const kafka::OffsetCommitRequest& request, Group* group,
              GroupContext& context);
  // What is not committed is answered with offset -1 and no error.
  void Fetch(const GroupCaller& caller, const FetchOffsets& request, const Group* group,
             GroupContext& context) const;
  void Delete(const GroupCaller& caller, const kafka::OffsetDeleteRequest& request,
              const Group* group, GroupContext& context);
  // Up to the log's end. A store that fails counts as "yes": nothing is concluded from it.
  bool HasOffsets(const std::string& group_id, const GroupView& view) const;
  // Records that forget all offsets of a group.
  Status AddTombstones(const std::string& group_id, GroupContext& context) const;

  // --- The sweep ---
  struct SweepHooks {
    // A group in memory or in the view; null when it has no state of its own.
    std::function<Result<Group*>(const std::string& group_id)> find;
    // The group has neither members nor offsets.
    std::function<void(const std::string& group_id)> remove;
  };
  void BeginSweep() { sweep_ = Sweep(); }
  bool sweeping() const { return sweep_.has_value(); }
  // Looks at the next thousand entries and adds tombstones to the effects. Call it while sweeping,
  // once what it has removed before is in the view.
  void SweepNext(const SweepHooks& hooks, GroupContext& context);

 private:
  struct Sweep {
    size_t stage = 0;  // offsets, then the groups of each protocol
    std::string from;  // a key
  };

  std::optional<Sweep> sweep_;
};

}  // namespace sluice::broker
