#pragma once
// GroupScript: runs a story about the groups of one shard, told in commands, and answers with
// everything that the shard does. The stories are broker/group/testdata/*.txt: a block is comments
// and one command, a line of dashes, and the output.
//
// Clients have names; the ids that they are given are printed as <name>, and a command speaks for a
// client with the id and the generation that it was told last, unless it says `id=` or `gen=`. A
// group is "g" unless `group=` says otherwise. Words that a command may have besides:
//
//   join NAME [v=9] [instance=I] [session=MS] [rebalance=MS] [protocols=range:topic,other]
//             [type=consumer] [reason=R]
//   sync NAME [assign=NAME:x,NAME:y] [v=4] [instance=I] [type=T] [protocol=P]
//   heartbeat NAME [instance=I]           leave NAME... [v=5] [instance=I] [reason=R]
//   advance MS                            time goes on, from timer to timer
//   describe GROUP [v=6]                  list [states=..] [types=..]        delete GROUP
//   explain GROUP                         what the coordinator tells of its reasons
//   state [group=g]                       what the coordinator has in memory
//   hold, commit                          records are appended but not committed, until `commit`
//   refuse ERROR                          the next records cannot be appended
//   load                                  the next slice of LoadNext, until all is loaded
//   failover [lose]                       another coordinator; what was not committed is lost, or
//                                         else committed
//   limit N                               group.max.size
//
// A line without more is an answer; "record" is what was appended, "durable" an answer that waited
// for it.
//
// Thread rule: one thread.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/group/testing/shard_driver.h"

namespace sluice::broker::testing {

class GroupScript {
 public:
  // The whole story again, with the outputs as they are.
  static std::string Rerun(std::string_view text);

  GroupScript();
  // The output of one command; "error: ..." for one that makes no sense.
  std::string Run(const std::string& command);

 private:
  struct Command {
    std::string verb;
    std::vector<std::string> names;  // words without =
    std::map<std::string, std::string> options;

    std::string Option(const std::string& name, std::string otherwise) const;
    int32_t Number(const std::string& name, int32_t otherwise) const;
    std::optional<std::string> Optional(const std::string& name) const;
  };
  struct Client {
    std::string member_id;
    int32_t generation = -1;
  };
  struct Asked {
    std::string what;  // "join a"
    std::string client;
  };

  static Command Parse(const std::string& line);
  bool Do(const Command& command);
  bool Request(const Command& command);
  void Join(const Command& command);
  void Sync(const Command& command);
  void Heartbeat(const Command& command);
  void Leave(const Command& command);
  bool Admin(const Command& command);
  void PrintState(const std::string& group_id);

  void Ask(const Asked& asked, int16_t version, GroupRequest request);
  ShardDriver::Listener MakeListener();
  // Whose ids they tell.
  void Learn(const std::vector<GroupAnswer>& answers);
  void Answer(const GroupAnswer& answer, bool was_durable);
  std::string Told(const GroupResponse& response, const std::string& client);
  void PrintRecord(const GroupRecord& record);
  std::string Named(std::string text) const;
  std::string IdOf(const std::string& name) const;
  void Say(const std::string& line);

  ShardDriver driver_;
  RequestToken next_token_ = 1;
  std::map<RequestToken, Asked> asked_;
  std::map<std::string, Client> clients_;
  std::vector<std::pair<std::string, std::string>> names_;  // all ids ever given, and to whom
  int64_t told_ms_ = 0;                                     // the time that the output speaks of
  std::string output_;
};

}  // namespace sluice::broker::testing
