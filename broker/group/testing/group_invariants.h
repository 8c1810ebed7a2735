#pragma once
// GroupInvariants: what must always be true of the groups of one partition of __consumer_offsets,
// read from the records that are committed and from what clients were told. It knows nothing of the
// code that it watches but its formats.
//
//   1. In the log no partition belongs to two members of a group, and no epoch or generation of a
//      group goes back while a member stays in it.
//   2. A committed offset never moves back, and goes only with its topic.
//   3. What a client was told to be committed, by an answer to a commit or to a fetch, is and stays
//      so.
//   4. A client gets a partition when whoever had it before has given it up, or is no member of
//      this generation any more.
//
// The first breach is kept; nothing is checked after it.
//
// Thread rule: one thread.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/group/testing/model_log.h"
#include "broker/group/testing/topic_table.h"

namespace sluice::broker::testing {

class GroupInvariants {
 public:
  using Partition = std::pair<TopicId, int32_t>;
  using Entries = std::map<std::string, std::string>;
  // A client that thinks that it is in a group.
  struct Claim {
    std::string group_id;
    std::string member_id;
    int32_t generation = 0;
    bool is_classic = false;
    std::string client;  // for the message
  };

  // Empty, or what went wrong.
  const std::string& breach() const { return breach_; }
  void Fail(const std::string& what);

  // In the log's order; `topics` is the newest there is.
  void OnCommitted(const ModelBatch& batch, const metadata::Image& topics);
  // What the log says, by key, when read up to `end`.
  Entries Replay(Offset end) const;
  size_t commits() const { return commits_; }

  // Whether the member may still act for the group.
  bool IsMember(const Claim& claim) const;
  // `taker` owns from now on what `holder` believes to own.
  void CheckTaken(const Claim& taker, const Claim& holder, const Partition& partition);
  void OnAcknowledged(const std::string& group_id, const Partition& partition, int64_t offset);
  // The least that a fetch that is sent now has to find; -1: it may find nothing.
  int64_t Told(const std::string& group_id, const Partition& partition) const;
  void CheckFetched(const std::string& group_id, const Partition& partition, int64_t offset,
                    int64_t least);
  // All that was told and is not gone with its topic is committed.
  void CheckNothingLost(const metadata::Image& topics);

 private:
  struct Record {
    Offset offset;
    std::string key;
    std::optional<std::string> value;
  };
  struct Group {
    std::optional<int32_t> generation;  // of a classic group
    std::set<std::string> classic_members;
    std::optional<int32_t> epoch;  // of one of the consumer protocol
    int32_t target_epoch = 0;
    std::map<std::string, kafka::ConsumerGroupMemberMetadataValue> members;
    std::map<std::string, ConsumerAssignment> current;
    // When it was last checked.
    int32_t last_epoch = -1;
    std::set<std::string> last_members;
  };
  struct Position {
    int64_t committed = -1;
    int64_t told = -1;  // to a client, as acknowledged or as read
  };

  void OnRecord(const Record& record, const metadata::Image& topics);
  void OnOffset(const kafka::OffsetCommitKey& key, const std::optional<std::string>& value,
                const metadata::Image& topics);
  void OnClassic(Group& group, const std::string& group_id,
                 const std::optional<std::string>& value);
  void CheckGroup(const std::string& group_id, Group& group);

  std::vector<Record> records_;
  std::map<std::string, Group> groups_;
  std::map<std::pair<std::string, Partition>, Position> positions_;
  // Under which topic an offset stands.
  std::map<std::tuple<std::string, std::string, int32_t>, TopicId> topic_of_;
  std::set<std::string> touched_;
  size_t commits_ = 0;
  std::string breach_;
};

}  // namespace sluice::broker::testing
