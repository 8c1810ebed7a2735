#pragma once
// PendingMembers: the ids that a group has given out with MEMBER_ID_REQUIRED, and that nobody has
// come back with yet (KIP-394).
//
// Anybody may ask for one, as often as he likes, and costs memory for a session of up to half an
// hour. So only the newest are kept: whoever comes with one that has left hears UNKNOWN_MEMBER_ID
// and asks again, as every client does. Refusing new ones instead would keep out the members that
// there are, behind ids that nobody may ever use.
//
// Thread rule: as the group's.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::broker {

class PendingMembers {
 public:
  static constexpr size_t kCountMax = 10000;
  static constexpr size_t kBytesMax = size_t{1} << 20;  // of the ids together

  // The id is new. The oldest leave when there are too many, this one never.
  void Add(std::string id, int64_t deadline_ms);
  bool Contains(std::string_view id) const { return by_id_.contains(id); }
  // False when there was no such id.
  bool Erase(std::string_view id);
  // Those that should have come back by now leave; false when there are none.
  bool Expire(int64_t now_ms);

  bool empty() const { return by_id_.empty(); }
  size_t size() const { return by_id_.size(); }
  std::optional<int64_t> next_deadline_ms() const;
  std::vector<std::string> ids() const;

 private:
  struct Pending {
    int64_t deadline_ms;
    uint64_t number;  // as they were given out
  };
  using Map = std::map<std::string, Pending, std::less<>>;

  void Erase(Map::iterator at);

  Map by_id_;
  std::map<uint64_t, Map::iterator> by_age_;
  size_t size_bytes_ = 0;
  uint64_t last_number_ = 0;
};

}  // namespace sluice::broker
